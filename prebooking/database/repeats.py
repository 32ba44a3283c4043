"""The database functions of repeats and absences: one method calls one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase
from prebooking.database.overview import DatabaseModel, Rows, read_each


@dataclass(frozen=True, slots=True)
class LaterChoice:
    """A later choice of a repeat: its day counted from the first choice's, its hour, and its class.

    ``class_name`` is None for any class at that hour.
    """

    days: int
    clock: time
    class_name: str | None


@dataclass(frozen=True, slots=True)
class NewRepeat:
    """A repeat to add. ``weekday`` is 1 for Monday; ``data`` is the template of its prebookings' data."""

    id: UUID
    venue_id: UUID
    user_email: str
    weekday: int
    clock: time
    data: Mapping[str, Any]
    later: Sequence[LaterChoice] = ()
    last_day: date | None = None


class PrebookingBrief(DatabaseModel):
    """A prebooking in the answer of a command; ``expires_at`` is the start of its class."""

    id: UUID
    venue: str
    timezone: str
    class_name: str | None
    class_id: str | None
    available_at: AwareDatetime
    expires_at: AwareDatetime


class RepeatView(DatabaseModel):
    """One repeat of a list. ``over``: it makes no prebookings any more. ``next``: its pending prebookings."""

    id: UUID
    venue: str
    timezone: str
    user_email: str
    weekday: int
    starts_at: str
    class_name: str | None
    later: list[dict[str, Any]]
    last_day: date | None
    paused: bool
    over: bool
    problem: str | None
    next: list[PrebookingBrief]


class RepeatResult(DatabaseModel):
    """The result of a change of a repeat.

    ``id`` is that of an existing repeat with which a new one conflicts. ``left``: prebookings that may be at the venue.
    """

    verdict: Literal["added", "exists", "over", "no_rule", "no_venue", "paused", "resumed", "removed", "not_found"]
    id: UUID | None = None
    problem: str | None = None
    made: tuple[PrebookingBrief, ...] = ()
    cancelled: tuple[PrebookingBrief, ...] = ()
    left: tuple[PrebookingBrief, ...] = ()


class AbsenceView(DatabaseModel):
    """The days on which a member is away, both included."""

    id: UUID
    user_email: str
    first_day: date
    last_day: date


class AbsenceResult(DatabaseModel):
    """The result of a change of an absence; with ``exists`` the absence that has these days already."""

    verdict: Literal["added", "exists", "over", "removed", "not_found"]
    id: UUID | None = None
    first_day: date | None = None
    last_day: date | None = None
    made: tuple[PrebookingBrief, ...] = ()
    cancelled: tuple[PrebookingBrief, ...] = ()
    left: tuple[PrebookingBrief, ...] = ()
    booked: tuple[PrebookingBrief, ...] = ()


_repeats = read_each(RepeatView)
_absences = read_each(AbsenceView)


class RepeatStore:
    """Repeats and absences. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def add(self, new: NewRepeat, *, until: Deadline) -> RepeatResult:
        """Add a repeat with the id it has, so that a repeated call adds it once."""
        params = {
            "p_id": str(new.id),
            "p_venue": str(new.venue_id),
            "p_user_email": new.user_email,
            "p_weekday": new.weekday,
            "p_starts_at": _clock(new.clock),
            "p_booking_data": dict(new.data),
            "p_later": [
                {"days": each.days, "starts_at": _clock(each.clock), "class_name": each.class_name}
                for each in new.later
            ],
            "p_last_day": new.last_day.isoformat() if new.last_day else None,
        }
        return await self._change("add_repeat_v1", params, until)

    async def all(self, user_email: str | None, *, until: Deadline) -> Rows[RepeatView]:
        """Return the repeats of one member, or of all."""
        return (await self._database.call("list_repeats_v1", {"p_user_email": user_email}, _repeats, until=until)).value

    async def pause(self, repeat: UUID, *, paused: bool, until: Deadline) -> RepeatResult:
        """Pause a repeat and cancel its prebookings, or resume it and make them."""
        return await self._change("pause_repeat_v1", {"p_id": str(repeat), "p_paused": paused}, until)

    async def remove(self, repeat: UUID, *, until: Deadline) -> RepeatResult:
        """Remove a repeat and cancel its prebookings."""
        return await self._change("remove_repeat_v1", {"p_id": str(repeat)}, until)

    async def add_absence(
        self, absence: UUID, user_email: str, first: date, last: date, *, until: Deadline
    ) -> AbsenceResult:
        """Add an absence with this id, and cancel the member's prebookings on its days."""
        params = {"p_id": str(absence), "p_user_email": user_email}
        params |= {"p_first": first.isoformat(), "p_last": last.isoformat()}
        answer = await self._database.call("add_absence_v1", params, AbsenceResult.model_validate, until=until)
        return answer.value

    async def absences(self, user_email: str | None, *, until: Deadline) -> Rows[AbsenceView]:
        """Return the absences of one member, or of all, that are not over."""
        params = {"p_user_email": user_email}
        return (await self._database.call("list_absences_v1", params, _absences, until=until)).value

    async def remove_absence(self, absence: UUID, *, until: Deadline) -> AbsenceResult:
        """Remove an absence, and make the prebookings of the member's repeats on its days."""
        params = {"p_id": str(absence)}
        answer = await self._database.call("remove_absence_v1", params, AbsenceResult.model_validate, until=until)
        return answer.value

    async def _change(self, function: str, params: dict[str, Any], until: Deadline) -> RepeatResult:
        return (await self._database.call(function, params, RepeatResult.model_validate, until=until)).value


def _clock(clock: time) -> str:
    return f"{clock:%H:%M}"
