"""The input of the doctor's checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prebooking.bookers.call import Reply
from prebooking.clock import Clock, Reading
from prebooking.database.bell import BellState
from prebooking.database.operator import DatabaseAccess, SessionView, VenueView
from prebooking.database.overview import Health, Rows
from prebooking.model import Kind, Outcome
from prebooking.settings import AccountSettings


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The difference between a clock and this machine's, in seconds, with its uncertainty."""

    whose: str
    seconds: float
    give_or_take: float

    @classmethod
    def of(cls, whose: str, at: datetime, asked: Reading, clock: Clock, *, grain: float) -> ClockOffset:
        """Compare a clock that was read between ``asked`` and now; ``grain`` is its resolution in seconds."""
        waited = asked.elapsed(clock)
        middle = asked.wall + timedelta(seconds=waited / 2)
        return cls(whose, abs((at - middle).total_seconds() + grain / 2), (waited + grain) / 2)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a venue's page or the endpoint; ``reply`` is None without an answer."""

    name: str
    reply: Reply | None
    clock: ClockOffset | None = None


@dataclass(frozen=True, slots=True)
class EndpointVisit:
    """The answer of BOOKING_WEBHOOK_URL to a query about a prebooking that does not exist."""

    visit: Visit
    takes_posts: bool  # by OPTIONS, even if the query was answered with 404
    question_needed: bool  # some venue is not idempotent, so rows in doubt have to be queried


@dataclass(frozen=True, slots=True)
class SessionVisit:
    """A login that is needed within a day, and whether it works."""

    known: SessionView
    opens: bool  # whether a key on this machine decrypts it
    answer: Outcome | None = None  # why the venue does not accept it; None: it does, or was not asked

    @property
    def is_over(self) -> bool:
        """Return whether the venue does not know the login."""
        return self.answer is not None and self.answer.kind is Kind.SESSION_EXPIRED


@dataclass(slots=True)
class Observations:
    """All input of the checks; None for what could not be read."""

    environment: Mapping[str, str]
    problems: dict[str, str] = field(default_factory=dict)  # of the function's settings: one message per variable
    settings: AccountSettings | None = None
    database_errors: list[str] = field(default_factory=list)  # messages with their cures
    caller: DatabaseAccess | None = None
    clock: ClockOffset | None = None
    health: Health | None = None
    bell: BellState | None = None
    venues: Rows[VenueView] | None = None
    visits: list[Visit] = field(default_factory=list)
    endpoint: EndpointVisit | None = None
    sessions: list[SessionVisit] | None = None
    unreadable_sessions: list[str] = field(default_factory=list)
