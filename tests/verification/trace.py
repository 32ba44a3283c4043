"""What a simulation leaves: the rows, their history, the venue's ledger, and the calls that were sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from uuid import UUID

from psycopg.rows import class_row

from prebooking.local.demo.checker import ROWS, BothSides, PlaceKey, PrebookingRow
from prebooking.local.venue.twin import Act
from tests.support.doubles import EPOCH
from tests.verification.instance import Instance
from tests.verification.sim_database import Change
from tests.verification.sim_prebooking import SimPrebooking
from tests.verification.simulation import Simulation
from tests.verification.transports import ClockAnswer, SentRequest

_FRESH = 20 * 60 - 5.0  # seconds: an older session is refreshed before a call; clocks differ by up to 5 s

_ROWS = f"""
select row.*, error_message, settled_at, settled_by, retry_after
from ({ROWS}) as row join public.prebookings using (id)
"""  # noqa: S608 - our own query


@dataclass(frozen=True, slots=True)
class RowState(PrebookingRow):
    """A prebooking in the database at the end."""

    error_message: str | None
    settled_at: datetime | None
    settled_by: UUID | None
    retry_after: datetime | None


@dataclass(slots=True)
class RecordedClaim:
    """One claim that took rows, and the rows that other claims held then."""

    at: datetime
    seconds: float  # of simulation time
    by: UUID
    took: set[UUID] = field(default_factory=set)
    held: dict[UUID, UUID] = field(default_factory=dict)  # rows in another's lease
    turns: dict[UUID, UUID] = field(default_factory=dict)  # rows whose holder has the turn
    cut_turns: set[UUID] = field(default_factory=set)  # rows whose holder's turn was ended by a step of the clock
    held_back: set[UUID] = field(default_factory=set)  # rows that may have been sent, or were put off before


class Trace:
    """A simulation that has ended. No fault has an effect after ``quiet_from`` seconds."""

    def __init__(self, sim: Simulation, *, quiet_from: float = 0.0) -> None:
        self.sim, self.quiet_from = sim, quiet_from
        cursor = sim.connection.cursor(row_factory=class_row(RowState))
        self.rows = {row.id: row for row in cursor.execute(_ROWS.encode()).fetchall()}
        self.history = sim.sim_database.history()
        paused = "select id, paused_until from public.venues where paused_until is not null"
        self.paused: dict[UUID, datetime] = dict(sim.connection.execute(paused).fetchall())
        self.ledger = sim.twin.ledger
        self.ended_at = sim.database_time()

    @cached_property
    def claims(self) -> list[RecordedClaim]:
        """Return the claims that took rows, in order."""
        return list(_claims(self.history))

    @cached_property
    def posts(self) -> list[tuple[UUID, UUID, SentRequest]]:
        """Return the booking calls in the order in which they were sent: the invocation, the row, the call."""
        names = {id(run.instance): instance_id for instance_id, run in self.sim.runs.items()}
        return [(names[id(s.instance)], UUID(s.row), s) for s in self.sim.to_venues.sent if s.books]

    @cached_property
    def first_calls(self) -> list[tuple[UUID, UUID, SentRequest]]:
        """Return each invocation's first call for each row, which its queue orders."""
        seen, firsts = set[tuple[UUID, UUID]](), []
        for by, row, sent in self.posts:
            if (by, row) not in seen:
                seen.add((by, row))
                firsts.append((by, row, sent))
        return firsts

    @cached_property
    def cut_openings(self) -> set[tuple[UUID, datetime]]:
        """Return the openings that were claimed after a step of the clock had ended another invocation's turn."""
        return {
            self.opening(row)
            for claim in self.claims
            for row in claim.cut_turns
            if self.opening(row) in {self.opening(taken) for taken in claim.took}
        }

    @cached_property
    def promoted(self) -> dict[UUID, float]:
        """Return the later choices that were promoted, and at which second of the simulation."""
        return {change.id: change.seconds or 0.0 for change in self.history if change.promoted}

    @cached_property
    def later(self) -> list[tuple[RowState, RowState]]:
        """Return every later choice with the earlier one."""
        return [(row, self.rows[row.stands_after]) for row in self.rows.values() if row.stands_after]

    @cached_property
    def ends(self) -> dict[UUID, int]:
        """Return the rows that have ended, and the number of the change that ended each."""
        return {
            change.id: number for number, change in enumerate(self.history) if change.status != change.was == "pending"
        }

    def latest_order(self, prebooking: SimPrebooking) -> tuple[datetime, datetime, UUID]:
        """Return the last place in the queue that a row may have: of a promoted choice it is that of its promotion."""
        joined = max(prebooking.created_at, self.rows[prebooking.id].promoted_at or prebooking.created_at)
        return (prebooking.available_at, joined, prebooking.id)

    def waits_from(self, row: UUID) -> float:
        """Return the second of the simulation from which on a row can be called: added, edited or promoted."""
        return max(self.prebooking(row).made, self.promoted.get(row, 0.0))

    @cached_property
    def changes(self) -> dict[UUID, list[Change]]:
        """Return the changes of each row."""
        changes: dict[UUID, list[Change]] = {row: [] for row in self.rows}
        for change in self.history:
            changes[change.id].append(change)
        return changes

    @cached_property
    def rows_of_venues(self) -> Counter[UUID]:
        """Return how many rows each venue has."""
        return Counter(prebooking.venue for prebooking in self.sim.prebookings.values())

    @cached_property
    def both(self) -> BothSides:
        """Return the rows and the ledger. A row may have a place if it is unknown or if its member has booked it."""
        by_hand, rows = self.sim.booked_by_hand, list(self.rows.values())
        excused = {row.id for row in rows if row.outcome == "unknown" or (row.user_email, row.class_id) in by_hand}
        return BothSides(rows, self.ledger, excused)

    def places(self, row: UUID) -> list[Act]:
        """Return the places that the row's member has in its class."""
        return self.both.places(self.rows[row].key)

    def places_of(self, prebooking: SimPrebooking) -> list[Act]:
        """Return the places that a member has in a class."""
        address = self.sim.system.address(prebooking.venue)
        return self.both.places(PlaceKey(prebooking.member.lower(), prebooking.class_id, address))

    def prebooking(self, row: UUID) -> SimPrebooking:
        return self.sim.prebookings[row]

    def prebooking_at(self, row: UUID, seconds: float) -> SimPrebooking:
        """Return the prebooking as it was at this second of the simulation."""
        return next(prebooking for since, prebooking in reversed(self.sim.versions[row]) if since <= seconds)

    def since(self, row: UUID) -> float:
        """Return the second of the simulation at which the row was added or last edited."""
        return self.sim.versions[row][-1][0]

    def must_log_in(self, row: UUID, seconds: float) -> bool:
        """Return whether the row's session may have to be refreshed before a call; such a row is queued later."""
        age = seconds - self.prebooking(row).logged_in
        return age > _FRESH - self.sim.database_clock.spread.total_seconds()

    def opening(self, row: UUID) -> tuple[UUID, datetime]:
        """Return the opening that a row waits for: a venue and an instant."""
        return (self.prebooking(row).venue, self.prebooking(row).available_at)

    def left_at(self, sent: SentRequest) -> datetime:
        """Return when a call was sent, by the database's clock."""
        return self.sim.database_clock.read(sent.at)

    def known_clock(self, sent: SentRequest) -> tuple[datetime, datetime]:
        """Return the earliest and the latest instant at which the invocation could believe a call to be sent.

        They are equal unless the database's clock was set between the invocation's first response and the call. Then
        every offset of the clock in between is possible, but the response that was requested last rules out those that
        differ from it by more than that request took.
        """
        clock = self.sim.database_clock
        answers = [answer for answer in self.clock_answers[sent.instance] if answer.received <= sent.at]
        offsets = clock.offsets(answers[0].read, sent.at)
        last = max(answers, key=lambda answer: answer.asked)
        [offset, *_] = clock.offsets(last.read, last.read)
        there = last.asked_for - (last.received - last.read)
        low = max(min(offsets), offset - (last.received - last.read))
        high = min(max(offsets), offset + there)
        return EPOCH + timedelta(seconds=sent.at + low), EPOCH + timedelta(seconds=sent.at + high)

    @cached_property
    def clock_answers(self) -> dict[Instance, list[ClockAnswer]]:
        """Return each instance's responses with the database's clock, in the order in which they were received."""
        answers: dict[Instance, list[ClockAnswer]] = {}
        for answer in self.sim.to_database.clock_answers:
            answers.setdefault(answer.instance, []).append(answer)
        return answers

    def due_by(self, row: UUID, within: float) -> datetime:
        """Return when a row must be terminal: ``within`` seconds after nothing prevents it, pauses not counted."""
        prebooking = self.prebooking(row)
        if prebooking.after and row not in self.promoted:
            return self.due_by(prebooking.after, within)  # the end of the earlier choice ends it too
        if not self.sim.system.can_ask(self.sim.connection, prebooking.venue, prebooking.member):
            return max(self.sim.database_clock.read(self.quiet_from), prebooking.expires_at) + timedelta(seconds=within)
        quiet = self.sim.database_clock.read(self.quiet_from)
        made = self.sim.database_clock.read(max(self.waits_from(row), self.quiet_from))
        able = max(prebooking.available_at, made, self.paused.get(prebooking.venue, prebooking.created_at))
        able = max(able, self.rows[row].retry_after or able)
        in_time = max(quiet, min(able, prebooking.expires_at)) + timedelta(seconds=within)
        return in_time + self._others_first(row) + self._asked_again(row)

    def _asked_again(self, row: UUID) -> timedelta:
        """Return how long a box keeps a row in doubt: a lease, and until the next trigger.

        Its page may be out of date. Or it refuses a row because of another class, which it says only in a text.
        """
        in_doubt = self.sim.twin.page.behind or self.rows[row].outcome == "conflict_same_hour"
        return timedelta(seconds=90 if self.sim.kind.is_box and in_doubt else 0)

    def _others_first(self, row: UUID) -> timedelta:
        """Return for how long other rows of the venue may be called first.

        A run claims ten rows per minute of those that were held back, and forty of those that are only in doubt.
        """
        venue = self.prebooking(row).venue
        changes, others = self.changes[row], self.rows_of_venues[venue]
        if venue in self.paused or any(change.held_back for change in changes):
            return timedelta(minutes=others // 10)
        was_leased = any(change.claimed_by or change.maybe_sent for change in changes)  # by a run that left it in doubt
        return timedelta(minutes=others // 40 if was_leased else 0)


def _claims(history: list[Change]) -> Iterator[RecordedClaim]:
    """Return every claim in the history, with the rows that others held then."""
    state: dict[UUID, Change] = {}
    # Per claimed row: the end of its turn in simulation time and by the database's clock.
    turns: dict[UUID, tuple[float, datetime | None]] = {}
    for (at, seconds, by), changes in groupby(history, key=_claim_of):
        group = list(changes)
        if by is not None:
            claim = _claim(RecordedClaim(at, seconds, by, {change.id for change in group}), state)
            claim.cut_turns = {
                row
                for row, (until, turn_until) in turns.items()
                if until > seconds and turn_until and turn_until <= at and state[row].turn_until == turn_until
                if state[row].claimed_by not in {None, by}
            }
            yield claim
        for change in group:
            state[change.id] = change
            if by is not None and change.turn_until is not None:
                turns[change.id] = (seconds + (change.turn_until - at).total_seconds(), change.turn_until)


def _claim_of(change: Change) -> tuple[datetime, float, UUID | None]:
    is_claim = change.claimed_by is not None and change.claimed_by != change.was_claimed_by
    return (change.at, change.seconds or 0.0, change.claimed_by if is_claim else None)


def _claim(claim: RecordedClaim, state: dict[UUID, Change]) -> RecordedClaim:
    at, by = claim.at, claim.by
    for row, change in state.items():
        if change.claimed_by is not None and change.claimed_by != by:
            if change.claimed_until is not None and change.claimed_until > at:
                claim.held[row] = change.claimed_by
            if change.turn_until is not None and change.turn_until > at:
                claim.turns[row] = change.claimed_by
        is_held = change.claimed_until is not None and change.claimed_until > at
        if change.held_back or (change.claimed_by is not None and not is_held):
            claim.held_back.add(row)
    return claim
