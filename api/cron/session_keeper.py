"""The function that the cron calls every twenty minutes: keep members' logins alive until their classes open."""

from __future__ import annotations

from prebooking.endpoint import Invocation, cron_app
from prebooking.session_keeper import Kept, keep_sessions
from prebooking.settings import BUFFER, MAX_DURATION


async def run(invocation: Invocation) -> Kept:
    """Refresh what is old."""
    return await keep_sessions(
        invocation.settings,
        instance_id=invocation.instance_id,
        guard=invocation.guard(MAX_DURATION - BUFFER),
        clock=invocation.clock,
        log=invocation.log,
    )


def failed(invocation: Invocation) -> Kept:
    """Say that it could not be done, when nobody foresaw why."""
    return Kept(invocation.instance_id, success=False, timestamp=invocation.clock.now())


app = cron_app("session_keeper", run, failed)
