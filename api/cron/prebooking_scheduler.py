"""The function that the cron calls every minute: book what is due. It imports with an empty environment."""

from __future__ import annotations

import gc

gc.disable()  # while everything is loaded: looking for garbage, of which there is none, is a fifth of a cold start

from prebooking.endpoint import Trigger, cron_app  # noqa: E402 - as above
from prebooking.invocation import run_once  # noqa: E402 - as above
from prebooking.model import Summary  # noqa: E402 - as above
from prebooking.report import Report  # noqa: E402 - as above


async def run(trigger: Trigger) -> Summary:
    """Book what is due, once."""
    return await run_once(
        trigger.settings,
        instance_id=trigger.instance_id,
        guard=trigger.guard(trigger.settings.execution_timeout_seconds),
        clock=trigger.clock,
        log=trigger.log,
    )


def failed(trigger: Trigger) -> Summary:
    """Say that it could not be done, when nobody foresaw why."""
    report = Report(trigger.instance_id, failed=True)
    return report.summary(now=trigger.clock.now(), execution_time=trigger.started.elapsed(trigger.clock))


app = cron_app("prebooking_scheduler", run, failed)

gc.freeze()  # what is loaded by now stays, and need never be looked at again
gc.enable()
