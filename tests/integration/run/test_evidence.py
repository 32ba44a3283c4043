"""The table of evidence: which outcome is final on which evidence, tried for each outcome."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED, Kind, Outcome
from prebooking.run.evidence import Evidence, proves
from tests.support.bookers import ScriptedBooker
from tests.support.calls import claimed, complete, fail
from tests.support.database import Connection, Database
from tests.support.doubles import EPOCH
from tests.support.factories import add_prebooking, add_venue
from tests.support.world import BOOKED, PENDING, World, gaps, minutes

FINAL = COMPLETED | FAILED | ENDED_BY_DATABASE


def test_only_final_outcomes_are_proven_by_evidence() -> None:
    """I8."""
    for kind in Kind:
        assert any(proves(evidence, kind) for evidence in Evidence) is (kind in FINAL), kind


def test_only_expiry_proves_the_outcomes_that_the_database_writes() -> None:
    for kind in ENDED_BY_DATABASE:
        assert [evidence for evidence in Evidence if proves(evidence, kind)] == [Evidence.EXPIRY]


@pytest.mark.parametrize("kind", sorted(Kind))
def test_a_run_can_write_exactly_the_outcomes_that_its_evidence_proves(database: Database, kind: Kind) -> None:
    owner, instance = database.connection, uuid4()
    row = add_prebooking(owner, add_venue(owner))
    assert claimed(owner, instance) == [row]
    allowed = kind in FINAL and not proves(Evidence.EXPIRY, kind)
    assert writes(owner, row, instance, kind) is allowed


def writes(connection: Connection, row: UUID, instance: UUID, kind: Kind) -> bool:
    """Return whether one of the two settling functions writes the outcome."""
    for settle in (complete, fail):
        with suppress(psycopg.Error):
            if settle(connection, row, instance, str(kind)):
                return True
    return False


@pytest.mark.parametrize("kind", sorted(Kind))
def test_an_answer_is_final_exactly_when_the_table_says_so(world: World, kind: Kind) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker(answer=Outcome(kind)))
    world.run(world.invoke())
    ended = (world.row(row)["status"] != "pending", world.row(row)["outcome"])
    assert ended == ((True, str(kind)) if proves(Evidence.ANSWER, kind) else (False, None))


@pytest.mark.parametrize("kind", sorted(Kind))
def test_a_confirmation_is_final_exactly_when_the_table_says_so(world: World, kind: Kind) -> None:
    [row] = world.opening(1, maybe_sent=True)
    booker = world.use(ScriptedBooker(answer=Outcome(Kind.UNSURE), found=Outcome(kind)))
    world.run(world.invoke())
    expected = {Kind.BOOKED: Kind.RECONCILED}.get(kind, kind)
    ended = world.row(row)["outcome"]
    assert ended == (str(expected) if proves(Evidence.QUERY, expected) else None)
    assert len(booker.calls) == (1 if kind is Kind.NOT_BOOKED else 0), "only a row that is not booked is called again"


@pytest.mark.parametrize("kind", sorted(FAILED))
def test_a_missing_login_is_final_exactly_when_the_table_says_so(world: World, kind: Kind) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker(ready=False, login=Outcome(kind)))
    world.run(world.invoke())
    assert world.row(row)["outcome"] == (str(kind) if proves(Evidence.LOGIN, kind) else None)


@pytest.mark.parametrize("kind", sorted(FAILED))
def test_a_disputed_answer_is_final_only_after_a_confirmation_after_the_lease(world: World, kind: Kind) -> None:
    [row] = world.opening(1)
    disputed = Outcome(Kind.UNSURE, if_not_booked=kind)
    booker = world.use(ScriptedBooker(answer=disputed, found=Outcome(Kind.NOT_BOOKED)))

    async def steps() -> list[str | None]:
        outcomes = []
        for _ in range(2):
            await minutes(world, 1)
            outcomes.append(world.row(row)["outcome"])
        return outcomes

    assert world.run(steps()) == [None, str(kind) if proves(Evidence.QUERY_AFTER_LEASE, kind) else None]
    assert len(booker.calls) == (1 if proves(Evidence.QUERY_AFTER_LEASE, kind) else 2)


def test_four_unclear_calls_without_a_booking_are_a_rejection(world: World) -> None:
    [row] = world.opening(1)
    booker = world.use(ScriptedBooker(answer=Outcome(Kind.UNSURE), found=Outcome(Kind.NOT_BOOKED)))
    world.run(minutes(world, 6))
    assert (world.row(row)["outcome"], len(booker.calls)) == ("rejected", 4)


@pytest.mark.parametrize("clear", [Kind.TOO_EARLY, Kind.SESSION_EXPIRED])
def test_clear_answers_do_not_count_as_unclear_calls(world: World, clear: Kind) -> None:
    """Four clear answers, then one unclear call."""
    [row] = world.opening(1)
    booker = world.use(ScriptedBooker(answer=Outcome(clear), found=Outcome(Kind.NOT_BOOKED)))

    async def steps() -> None:
        while len(booker.calls) < 4:
            await minutes(world, 1)
        booker.answer = Outcome(Kind.UNSURE)
        while len(booker.calls) < 5:
            await minutes(world, 1)
        booker.answer = Outcome(Kind.BOOKED)
        await minutes(world, 3)

    world.run(steps())
    assert world.row(row)["outcome"] == "booked"


def test_too_early_is_tried_once_per_minute_and_final_after_15_minutes(world: World) -> None:
    [row] = world.opening(1)
    booker = world.use(ScriptedBooker(answer=Outcome(Kind.TOO_EARLY)))

    async def steps() -> None:
        for _ in range(3):  # three triggers in a row count as one
            await world.invoke()
        await asyncio.sleep(57)
        await minutes(world, 13)
        assert world.row(row)["status"] == "pending"
        assert len(booker.calls) <= 4 * 15
        await minutes(world, 4)

    world.run(steps())
    assert world.row(row)["outcome"] == "too_early"
    assert "for 15 minutes" in world.row(row)["error_message"]


@pytest.mark.parametrize("late", [2, 6, 13])
def test_a_venue_that_opens_minutes_late_is_booked(world: World, late: int) -> None:
    world.twin.skew = timedelta(minutes=-late)
    [row] = world.opening(1)
    world.run(minutes(world, late + 2))
    assert world.ends([row]) == [BOOKED]


@pytest.mark.parametrize("behind", [2.5, 5.0, 50.0])
def test_three_triggers_in_a_row_end_no_row_at_a_venue_whose_clock_is_slow(world: World, behind: float) -> None:
    """Three triggers within 3.3 seconds."""
    world.twin.skew = timedelta(seconds=-behind)
    [row] = world.opening(1)

    async def steps() -> float:
        for _ in range(3):
            await world.invoke()
        took = asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        await minutes(world, 2)
        return took

    assert world.run(steps()) < 3.3
    assert world.ends([row]) == [BOOKED]


def test_a_missing_class_is_gone_only_after_a_second_look(world: World) -> None:
    [row] = world.opening(1, maybe_sent=True)
    world.use(ScriptedBooker(found=Outcome(Kind.MISSING)))
    world.run(world.invoke())
    assert world.ends([row]) == [PENDING]
    world.run(minutes(world, 3))
    assert world.ends([row]) == [("failed", "class_gone")]


@pytest.mark.parametrize(("seconds", "end"), [(59, PENDING), (60, ("failed", "class_gone"))])
def test_two_looks_within_a_minute_count_as_one(world: World, seconds: float, end: tuple[str, str | None]) -> None:
    [row] = world.opening(1, at=-600, maybe_sent=True, missing_since=EPOCH - timedelta(seconds=seconds))
    world.use(ScriptedBooker(found=Outcome(Kind.MISSING)))
    world.run(world.invoke())
    assert world.ends([row]) == [end]


def test_confirmations_of_a_row_become_rarer(world: World) -> None:
    [row] = world.opening(1, maybe_sent=True)
    asked: list[float] = []

    async def record(_: object) -> None:
        asked.append(asyncio.get_running_loop().time())

    world.use(ScriptedBooker(on_confirm=record))
    world.run(minutes(world, 60))
    assert world.ends([row]) == [PENDING]
    waits = gaps(asked)
    assert waits[:3] == pytest.approx([60, 120, 300], abs=65)
    assert all(wait >= 890 for wait in waits[3:])
    assert len(asked) <= 8


def test_a_row_that_is_not_at_the_venue_can_be_cancelled(world: World) -> None:
    [row] = world.opening(1, maybe_sent=True)
    world.use(ScriptedBooker(answer=Outcome(Kind.NOT_SENT), found=Outcome(Kind.NOT_BOOKED)))
    world.run(world.invoke())
    assert (world.row(row)["maybe_sent"], world.row(row)["claimed_by"]) == (False, None)
    query = "select public.cancel_prebooking_v1(%s, %s)"
    assert world.connection.execute(query, [row, world.row(row)["user_email"]]).fetchone() == ("cancelled",)
