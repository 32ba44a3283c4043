"""The nouns: what is claimed, how it ends, and what one invocation answers. Frozen, and without I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Kind(StrEnum):
    """How a call, a row or a question to the venue ended. The strings are those in the database."""

    # completed: the venue has it
    BOOKED = "booked"
    ALREADY_BOOKED = "already_booked"
    WAITLISTED = "waitlisted"
    RECONCILED = "reconciled"  # found at the venue afterwards
    # failed: the venue does not have it
    FULL = "full"
    NO_CREDIT = "no_credit"
    LIMIT_REACHED = "limit_reached"
    TOO_EARLY = "too_early"  # final only after it was said in three runs: the opening was computed wrong
    PAYMENT_DUE = "payment_due"
    TOO_LATE = "too_late"
    CONFLICT_SAME_HOUR = "conflict_same_hour"
    CLASS_GONE = "class_gone"
    SESSION_EXPIRED = "session_expired"
    REJECTED = "rejected"
    BAD_DATA = "bad_data"
    # failed, by the database alone, once the class has begun
    EXPIRED = "expired"
    UNKNOWN = "unknown"  # also: a venue that was asked and cannot tell
    # never final
    NOT_SENT = "not_sent"
    BLOCKED = "blocked"
    UNSURE = "unsure"
    NOT_BOOKED = "not_booked"  # a venue that was asked says no


COMPLETED = frozenset({Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.RECONCILED})
FAILED = frozenset(
    {
        Kind.FULL,
        Kind.NO_CREDIT,
        Kind.LIMIT_REACHED,
        Kind.TOO_EARLY,
        Kind.PAYMENT_DUE,
        Kind.TOO_LATE,
        Kind.CONFLICT_SAME_HOUR,
        Kind.CLASS_GONE,
        Kind.SESSION_EXPIRED,
        Kind.REJECTED,
        Kind.BAD_DATA,
    },
)
ENDED_BY_DATABASE = frozenset({Kind.EXPIRED, Kind.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a venue's answer, or the lack of one, means. ``message`` is our own sentence, never the venue's text."""

    kind: Kind
    booking_id: str | None = None
    message: str | None = None


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Venue(_Row):
    """A place that takes bookings: the unit of politeness and of the stagger."""

    id: UUID
    name: str
    provider: str
    host: str | None
    provider_box_id: str | None
    timezone: str
    idempotent: bool


class Prebooking(_Row):
    """A row this invocation holds: who wants which class, and since when it can be booked. Refuses naive datetimes."""

    id: UUID
    venue: Venue
    user_email: str
    booking_data: dict[str, Any]
    available_at: AwareDatetime
    expires_at: AwareDatetime
    created_at: AwareDatetime
    maybe_sent: bool  # an earlier claim may have sent it: ask the venue before anything is sent again
    early_runs: int

    @property
    def order(self) -> tuple[datetime, datetime, UUID]:
        """First come, first served."""
        return (self.available_at, self.created_at, self.id)


@dataclass(frozen=True, slots=True)
class Claim:
    """One answer of the claim: the rows held, and the ids of rows held that cannot be read."""

    rows: tuple[Prebooking, ...]
    unreadable: tuple[UUID, ...] = ()
    expired: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Attempt:
    """What this invocation did about one row, kept from its claim to the end of the run. The one mutable noun."""

    row: Prebooking
    calls: int = 0
    fired_at: datetime | None = None
    answered_at: datetime | None = None
    outcome: Outcome | None = None
    settled: bool | None = None  # the database's word: True it is so, False the row was no longer ours, None not (yet) written


@dataclass(frozen=True, slots=True)
class Summary:
    """What one invocation answers: counts and codes, no personal data."""

    success: bool
    message: str
    instance_id: UUID
    execution_time_ms: int
    timestamp: datetime
    timed_out: bool
    details: dict[str, int]
    lateness_ms: dict[str, int | None]
    outcomes: Counter[str]
    errors: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what is answered and stored."""
        return {
            "success": self.success,
            "message": self.message,
            "instance_id": str(self.instance_id),
            "execution_time_ms": self.execution_time_ms,
            "timestamp": self.timestamp.isoformat(),
            "timed_out": self.timed_out,
            "details": self.details,
            "lateness_ms": self.lateness_ms,
            "outcomes": dict(self.outcomes),
            "errors": self.errors,
        }
