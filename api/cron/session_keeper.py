"""The former path of upkeep, for triggers that call it every twenty minutes. It answers for one release."""

from __future__ import annotations

import gc

gc.disable()  # during the imports, which create no garbage: collecting takes a fifth of a cold start

from prebooking.function.endpoint import Trigger, cron_app  # noqa: E402 - as above
from prebooking.settings import BUFFER, MAX_DURATION  # noqa: E402 - as above
from prebooking.upkeep.run import UpkeepSummary, keep_up  # noqa: E402 - as above

EVERY = 20 * 60.0  # seconds from one call to the next


async def run(trigger: Trigger) -> UpkeepSummary:
    """Run one invocation of upkeep, which refreshes the sessions that would expire before the next call."""
    return await keep_up(
        trigger.settings,
        instance_id=trigger.instance_id,
        guard=trigger.guard(MAX_DURATION - BUFFER),
        clock=trigger.clock,
        log=trigger.log,
        every=EVERY,
    )


def failed(trigger: Trigger) -> UpkeepSummary:
    """Return the answer after an unexpected exception."""
    return UpkeepSummary(trigger.instance_id, success=False, timestamp=trigger.clock.now())


app = cron_app("session_keeper", run, failed)

gc.freeze()  # loaded modules are never garbage, so collections may skip them
gc.enable()
