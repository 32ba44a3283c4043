"""The data of a run: venues, prebookings, outcomes and the summary. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field


class Kind(StrEnum):
    """The outcome of a call, of a row or of a question to the venue. The database has the same strings."""

    # completed: the venue has it
    BOOKED = "booked"
    ALREADY_BOOKED = "already_booked"
    WAITLISTED = "waitlisted"
    RECONCILED = "reconciled"  # found at the venue afterwards
    # failed: the venue does not have it
    FULL = "full"
    NO_CREDIT = "no_credit"
    LIMIT_REACHED = "limit_reached"
    TOO_EARLY = "too_early"  # final only after it was said for a quarter of an hour: the opening was computed wrong
    PAYMENT_DUE = "payment_due"
    TOO_LATE = "too_late"
    CONFLICT_SAME_HOUR = "conflict_same_hour"
    CLASS_GONE = "class_gone"
    SESSION_EXPIRED = "session_expired"
    REJECTED = "rejected"
    BAD_DATA = "bad_data"
    # failed, by the database alone, once the class has begun
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    # never final
    NOT_SENT = "not_sent"
    BLOCKED = "blocked"
    BLOCKED_ALONE = "blocked_alone"  # the venue blocks this row again, and has booked others meanwhile
    UNSURE = "unsure"
    NOT_BOOKED = "not_booked"  # a venue that was asked says no
    MISSING = "missing"  # the venue's whole list, seen with a living login, does not have the class
    CANNOT_TELL = "cannot_tell"  # a venue that was asked gave no clear answer
    NOT_READY = "not_ready"  # the row cannot be called now, for want of a login or through a fault of ours
    LOGGED_OUT = "logged_out"  # a call was answered "log in again": nothing was booked by it


COMPLETED = frozenset({Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.RECONCILED})
# The refusals that an answer of the venue can name: the contract of a booking endpoint lists them.
NAMED_REFUSALS = frozenset(
    {
        Kind.FULL,
        Kind.NO_CREDIT,
        Kind.LIMIT_REACHED,
        Kind.PAYMENT_DUE,
        Kind.TOO_LATE,
        Kind.CONFLICT_SAME_HOUR,
        Kind.CLASS_GONE,
    }
)
FAILED = NAMED_REFUSALS | {Kind.TOO_EARLY, Kind.SESSION_EXPIRED, Kind.REJECTED, Kind.BAD_DATA}
ENDED_BY_DATABASE = frozenset({Kind.EXPIRED, Kind.UNKNOWN})

# What a member reads. Our own sentences: a venue's text may hold anything.
SENTENCES = {
    Kind.FULL: "The class was full.",
    Kind.NO_CREDIT: "There was no credit left for this class.",
    Kind.LIMIT_REACHED: "The limit of bookings was reached.",
    Kind.TOO_EARLY: "The venue said for a quarter of an hour that booking is not open yet: check the opening.",
    Kind.PAYMENT_DUE: "The venue waits for a payment.",
    Kind.TOO_LATE: "The venue does not take bookings for this class any more.",
    Kind.CONFLICT_SAME_HOUR: "Another class at the same hour is booked.",
    Kind.CLASS_GONE: "The class does not exist any more.",
    Kind.SESSION_EXPIRED: "The venue asks the member to log in again.",
    Kind.REJECTED: "The venue refused the booking.",
    Kind.BAD_DATA: "The prebooking's data cannot be turned into a booking.",
}


_DEEPEST = 100  # levels of brackets: how many Python reads and writes depends on its version


@dataclass(frozen=True, slots=True)
class Outcome:
    """The meaning of a venue's answer, or of its absence. ``detail`` is our own text, never the venue's.

    ``if_booked`` and ``if_not_booked`` are the outcomes of an unsure call once the venue was asked about it. Without
    ``if_not_booked`` the next run calls again.
    """

    kind: Kind
    booking_id: str | None = None
    detail: str | None = None
    if_booked: Kind = Kind.RECONCILED
    if_not_booked: Kind | None = None

    @property
    def sentence(self) -> str:
        """Return the sentence for the member."""
        sentence = SENTENCES.get(self.kind, self.kind.value)
        return f"{sentence} {self.detail}" if self.detail else sentence


def _read_json(value: object) -> object:
    """Read JSON text. Refuses numbers of thousands of digits, and more levels than every Python can read and write."""
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ValueError("is no JSON that can be read") from None
    if _is_deeper(read, levels=_DEEPEST):
        raise ValueError(f"has more than {_DEEPEST} levels of brackets")
    return read


def _is_deeper(value: object, *, levels: int) -> bool:
    """Return whether a JSON value has more than ``levels`` levels of brackets."""
    level = [value]
    for _ in range(levels + 1):
        lists = [
            list(each.values()) if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        level = [inner for each in lists for inner in each]
        if not lists:
            return False
    return True


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Venue(_Row):
    """A place that takes bookings. The stagger and the pauses apply per venue."""

    id: UUID
    name: str
    provider: str
    host: str | None
    provider_box_id: str | None
    timezone: str
    idempotent: bool


class SealedSession(_Row):
    """A member's stored login at a venue. Only the newest version is valid."""

    sealed: str = Field(repr=False)
    version: int
    refreshed_at: AwareDatetime


class Prebooking(_Row):
    """A row that this invocation holds: the member, the class, and the opening."""

    id: UUID
    venue: Venue
    user_email: str
    booking_data: Annotated[dict[str, Any], BeforeValidator(_read_json)]
    available_at: AwareDatetime
    expires_at: AwareDatetime
    created_at: AwareDatetime
    maybe_sent: bool  # an earlier claim may have sent it: ask the venue before anything is sent again
    attempts: int = 0  # booking calls of earlier runs
    unclear: int = 0  # of these, calls without a clear answer
    early_since: AwareDatetime | None = None  # the venue's first "too early"
    missing_since: AwareDatetime | None = None  # the venue's full list did not have the class
    setbacks: int = 0  # runs in a row in which the row could not get on
    if_not_booked: Kind | None = None  # its outcome, if the venue is asked after the lease and says no
    blocks: int = 0  # calls of this row that were answered "blocked" ...
    alone: bool = False  # ... while the venue has answered others since
    session: SealedSession | None = None  # for venues where the member's own login books
    session_over: bool = False  # the venue has ended the member's login

    @property
    def could_not_get_on(self) -> bool:
        """Return whether earlier runs were held up with this row. Such rows are called after all others."""
        return self.blocks > 0 or self.setbacks > 0

    @property
    def order(self) -> tuple[bool, datetime, datetime, UUID]:
        """Return the sort key: first come, first served, and rows that were held up before after all others."""
        return (self.could_not_get_on, self.available_at, self.created_at, self.id)


class Verdict(StrEnum):
    """What the end of a run notes about a row that is not settled. The database has the same strings."""

    UNSURE = "unsure"  # sent, no clear answer: stays leased, then the venue is asked
    BLOCKED = "blocked"  # sent, the venue blocks us: stays leased, and is counted
    BLOCKED_ALONE = "blocked_alone"  # sent, the venue blocks this row and has booked others: the same
    TOO_EARLY = "too_early"
    LOGGED_OUT = "logged_out"
    NOT_READY = "not_ready"  # nothing sent, because the row could not be prepared
    CANNOT_TELL = "cannot_tell"  # the venue was asked about an earlier call, and nothing was sent
    MISSING = "missing"  # the same, because the venue's full list does not have the class
    NOT_BOOKED = "not_booked"  # asked after the lease, and nothing was sent since


@dataclass(frozen=True, slots=True)
class Sent:
    """What the end of a run notes about one unsettled row. ``attempts`` and ``unclear`` count all runs."""

    id: UUID
    attempts: int
    fired_at: datetime | None  # the first call's first byte, on the database's clock
    verdict: Verdict
    unclear: int = 0
    if_not_booked: Kind | None = None


@dataclass(slots=True)
class RowResult:
    """The result of one row so far. It changes until the end of the run.

    ``outcome`` is the outcome that is true if the invocation ends now: None while nothing was sent, ``unsure`` as soon
    as a first byte may have been sent, then the meaning of the answer.
    """

    id: UUID
    outcome: Outcome | None = None
    settled: bool | None = None  # what the database said: it is so, or the row was no longer ours; None: not written
    calls: int = 0
    unclear: int = 0
    sent_at: float | None = None  # the last call's first byte, on the monotonic clock
    fired_at: datetime | None = None  # the first call's first byte, on the database's clock
    answered_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Attempt(RowResult):
    """The result of a row that this invocation can read, with the row."""

    row: Prebooking

    @classmethod
    def of(cls, row: Prebooking) -> Attempt:
        """Begin an attempt at the row."""
        return cls(row.id, row=row)


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one invocation: counts and codes, no personal data."""

    success: bool
    message: str
    instance_id: UUID
    execution_time_ms: int
    timestamp: datetime
    timed_out: bool
    details: dict[str, int]
    lateness_ms: dict[str, int | None]
    outcomes: dict[str, int]
    errors: list[dict[str, str]]

    def as_json(self) -> dict[str, Any]:
        """Return the body of the HTTP answer, which the database stores too."""
        return {
            "success": self.success,
            "message": self.message,
            "instance_id": str(self.instance_id),
            "execution_time_ms": self.execution_time_ms,
            "timestamp": self.timestamp.isoformat(),
            "timed_out": self.timed_out,
            "details": self.details,
            "lateness_ms": self.lateness_ms,
            "outcomes": self.outcomes,
            "errors": self.errors,
        }
