"""The part "repeats": makes the prebookings of members' repeats. Each call of the database is one whole step."""

from __future__ import annotations

from collections import Counter

from prebooking.clock import Deadline
from prebooking.database.upkeep import UpkeepStore
from prebooking.upkeep.part import OUT_OF_TIME, UpkeepContext

AT_ONCE = 100  # repeats per call, which takes about half a second
STEP = 2.0  # seconds before the guard after which no call starts


class RepeatsPart:
    """One round over the repeats that are due. When it is killed, a later round does what was left."""

    def __init__(self, context: UpkeepContext) -> None:
        self._store = UpkeepStore(context.database)

    async def run(self, until: Deadline) -> dict[str, int]:
        """Make the prebookings of repeats, until none is due or the guard is near."""
        last_start, counts = until.before(STEP), Counter[str]()
        while not last_start.passed():
            made = await self._store.make_repeats(AT_ONCE, until=until)
            counts.update(made.counts)
            if not made.more or not made.repeats:  # those that are left are locked by another call
                return dict(counts)
        return dict(counts) | {OUT_OF_TIME: 1}
