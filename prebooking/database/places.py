"""The database functions for places after the booking: giving them back, and looking at those on a waiting list."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.model import Prebooking

Place = Literal["waiting", "booked", "lost"]
GiveBackRecord = Literal["given_back", "not_completed", "not_found"]


class PlaceRecord(BaseModel):
    """What the database knows about a place that shall be given back; see ``prebooking_place_v1``.

    Attributes:
        verdict: "ready", or why the place cannot be given back.
        other: another prebooking of the same class and member, which has the place now.

    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    now: AwareDatetime
    verdict: Literal["ready", "given_back", "begun", "rebooked", "pending", "failed", "cancelled", "not_found"]
    row: Prebooking | None = None
    booking_id: str | None = None
    settled_at: AwareDatetime | None = None
    given_back_at: AwareDatetime | None = None
    other: UUID | None = None

    @property
    def age(self) -> timedelta:
        """Return the time since the booking, by the database's clock."""
        return self.now - (self.settled_at or self.now)


@dataclass(frozen=True, slots=True)
class PlaceClaim:
    """The prebookings whose places one claim has leased; ``unreadable`` counts the rows that cannot be read."""

    rows: list[Prebooking]
    unreadable: int


_raw = TypeAdapter(list[Any]).validate_python
_recorded = TypeAdapter[GiveBackRecord](GiveBackRecord).validate_python


class PlaceStore:
    """Places after the booking: one method calls one function. Every method can raise a StoreError."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def find(self, row_id: UUID, user_email: str, *, until: Deadline) -> PlaceRecord:
        """Return whether a member's place can be given back."""
        params = {"p_id": str(row_id), "p_user_email": user_email}
        return (await self._database.call("prebooking_place_v1", params, PlaceRecord.model_validate, until=until)).value

    async def give_back(self, row_id: UUID, user_email: str, *, until: Deadline) -> GiveBackRecord:
        """Record that a place was given back at the venue. A repeated call changes nothing."""
        params = {"p_id": str(row_id), "p_user_email": user_email}
        return (await self._database.call("give_back_v1", params, _recorded, until=until)).value

    async def claim(self, instance_id: UUID, *, providers: Iterable[str], limit: int, until: Deadline) -> PlaceClaim:
        """Lease places on waiting lists that are to be looked at now."""
        params = {"p_instance": str(instance_id), "p_providers": list(providers), "p_limit": limit}
        rows = (await self._database.call("claim_places_v1", params, _raw, until=until)).value
        found = []
        for row in rows:  # one by one, so that an unreadable row does not hide the others
            with suppress(ValidationError):
                found.append(Prebooking.model_validate(row))
        return PlaceClaim(found, len(rows) - len(found))

    async def note(
        self, instance_id: UUID, row_id: UUID, place: Place | None, *, position: int | None = None, until: Deadline
    ) -> bool:
        """Store what a look has shown; None: no clear answer. Returns False if another upkeep holds the place now."""
        params = {"p_instance": str(instance_id), "p_id": str(row_id), "p_place": place, "p_position": position}
        return (await self._database.call("note_place_v1", params, read_bool, until=until)).value
