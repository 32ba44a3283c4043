"""The part "classes": looks up the classes that members meant in the timetables of their venues, without a login."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx

from prebooking.bookers.aimharder.classes import GymClass
from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.clock import Deadline
from prebooking.database.prebookings import PrebookingStore
from prebooking.database.upkeep import ClassDay, UpkeepStore
from prebooking.errors import StoreError, StoreUnavailable
from prebooking.model import Kind, Outcome
from prebooking.upkeep.matching import WantedClass, match_class
from prebooking.upkeep.part import ERRORS, OUT_OF_TIME, UpkeepContext

AT_ONCE = 20  # days leased by one invocation
ANSWER_TIME = 2.5  # seconds for the answer of a venue; with less time left, no day is read
WRITE_TIME = 1.5  # seconds for storing what was found


class ClassesPart:
    """One round of look-ups. When it is killed, a later round reads the days that it had leased."""

    def __init__(self, context: UpkeepContext) -> None:
        self._context = context
        self._store = UpkeepStore(context.database)
        self._prebookings = PrebookingStore(context.database, instance_id=context.instance_id, clock=context.clock)
        self._counts = Counter(read=0, unread=0, changed=0)

    async def run(self, until: Deadline) -> dict[str, int]:
        """Read the days that are due: those of one venue after the other, and the venues side by side."""
        days, unreadable = await self._store.claim_class_days(
            self._context.instance_id, providers=self._context.settings.systems, limit=AT_ONCE, until=until
        )
        if unreadable:
            self._counts[ERRORS] += 1
            self._context.log.error("days cannot be read", count=unreadable)
        by_venue = defaultdict[Any, list[ClassDay]](list)
        for day in days:
            by_venue[day.venue.id].append(day)
        async with self._context.client("aimharder") as client, asyncio.TaskGroup() as venues:
            for of_venue in by_venue.values():
                venues.create_task(self._look_up(client, of_venue, until))
        return dict(self._counts)

    async def _look_up(self, client: httpx.AsyncClient, days: Sequence[ClassDay], until: Deadline) -> None:
        """Read days of one venue. It ends when the venue blocks us or the database is silent, and before the guard."""
        for day in days:
            if until.remaining() < ANSWER_TIME + WRITE_TIME:
                self._counts[OUT_OF_TIME] = 1
                return
            try:
                if not await self._look_up_day(client, day, until):
                    return
            except Exception as exc:  # noqa: BLE001 - the task group would cancel the other venues
                self._counts[ERRORS] += 1
                self._context.log_failure("classes", exc)
                if isinstance(exc, StoreUnavailable):  # the next upkeep can store it
                    return
                await self._put_off(day, until)

    async def _put_off(self, day: ClassDay, until: Deadline) -> None:
        """Store that a day could not be read, so that it is not the first one again in the next minute."""
        with suppress(StoreError):
            await self._store.settle_class_day(self._context.instance_id, day, None, until=until)

    async def _look_up_day(self, client: httpx.AsyncClient, day: ClassDay, until: Deadline) -> bool:
        """Read one day and store what was found. Return False if the venue blocks us."""
        read = await _read(client, day, timeout=until.remaining() - WRITE_TIME)
        found = None if isinstance(read, Outcome) else _match_all(day, read)
        changed = await self._store.settle_class_day(self._context.instance_id, day, found, until=until)
        self._counts["unread" if found is None else "read"] += 1
        self._counts["changed"] += changed or 0
        outcome = read.kind if isinstance(read, Outcome) else "read"
        self._context.log.info("day", venue=day.venue.id, day=day.day, outcome=outcome)
        if outcome is Kind.BLOCKED:
            await self._prebookings.release([], blocked_venue=day.venue.id, until=until)
        return outcome is not Kind.BLOCKED


async def _read(client: httpx.AsyncClient, day: ClassDay, *, timeout: float) -> list[GymClass] | Outcome:  # noqa: ASYNC109 - the time that is left
    """Return the day's classes with a number and an hour. A list of only other ones is not readable."""
    site = AimHarderSite(client, host=day.venue.host, box_id=day.venue.provider_box_id)
    if site.problem:
        return Outcome(Kind.BAD_DATA, detail=site.problem)
    read = await site.classes(None, day.day, timeout=timeout)
    if isinstance(read, Outcome):
        return read
    usable = [one for one in read if one.class_id and one.starts]
    return usable if usable or not read else Outcome(Kind.CANNOT_TELL)


def _match_all(day: ClassDay, classes: Sequence[GymClass]) -> list[dict[str, Any]]:
    """Return what was found for each wanted class."""
    matches = [(wanted, match_class(WantedClass.read(wanted), classes)) for wanted in day.wanted]
    return [{"wanted": wanted, "class_id": match.class_id, "warning": match.warning} for wanted, match in matches]
