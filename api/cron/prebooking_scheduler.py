"""The function that the cron calls every minute: it books due prebookings. Importing it needs no settings."""

from __future__ import annotations

import gc

gc.disable()  # during the imports: collections find no garbage then, and take a fifth of a cold start

from prebooking.function.endpoint import Trigger, cron_app  # noqa: E402 - as above
from prebooking.function.invocation import run_once  # noqa: E402 - as above
from prebooking.model import Summary  # noqa: E402 - as above
from prebooking.run.report import Report  # noqa: E402 - as above


async def run(trigger: Trigger) -> Summary:
    """Run one invocation of the scheduler."""
    return await run_once(
        trigger.settings,
        instance_id=trigger.instance_id,
        guard=trigger.guard(trigger.settings.execution_timeout_seconds),
        clock=trigger.clock,
        log=trigger.log,
    )


def failed(trigger: Trigger) -> Summary:
    """Return the answer after an unexpected exception."""
    report = Report(trigger.instance_id, failed=True)
    return report.summary(now=trigger.clock.now(), execution_time=trigger.started.elapsed(trigger.clock))


app = cron_app("prebooking_scheduler", run, failed)

gc.freeze()  # later collections skip the loaded modules, which are never garbage
gc.enable()
