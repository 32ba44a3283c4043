"""The database functions of the operator's commands: one method calls one function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import AwareDatetime, TypeAdapter

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.database.overview import DatabaseModel, Health, Rows, Status, read_each
from prebooking.model import SealedSession, Venue


class VenueView(Venue):
    """One venue of a list; ``paused_until`` is None when it is in the past."""

    opening_rule: str | None
    enabled: bool
    paused_until: AwareDatetime | None
    pending: int
    late_cancel_hours: int | None = None  # before the start of a class; later a place cannot be given back for free


class PrebookingView(DatabaseModel):
    """One prebooking of a list; ``expires_at`` is the start of its class.

    ``place`` is what the last look has shown about a place on a waiting list; ``place_since`` is the first look that
    showed it, and ``position`` the position on the list.
    """

    id: UUID
    venue: str
    timezone: str
    venue_enabled: bool
    user_email: str
    class_id: str | None
    class_name: str | None
    available_at: AwareDatetime
    expires_at: AwareDatetime
    status: str
    outcome: str | None
    being_booked: bool
    warning: str | None
    class_unknown: bool
    class_warning: str | None
    error_message: str | None
    lateness_ms: int | None
    settled_at: AwareDatetime | None
    given_back_at: AwareDatetime | None = None
    place: str | None = None
    place_since: AwareDatetime | None = None
    position: int | None = None
    choice: int | None = None  # of a later choice: its number, and the first choice of its request
    first_choice: UUID | None = None
    promoted: bool = False  # an earlier choice was refused, so it is called


class SessionView(DatabaseModel):
    """One member's login; ``next_opening`` is the earliest opening for which it is needed."""

    venue: Venue
    user_email: str
    session: SealedSession
    expired_at: AwareDatetime | None
    remembered: bool = False  # the password is stored sealed; the default is for a database that is not migrated yet
    next_opening: AwareDatetime | None


class AddVenueResult(DatabaseModel):
    """The result of adding a venue; ``id`` and ``name`` are those of the existing venue when one conflicts."""

    verdict: Literal["added", "name_taken", "box_taken"]
    id: UUID
    name: str


class SetBoxResult(DatabaseModel):
    """The result of setting a venue's box; ``name`` is that of the venue that already has this box."""

    verdict: Literal["set", "box_taken", "other_box"]
    name: str | None = None


class EditVenueResult(DatabaseModel):
    """The result of changing a venue; ``name`` is that of the venue with which the change conflicts."""

    verdict: Literal["changed", "name_taken", "box_taken", "no_venue"]
    name: str | None = None


class RemoveVenueResult(DatabaseModel):
    """The result of removing a venue: how many ended prebookings, logins and repeats were removed with it."""

    verdict: Literal["removed", "waiting", "no_venue"]
    pending: int = 0
    settled: int = 0
    logins: int = 0
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class NewPrebooking:
    """A prebooking to add. Its id is the caller's, so that a repeated call adds it once."""

    id: UUID
    booking_data: Mapping[str, Any]
    available_at: datetime
    expires_at: datetime


class AddResult(DatabaseModel):
    """The result of adding prebookings; the other fields describe the refused one, or one with which it conflicts."""

    verdict: Literal["added", "waiting", "booked", "same_hour", "too_many", "begun", "no_venue", "bad_data"]
    choice: int = 1  # the number of the refused one
    id: UUID | None = None
    venue: str | None = None
    class_name: str | None = None
    why: str | None = None  # for bad_data: why booking_data cannot be used


class ClaimableRow(DatabaseModel):
    """One row that a claim would take."""

    id: UUID
    venue: Venue
    user_email: str
    available_at: AwareDatetime
    expires_at: AwareDatetime
    maybe_sent: bool


class Preview(DatabaseModel):
    """The rows that a claim would take now, and how many it would end as expired or unknown."""

    now: AwareDatetime
    expired: int
    unknown: int
    rows: list[ClaimableRow]


class DatabaseAccess(DatabaseModel):
    """The caller's role, and per function whether it may execute it; functions that do not exist are left out."""

    now: AwareDatetime
    role: str
    functions: dict[str, bool]


_read_venues = read_each(VenueView)
_read_prebookings = read_each(PrebookingView)
_read_sessions = read_each(SessionView)
_read_counts = TypeAdapter(dict[str, int]).validate_python


class OperatorStore:
    """The database functions that an operator needs. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def add_venue(self, venue: Venue, opening_rule: str | None, *, until: Deadline) -> AddVenueResult:
        """Add a venue with the id it has, so that a repeated call adds it once."""
        params = {
            "p_id": str(venue.id),
            "p_name": venue.name,
            "p_provider": venue.provider,
            "p_host": venue.host,
            "p_box_id": venue.provider_box_id,
            "p_timezone": venue.timezone,
            "p_opening_rule": opening_rule,
        }
        return (await self._database.call("add_venue_v1", params, AddVenueResult.model_validate, until=until)).value

    async def venues(self, *, until: Deadline) -> Rows[VenueView]:
        """Return all venues, ordered by name."""
        return (await self._database.call("list_venues_v1", {}, _read_venues, until=until)).value

    async def enable_venue(self, venue_id: UUID, *, enabled: bool, until: Deadline) -> bool:
        """Enable or disable a venue. Returns False if there is no such venue."""
        params = {"p_id": str(venue_id), "p_enabled": enabled}
        return (await self._database.call("enable_venue_v1", params, read_bool, until=until)).value

    async def set_box(self, venue_id: UUID, box_id: str, *, until: Deadline) -> SetBoxResult:
        """Set a venue's box, unless it has one or another venue has this box."""
        params = {"p_id": str(venue_id), "p_box_id": box_id}
        return (await self._database.call("set_venue_box_v1", params, SetBoxResult.model_validate, until=until)).value

    async def edit_venue(
        self,
        venue_id: UUID,
        *,
        name: str | None,
        timezone: str | None,
        opening_rule: str | None,
        box_id: str | None,
        idempotent: bool | None,
        late_cancel_hours: int | None,
        until: Deadline,
    ) -> EditVenueResult:
        """Change those fields that are not None. ``late_cancel_hours`` 0 removes the limit."""
        params = {
            "p_id": str(venue_id),
            "p_name": name,
            "p_timezone": timezone,
            "p_opening_rule": opening_rule,
            "p_box_id": box_id,
            "p_idempotent": idempotent,
            "p_late_cancel_hours": late_cancel_hours,
        }
        return (await self._database.call("edit_venue_v1", params, EditVenueResult.model_validate, until=until)).value

    async def remove_venue(self, venue_id: UUID, *, until: Deadline) -> RemoveVenueResult:
        """Remove a venue without pending prebookings, with its logins, repeats and ended prebookings."""
        params = {"p_id": str(venue_id)}
        answer = await self._database.call("remove_venue_v1", params, RemoveVenueResult.model_validate, until=until)
        return answer.value

    async def sessions(self, user_email: str | None, *, until: Deadline) -> Rows[SessionView]:
        """Return one member's logins, or all logins if ``user_email`` is None."""
        params = {"p_user_email": user_email}
        return (await self._database.call("list_sessions_v1", params, _read_sessions, until=until)).value

    async def add_prebookings(
        self,
        choices: Iterable[NewPrebooking],
        *,
        venue_id: UUID,
        user_email: str,
        again: bool,
        anyway: bool,
        until: Deadline,
    ) -> AddResult:
        """Add the choices of one request, all or none, each standing after the one before.

        ``again`` allows a class that was booked for the member before; ``anyway`` allows a second class at the same
        hour.
        """
        rows = [
            {
                "id": str(choice.id),
                "booking_data": dict(choice.booking_data),
                "available_at": choice.available_at.isoformat(),
                "expires_at": choice.expires_at.isoformat(),
            }
            for choice in choices
        ]
        params: dict[str, Any] = {"p_venue": str(venue_id), "p_user_email": user_email, "p_choices": rows}
        params |= {"p_again": again, "p_anyway": anyway}
        return (await self._database.call("add_prebookings_v1", params, AddResult.model_validate, until=until)).value

    async def prebookings(
        self, user_email: str | None, *, settled_days: int, limit: int, until: Deadline
    ) -> Rows[PrebookingView]:
        """Return pending prebookings, and those settled in the last ``settled_days`` days, of one member or of all."""
        params = {"p_user_email": user_email, "p_settled_days": settled_days, "p_limit": limit}
        return (await self._database.call("list_prebookings_v1", params, _read_prebookings, until=until)).value

    async def due_elsewhere(self, providers: Iterable[str], *, until: Deadline) -> dict[str, int]:
        """Return, per reason, how many due prebookings a deployment with these providers does not book now."""
        params = {"p_providers": list(providers)}
        return (await self._database.call("due_elsewhere_v1", params, _read_counts, until=until)).value

    async def status(self, *, until: Deadline) -> Status:
        """Return the data of ``prebooking status``."""
        return (await self._database.call("prebooking_status_v1", {}, Status.model_validate, until=until)).value

    async def health(self, *, until: Deadline) -> Health:
        """Return the health data that ``prebooking doctor`` checks."""
        return (await self._database.call("prebooking_watch_v1", {}, Health.model_validate, until=until)).value

    async def preview(
        self,
        *,
        providers: Iterable[str],
        limit: int,
        fire_within: float,
        stagger: float,
        lead: float,
        lease: float,
        turn: float,
        until: Deadline,
    ) -> Preview:
        """Return what a claim with these terms (in seconds) would take, without claiming or recording a tick."""
        params: dict[str, Any] = {"p_instance": str(uuid4()), "p_providers": list(providers), "p_limit": limit}
        durations = {"fire_within": fire_within, "stagger": stagger, "lead": lead, "lease": lease, "turn": turn}
        params |= {f"p_{name}_ms": int(seconds * 1000) for name, seconds in durations.items()}
        return (await self._database.call("preview_claim_v1", params, Preview.model_validate, until=until)).value

    async def access(self, functions: Iterable[str], *, until: Deadline) -> DatabaseAccess:
        """Return the caller's role, and which of these functions it may execute."""
        params = {"p_functions": list(functions)}
        answer = await self._database.call("prebooking_doctor_v1", params, DatabaseAccess.model_validate, until=until)
        return answer.value
