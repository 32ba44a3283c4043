"""The part "places": looks at members' places on waiting lists, so that a promotion is seen."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from uuid import UUID

from prebooking.bookers.places import MemberPlace, PlaceAccess, Places, open_places
from prebooking.clock import Deadline
from prebooking.database.places import Place, PlaceStore
from prebooking.database.prebookings import PrebookingStore
from prebooking.database.sessions import SessionStore
from prebooking.errors import StoreError
from prebooking.model import Kind, Prebooking
from prebooking.upkeep.part import ERRORS, OUT_OF_TIME, UpkeepContext

AT_ONCE = 10  # places leased by one invocation
APART = 0.1  # seconds between the starts of two looks: politeness
WRITE_TIME = 0.5  # seconds before the guard for storing the result
LOOK_TIME = 2.0  # seconds before the guard after which no look starts, because a venue needs time to answer
_SHOWN: dict[Kind, Place] = {Kind.WAITLISTED: "waiting", Kind.BOOKED: "booked", Kind.NOT_BOOKED: "lost"}


class PlacesPart:
    """One round of looks. When it is killed, a later round looks at the places that it had leased."""

    def __init__(self, context: UpkeepContext) -> None:
        self._context, self._id = context, context.instance_id
        self._places = PlaceStore(context.database)
        self._store = PrebookingStore(context.database, instance_id=self._id, clock=context.clock)
        sessions = SessionStore(context.database, instance_id=self._id, clock=context.clock)
        self._access = PlaceAccess(context.settings, sessions, context.clock, context.to_venues)
        self._counts = Counter(waiting=0, booked=0, lost=0, failed=0)
        self._blocked: set[UUID] = set()

    async def run(self, until: Deadline) -> dict[str, int]:
        """Look at the places that are due, each once. One that cannot be looked at stops no other."""
        self._guard, last_start = until, until.before(LOOK_TIME)
        due = await self._places.claim(
            self._id, providers=self._context.settings.systems, limit=AT_ONCE, until=last_start
        )
        self._note_unreadable(due.unreadable)
        venues: dict[UUID, Places] = {}
        async with AsyncExitStack() as opened, asyncio.TaskGroup() as looks:
            for row in due.rows:
                if last_start.passed() or row.venue.id in self._blocked:
                    continue
                if row.venue.id not in venues:
                    venues[row.venue.id] = await opened.enter_async_context(open_places(row.venue, self._access))
                looks.create_task(self._look(row, venues[row.venue.id]))
                await self._context.clock.sleep(APART)
        return dict(self._counts) | ({OUT_OF_TIME: 1} if last_start.passed() else {})

    def _note_unreadable(self, count: int) -> None:
        if count:
            self._counts.update({ERRORS: 1, "failed": count})
            self._context.log.error("places cannot be read", count=count)

    async def _look(self, row: Prebooking, venue: Places) -> None:
        """Look at one place. An exception is logged, because the task group would cancel the other looks."""
        try:
            found = await venue.find(row, until=self._guard.before(WRITE_TIME))
            self._context.log.info("place", venue=row.venue.id, outcome=found.kind)
            await self._pause_if_blocked(row, found)
            await self._note(row, found)
        except StoreError as exc:
            self._log_store_error(exc)
        except Exception as exc:  # noqa: BLE001 - as said above
            self._counts[ERRORS] += 1
            self._context.log.unexpected("unexpected", exc)

    def _log_store_error(self, exc: StoreError) -> None:
        self._counts[ERRORS] += 1
        self._context.log.error("a place could not be stored", function=exc.function, code=exc.code)

    async def _note(self, row: Prebooking, found: MemberPlace) -> None:
        place = _SHOWN.get(found.kind)
        self._counts[place or "failed"] += 1
        await self._places.note(self._id, row.id, place, position=found.position, until=self._guard)

    async def _pause_if_blocked(self, row: Prebooking, found: MemberPlace) -> None:
        if found.kind is Kind.BLOCKED and row.venue.id not in self._blocked:
            self._blocked.add(row.venue.id)
            await self._store.release([], blocked_venue=row.venue.id, until=self._guard)
