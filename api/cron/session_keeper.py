"""The function that the cron calls every twenty minutes: it refreshes members' logins. It imports without settings."""

from __future__ import annotations

import gc

gc.disable()  # during the imports, which create no garbage: collecting takes a fifth of a cold start

from prebooking.bookers.aimharder.keeper import KeeperSummary, keep_sessions  # noqa: E402 - as above
from prebooking.function.endpoint import Trigger, cron_app  # noqa: E402 - as above
from prebooking.settings import BUFFER, MAX_DURATION  # noqa: E402 - as above


async def run(trigger: Trigger) -> KeeperSummary:
    """Run one invocation of the session keeper."""
    return await keep_sessions(
        trigger.settings,
        instance_id=trigger.instance_id,
        guard=trigger.guard(MAX_DURATION - BUFFER),
        clock=trigger.clock,
        log=trigger.log,
    )


def failed(trigger: Trigger) -> KeeperSummary:
    """Return the answer after an unexpected exception."""
    return KeeperSummary(trigger.instance_id, success=False, timestamp=trigger.clock.now())


app = cron_app("session_keeper", run, failed)

gc.freeze()  # loaded modules are never garbage, so collections may skip them
gc.enable()
