"""The function that the cron calls every twenty minutes: keep members' logins alive until their classes open."""

from __future__ import annotations

import gc

gc.disable()  # while everything is loaded: looking for garbage, of which there is none, is a fifth of a cold start

from prebooking.bookers.aimharder.keeper import Kept, keep_sessions  # noqa: E402 - as above
from prebooking.function.endpoint import Trigger, cron_app  # noqa: E402 - as above
from prebooking.settings import BUFFER, MAX_DURATION  # noqa: E402 - as above


async def run(trigger: Trigger) -> Kept:
    """Refresh what is old."""
    return await keep_sessions(
        trigger.settings,
        instance_id=trigger.instance_id,
        guard=trigger.guard(MAX_DURATION - BUFFER),
        clock=trigger.clock,
        log=trigger.log,
    )


def failed(trigger: Trigger) -> Kept:
    """Return the answer after an unexpected exception."""
    return Kept(trigger.instance_id, success=False, timestamp=trigger.clock.now())


app = cron_app("session_keeper", run, failed)

gc.freeze()  # what is loaded by now stays, and need never be looked at again
gc.enable()
