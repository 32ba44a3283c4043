"""What an operator asks the database, and has it do: one method is one function of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import AwareDatetime, TypeAdapter

from prebooking.clock import Deadline
from prebooking.model import SealedSession, Venue
from prebooking.overview import DatabaseModel, Health, Rows, Status, read_each
from prebooking.supabase import IsolatedSupabase


class VenueView(Venue):
    """A venue as the operator sees it; ``paused_until`` only while it lies ahead."""

    opening_rule: str | None
    enabled: bool
    paused_until: AwareDatetime | None
    pending: int


class PrebookingView(DatabaseModel):
    """A prebooking as it stands; ``expires_at`` is its class's start."""

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
    error_message: str | None
    lateness_ms: int | None
    settled_at: AwareDatetime | None


class SessionView(DatabaseModel):
    """A member's login; ``next_opening`` is that of the first prebooking that needs it."""

    venue: Venue
    user_email: str
    session: SealedSession
    expired_at: AwareDatetime | None
    next_opening: AwareDatetime | None


class AddVenueResult(DatabaseModel):
    """What became of a venue that was to be added; otherwise the one in its way."""

    verdict: Literal["added", "name_taken", "box_taken"]
    id: UUID
    name: str


class SetBoxResult(DatabaseModel):
    """Whether a venue has this box now; ``name`` is that of the venue which is this box already."""

    verdict: Literal["set", "box_taken", "other_box"]
    name: str | None = None


class EditVenueResult(DatabaseModel):
    """Whether a venue was changed; ``name`` is that of the venue in its way."""

    verdict: Literal["changed", "name_taken", "box_taken", "no_venue"]
    name: str | None = None


class RemoveVenueResult(DatabaseModel):
    """Whether a venue was removed, and what with it: prebookings that have ended, and logins."""

    verdict: Literal["removed", "waiting", "no_venue"]
    pending: int = 0
    settled: int = 0
    logins: int = 0


class AddResult(DatabaseModel):
    """What became of a prebooking that was to be added; the rest is about it, or about the one in its way."""

    verdict: Literal["added", "waiting", "booked", "same_hour", "too_many", "begun", "no_venue", "bad_data"]
    id: UUID | None = None
    venue: str | None = None
    class_name: str | None = None
    why: str | None = None  # the data cannot be read


class ClaimableRow(DatabaseModel):
    """A row that a claim would take."""

    id: UUID
    venue: Venue
    user_email: str
    available_at: AwareDatetime
    expires_at: AwareDatetime
    maybe_sent: bool


class Preview(DatabaseModel):
    """What a claim would take and end, right now."""

    now: AwareDatetime
    expired: int
    unknown: int
    rows: list[ClaimableRow]


class DatabaseAccess(DatabaseModel):
    """What a caller has at the database: its role, and which functions it may execute; what is missing is left out."""

    now: AwareDatetime
    role: str
    functions: dict[str, bool]


_venues = read_each(VenueView)
_prebookings = read_each(PrebookingView)
_sessions = read_each(SessionView)
_counts = TypeAdapter(dict[str, int]).validate_python
_yes_or_no = TypeAdapter(bool).validate_python


class OperatorStore:
    """The database as an operator uses it. Every method raises a StoreError when there is no usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def add_venue(self, venue: Venue, opening_rule: str | None, *, until: Deadline) -> AddVenueResult:
        """Add a venue under its id."""
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
        """Return every venue, by its name."""
        return (await self._database.call("list_venues_v1", {}, _venues, until=until)).value

    async def enable_venue(self, venue_id: UUID, *, enabled: bool, until: Deadline) -> bool:
        """Start a venue, or stop it until it is started; False: there is no such venue."""
        params = {"p_id": str(venue_id), "p_enabled": enabled}
        return (await self._database.call("enable_venue_v1", params, _yes_or_no, until=until)).value

    async def set_box(self, venue_id: UUID, box_id: str, *, until: Deadline) -> SetBoxResult:
        """Give a venue its box, if it has none and no other venue is this one."""
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
        until: Deadline,
    ) -> EditVenueResult:
        """Change what is not None of a venue."""
        params = {
            "p_id": str(venue_id),
            "p_name": name,
            "p_timezone": timezone,
            "p_opening_rule": opening_rule,
            "p_box_id": box_id,
            "p_idempotent": idempotent,
        }
        return (await self._database.call("edit_venue_v1", params, EditVenueResult.model_validate, until=until)).value

    async def remove_venue(self, venue_id: UUID, *, until: Deadline) -> RemoveVenueResult:
        """Remove a venue at which nothing waits, with its logins and what has ended there."""
        params = {"p_id": str(venue_id)}
        return (
            await self._database.call("remove_venue_v1", params, RemoveVenueResult.model_validate, until=until)
        ).value

    async def sessions(self, user_email: str | None, *, until: Deadline) -> Rows[SessionView]:
        """Return a member's logins, or everybody's."""
        params = {"p_user_email": user_email}
        return (await self._database.call("list_sessions_v1", params, _sessions, until=until)).value

    async def add_prebooking(
        self,
        row_id: UUID,
        *,
        venue_id: UUID,
        user_email: str,
        booking_data: Mapping[str, Any],
        available_at: datetime,
        expires_at: datetime,
        again: bool,
        anyway: bool,
        until: Deadline,
    ) -> AddResult:
        """Add a member's prebooking under an id.

        ``again``: also if the class was booked for the member once. ``anyway``: also if the member has a class at the
        same hour.
        """
        params = {
            "p_id": str(row_id),
            "p_venue": str(venue_id),
            "p_user_email": user_email,
            "p_booking_data": dict(booking_data),
            "p_available_at": available_at.isoformat(),
            "p_expires_at": expires_at.isoformat(),
            "p_again": again,
            "p_anyway": anyway,
        }
        return (await self._database.call("add_prebooking_v1", params, AddResult.model_validate, until=until)).value

    async def prebookings(
        self, user_email: str | None, *, settled_days: int, limit: int, until: Deadline
    ) -> Rows[PrebookingView]:
        """Return a member's prebookings, or everybody's: what waits, and what has ended in so many days."""
        params = {"p_user_email": user_email, "p_settled_days": settled_days, "p_limit": limit}
        return (await self._database.call("list_prebookings_v1", params, _prebookings, until=until)).value

    async def due_elsewhere(self, providers: Iterable[str], *, until: Deadline) -> dict[str, int]:
        """Return how many due prebookings a deployment with these providers does not book now, by the reason."""
        params = {"p_providers": list(providers)}
        return (await self._database.call("due_elsewhere_v1", params, _counts, until=until)).value

    async def status(self, *, until: Deadline) -> Status:
        """Return how it stands."""
        return (await self._database.call("prebooking_status_v1", {}, Status.model_validate, until=until)).value

    async def health(self, *, until: Deadline) -> Health:
        """Return what tells whether prebookings will be booked."""
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
        """Return what such a claim would take, durations in seconds; nothing is claimed, and no tick is noted."""
        params: dict[str, Any] = {"p_instance": str(uuid4()), "p_providers": list(providers), "p_limit": limit}
        durations = {"fire_within": fire_within, "stagger": stagger, "lead": lead, "lease": lease, "turn": turn}
        params |= {f"p_{name}_ms": int(seconds * 1000) for name, seconds in durations.items()}
        return (await self._database.call("preview_claim_v1", params, Preview.model_validate, until=until)).value

    async def access(self, functions: Iterable[str], *, until: Deadline) -> DatabaseAccess:
        """Return who the caller is there, and which of these functions it may execute."""
        params = {"p_functions": list(functions)}
        return (
            await self._database.call("prebooking_doctor_v1", params, DatabaseAccess.model_validate, until=until)
        ).value
