"""The database functions of upkeep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from prebooking import __version__
from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.model import Venue


class UpkeepDue(BaseModel):
    """What is due now.

    ``no_login``: the number of prebookings that open within a week without a usable login. ``failed``: what the
    database could not do before it answered.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    now: AwareDatetime
    no_login: int
    failed: list[str] = []

    @property
    def parts(self) -> set[str]:
        """Return the names of the parts that are due."""
        return {name for name, is_due in (self.model_extra or {}).items() if is_due is True}


class RepeatsMade(BaseModel):
    """What one call made: the repeats it looked at, the changed prebookings, and the repeats that something hinders."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    repeats: int
    made: int
    moved: int
    cancelled: int
    problems: int
    more: bool  # whether other repeats are due

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers for the summary."""
        return self.model_dump(exclude={"more"})


class ClassDay(BaseModel):
    """A leased day of a venue's timetable, and the classes that its prebookings want."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    venue: Venue
    day: date
    wanted: list[dict[str, Any]]


_day = TypeAdapter(ClassDay).validate_python
_raw = TypeAdapter(list[Any]).validate_python
_count = TypeAdapter(int | None).validate_python


class UpkeepStore:
    """What upkeep asks and stores. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def due(self, *, providers: Iterable[str], keys: Iterable[str], until: Deadline) -> UpkeepDue:
        """Return what is due for these venue systems and keys.

        Stores the heartbeat with this version, and the warnings about logins.
        """
        params: dict[str, Any] = {"p_providers": list(providers), "p_keys": list(keys), "p_version": __version__}
        return (await self._database.call("upkeep_due_v2", params, UpkeepDue.model_validate, until=until)).value

    async def claim_heartbeat(self, instance_id: UUID, *, until: Deadline) -> bool:
        """Return whether this upkeep is the one that reports to the watchdog in this minute."""
        params = {"p_instance": str(instance_id)}
        return (await self._database.call("claim_heartbeat_v1", params, read_bool, until=until)).value

    async def claim_class_days(
        self, instance_id: UUID, *, providers: Iterable[str], limit: int, until: Deadline
    ) -> tuple[list[ClassDay], int]:
        """Lease the days that have to be read now, and return them and the number of those that cannot be parsed."""
        params = {"p_instance": str(instance_id), "p_providers": list(providers), "p_limit": limit}
        rows = (await self._database.call("claim_class_days_v1", params, _raw, until=until)).value
        days = []
        for row in rows:
            with suppress(ValidationError):
                days.append(_day(row))
        return days, len(rows) - len(days)

    async def settle_class_day(
        self, instance_id: UUID, day: ClassDay, found: Sequence[dict[str, Any]] | None, *, until: Deadline
    ) -> int | None:
        """Store what was found on a day (None: it could not be read), and return the number of changed prebookings.

        Returns None if this invocation does not hold the day any more; nothing is changed then.
        """
        params: dict[str, Any] = {"p_instance": str(instance_id), "p_venue_id": str(day.venue.id)}
        params |= {"p_day": day.day.isoformat(), "p_found": found}
        return (await self._database.call("settle_class_day_v1", params, _count, until=until)).value

    async def make_repeats(self, limit: int, *, until: Deadline) -> RepeatsMade:
        """Make the prebookings of the repeats that are due, at most ``limit`` of them."""
        params = {"p_limit": limit}
        return (await self._database.call("make_repeats_v1", params, RepeatsMade.model_validate, until=until)).value
