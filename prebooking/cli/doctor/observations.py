"""What the doctor's checks judge: everything that was gathered, or None where it could not be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prebooking.bell import BellState
from prebooking.bookers.call import Reply
from prebooking.clock import Clock, Reading
from prebooking.model import Outcome
from prebooking.operator import DatabaseAccess, SessionView, VenueView
from prebooking.overview import Health, Rows
from prebooking.settings import AccountSettings


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """By how many seconds a clock differs from ours, give or take so many."""

    whose: str
    seconds: float
    give_or_take: float

    @classmethod
    def of(cls, whose: str, at: datetime, asked: Reading, clock: Clock, *, grain: float) -> ClockOffset:
        """Compare a clock that was read between ``asked`` and now; ``grain`` is its smallest step in seconds."""
        waited = asked.elapsed(clock)
        middle = asked.wall + timedelta(seconds=waited / 2)
        return cls(whose, abs((at - middle).total_seconds() + grain / 2), (waited + grain) / 2)


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a venue's page, or at the endpoint; ``reply`` is None if nothing answered."""

    name: str
    reply: Reply | None
    clock: ClockOffset | None = None


@dataclass(frozen=True, slots=True)
class EndpointVisit:
    """The answer of BOOKING_WEBHOOK_URL to a question about a prebooking that does not exist."""

    visit: Visit
    takes_posts: bool  # OPTIONS says so, although the question was answered 404
    question_needed: bool  # some venue is not idempotent: so what is in doubt has to be asked


@dataclass(frozen=True, slots=True)
class SessionLook:
    """A member's login that is needed within a day, and whether it works."""

    known: SessionView
    opens: bool  # with a key that is here
    answer: Outcome | None = None  # why the venue does not take it; None: it does, or was not asked


@dataclass(slots=True)
class Observations:
    """Everything that was gathered."""

    environment: Mapping[str, str]
    problems: dict[str, str] = field(default_factory=dict)  # of the function's settings, per variable
    settings: AccountSettings | None = None
    database_errors: list[str] = field(default_factory=list)  # a sentence for each, with its cure
    caller: DatabaseAccess | None = None
    clock: ClockOffset | None = None
    health: Health | None = None
    bell: BellState | None = None
    venues: Rows[VenueView] | None = None
    visits: list[Visit] = field(default_factory=list)
    endpoint: EndpointVisit | None = None
    sessions: list[SessionLook] | None = None
    unreadable_sessions: list[str] = field(default_factory=list)
