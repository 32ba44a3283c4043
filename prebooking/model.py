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
    """The outcome of a call, of a row or of a query to the venue. The database uses the same strings."""

    # status completed: the venue has the booking
    BOOKED = "booked"
    ALREADY_BOOKED = "already_booked"
    WAITLISTED = "waitlisted"
    RECONCILED = "reconciled"  # a call had no clear answer; a later query found the booking
    # status failed: the venue does not have the booking
    FULL = "full"
    NO_CREDIT = "no_credit"
    LIMIT_REACHED = "limit_reached"
    TOO_EARLY = "too_early"  # final only after 15 minutes of this answer: the stored opening is wrong
    PAYMENT_DUE = "payment_due"
    TOO_LATE = "too_late"
    CONFLICT_SAME_HOUR = "conflict_same_hour"
    CLASS_GONE = "class_gone"
    SESSION_EXPIRED = "session_expired"
    REJECTED = "rejected"
    BAD_DATA = "bad_data"
    # status failed, written only by the database, when the class has begun
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    # never final
    NOT_SENT = "not_sent"
    BLOCKED = "blocked"
    BLOCKED_ALONE = "blocked_alone"  # a further call was answered "blocked", while the venue accepted other rows
    UNSURE = "unsure"
    NOT_BOOKED = "not_booked"  # answer to a query: the member does not have the place
    MISSING = "missing"  # answer to a query with a valid login: the full list of the venue does not contain the class
    CANNOT_TELL = "cannot_tell"  # a query got no clear answer
    NOT_READY = "not_ready"  # the row cannot be called now, because it has no login or because of a failure on our side
    LOGGED_OUT = "logged_out"  # a call was answered "log in again", so it booked nothing


COMPLETED = frozenset({Kind.BOOKED, Kind.ALREADY_BOOKED, Kind.WAITLISTED, Kind.RECONCILED})
# The refusals with a reason that a venue can answer. The contract of a booking endpoint lists them.
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

# The messages for members. Texts of venues are never shown, because they may contain anything.
SENTENCES = {
    Kind.FULL: "The class was full.",
    Kind.NO_CREDIT: "There was no credit left for this class.",
    Kind.LIMIT_REACHED: "The limit of bookings was reached.",
    Kind.TOO_EARLY: "The venue answered for 15 minutes that booking is not open yet: check the opening.",
    Kind.PAYMENT_DUE: "The venue requires a payment first.",
    Kind.TOO_LATE: "The venue does not take bookings for this class any more.",
    Kind.CONFLICT_SAME_HOUR: "The member already has another class at the same time.",
    Kind.CLASS_GONE: "The class does not exist any more.",
    Kind.SESSION_EXPIRED: "The venue asks the member to log in again.",
    Kind.REJECTED: "The venue refused the booking.",
    Kind.BAD_DATA: "The prebooking's data cannot be turned into a booking.",
    Kind.EXPIRED: "The class began before anything was sent.",
    Kind.UNKNOWN: "It may have been sent, and the result was still unclear when the class began.",
}

_DEEPEST = 100  # nested brackets in JSON; the limit of Python's json module depends on its version


@dataclass(frozen=True, slots=True)
class Outcome:
    """The meaning of a venue's answer or of a missing answer. ``detail`` is our own text, never the venue's.

    ``if_booked`` and ``if_not_booked`` are the row's final outcomes if a query after an unsure call finds a booking or
    finds none. If ``if_not_booked`` is None, a later run calls again.
    """

    kind: Kind
    booking_id: str | None = None
    detail: str | None = None
    if_booked: Kind = Kind.RECONCILED
    if_not_booked: Kind | None = None

    @property
    def sentence(self) -> str:
        """Return the message for the member."""
        sentence = SENTENCES.get(self.kind, self.kind.value)
        return f"{sentence} {self.detail}" if self.detail else sentence


def _read_json(value: object) -> object:
    """Parse JSON text. Refuses numbers of thousands of digits, and nesting too deep for some Python version."""
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ValueError("is not valid JSON") from None
    if _is_deeper(read, levels=_DEEPEST):
        raise ValueError(f"is nested more than {_DEEPEST} levels deep")
    return read


def _is_deeper(value: object, *, levels: int) -> bool:
    """Return whether a JSON value is nested more than ``levels`` levels deep."""
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
    """A place where classes are booked. The stagger and the pauses apply per venue."""

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
    maybe_sent: bool  # an earlier run may have called the venue: query the venue before the next call
    attempts: int = 0  # number of booking calls in earlier runs
    unclear: int = 0  # of these, calls without a clear answer
    early_since: AwareDatetime | None = None  # time of the venue's first "too early" answer
    missing_since: AwareDatetime | None = None  # time of the first query whose full list did not contain the class
    setbacks: int = 0  # runs without progress since the last "not booked" answer
    if_not_booked: Kind | None = None  # its final outcome if a query after the lease finds no booking
    blocks: int = 0  # calls of this row that were answered "blocked"
    alone: bool = False  # the venue has clearly answered other rows since the first of these
    session: SealedSession | None = None  # for venues that are booked with the member's own login
    session_over: bool = False  # the venue refused the member's stored login: a new login is needed

    @property
    def had_no_progress(self) -> bool:
        """Return whether earlier runs made no progress with this row. Such rows are called after all others."""
        return self.blocks > 0 or self.setbacks > 0

    @property
    def order(self) -> tuple[bool, datetime, datetime, UUID]:
        """Return the sort key: by opening, then by creation; rows without progress after all others."""
        return (self.had_no_progress, self.available_at, self.created_at, self.id)


class Verdict(StrEnum):
    """What finish_run stores for a row that is not settled. The database uses the same strings."""

    UNSURE = "unsure"  # sent, no clear answer: stays leased, then a later run queries the venue
    BLOCKED = "blocked"  # sent, the venue blocks us: stays leased, and the row's count of blocks is set to 1
    BLOCKED_ALONE = "blocked_alone"  # sent, the venue blocks only this row: the same, but the count grows by 1
    TOO_EARLY = "too_early"
    LOGGED_OUT = "logged_out"
    NOT_READY = "not_ready"  # not sent: the row could not be prepared
    CANNOT_TELL = "cannot_tell"  # not sent: a query about an earlier call got no clear answer
    MISSING = "missing"  # not sent: the venue's full list does not contain the class
    NOT_BOOKED = "not_booked"  # a query after the lease found no booking, and nothing was sent after it


@dataclass(frozen=True, slots=True)
class RowNote:
    """What finish_run stores for one unsettled row. ``attempts`` and ``unclear`` are totals of all runs."""

    id: UUID
    attempts: int
    fired_at: datetime | None  # the first call's first byte, on the database's clock
    verdict: Verdict
    unclear: int = 0
    if_not_booked: Kind | None = None


@dataclass(slots=True)
class RowResult:
    """The result of one row so far. It changes until the end of the run.

    ``outcome`` is always correct in case the invocation is cancelled now: None while nothing was sent, ``unsure`` as
    soon as a first byte may have been sent, then the meaning of the answer.
    """

    id: UUID
    outcome: Outcome | None = None
    settled: bool | None = None  # True: settled; False: this run no longer held the row; None: not written
    calls: int = 0
    unclear: int = 0
    sent_at: float | None = None  # the last call's first byte, on the monotonic clock
    fired_at: datetime | None = None  # the first call's first byte, on the database's clock
    answered_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Attempt(RowResult):
    """The result of a row whose data Python could parse, together with the row."""

    row: Prebooking

    @classmethod
    def of(cls, row: Prebooking) -> Attempt:
        """Create the result of a row on which nothing was done yet."""
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
