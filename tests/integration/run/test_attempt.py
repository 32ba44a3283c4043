"""One row from its claim to its result: the cases that no other file covers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prebooking.bookers import STALE_CONNECTION
from prebooking.local.venue.twin import CallPlan, TwinReply
from prebooking.model import Kind, Outcome
from tests.support.bookers import ScriptedBooker, hang
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import BOOKED, CLAIM, FINISH, World, gaps


def test_a_running_call_is_not_released_when_another_row_is_blocked(world: World) -> None:
    """I1: the next run would send a released row again."""
    slow, blocked, *_ = world.opening(4)
    world.twin.script(slow, CallPlan(delay_before=7.0))
    world.twin.script(blocked, CallPlan(acts=False, answer=TwinReply(403)))

    async def steps() -> None:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(1)
        assert world.row(slow)["claimed_by"] is not None
        await run
        for _ in range(8):
            await asyncio.sleep(60)
            await world.invoke()

    world.run(steps())
    assert world.twin.ledger.double_bookings() == {}
    assert world.row(slow)["status"] == "completed"


def test_lateness_is_that_of_the_first_call(world: World) -> None:
    world.twin.skew = timedelta(milliseconds=-700)
    [row] = world.opening(1, at=1)
    world.run(world.invoke(LEAD_SECONDS="2"))
    assert world.row(row)["attempts"] == 4
    assert world.row(row)["lateness_ms"] < 100


@pytest.mark.parametrize("back", [0.02, 0.05, 0.1, 0.3])
def test_lateness_counts_from_the_earliest_possible_opening(world: World, back: float) -> None:
    [row] = world.opening(1)
    world.to_database.back = back
    world.run(world.invoke())
    left = world.sent()[0] - 0.02
    assert world.row(row)["lateness_ms"] >= round(left * 1000)


def test_a_call_is_connected_before_its_opening(world: World) -> None:
    rows = world.opening(4, at=3.0)
    world.to_venues.connect = 0.5
    world.run(world.invoke(LEAD_SECONDS="3"))
    assert world.ends(rows) == [BOOKED] * 4
    assert world.sent()[0] == pytest.approx(3.02, abs=0.02), "20 ms there"


def test_a_slow_claim_does_not_delay_the_first_byte(world: World) -> None:
    """While the row is held, faster answers tell more exactly when the database's clock reaches the opening."""
    world.opening(1, at=2.5)

    def travels(called: str) -> str:
        world.to_database.back = 0.2 if called == CLAIM else 0.01
        return ""

    world.to_database.loses = travels
    world.run(world.invoke(LEAD_SECONDS="3"))
    assert 2.5 <= world.sent()[0] - 0.02 <= 2.512


def test_due_rows_are_sent_before_held_rows(world: World) -> None:
    venue = add_venue(world.connection)
    [cleared] = world.opening(1, at=-1, venue=venue, maybe_sent=True)
    held = world.opening(5, at=0.9, venue=venue)
    world.run(world.invoke(LEAD_SECONDS="1"))
    assert world.called() == [cleared, *held]
    assert world.sent()[0] < 0.2


def test_rows_with_setbacks_are_sent_before_held_rows(world: World) -> None:
    venue = add_venue(world.connection)
    held = world.opening(3, at=0.9, venue=venue)
    [behind] = world.opening(1, at=-60, venue=venue, setbacks=1, retry_after=EPOCH - timedelta(seconds=1))
    world.run(world.invoke(LEAD_SECONDS="1"))
    assert world.called() == [behind, *held]


def test_a_row_records_when_it_was_sent_and_answered(world: World) -> None:
    [row] = world.opening(1)
    world.run(world.invoke())
    found = world.row(row)
    assert found["answered_at"] - found["fired_at"] == timedelta(milliseconds=40), "20 ms there and 20 ms back"


def test_a_retry_that_was_not_sent_keeps_the_clear_answer(world: World) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker([Outcome(Kind.TOO_EARLY), Outcome(Kind.NOT_SENT)]))
    summary = world.run(world.invoke())
    found = world.row(row)
    assert (found["claimed_by"], found["maybe_sent"], found["early_since"] is not None) == (None, False, True)
    assert summary.outcomes == {"too_early": 1}


def test_a_row_cut_off_during_its_login_renewal_is_released(world: World) -> None:
    [row] = world.opening(1)

    world.use(ScriptedBooker(Outcome(Kind.SESSION_EXPIRED), on_prepare=hang))
    world.run(world.invoke())
    assert (world.row(row)["claimed_by"], world.row(row)["maybe_sent"]) == (None, False)


@pytest.mark.parametrize(
    "answers",
    [
        (Kind.TOO_EARLY, Kind.SESSION_EXPIRED, Kind.BOOKED),
        (Kind.SESSION_EXPIRED, Kind.TOO_EARLY, Kind.BOOKED),
        (Kind.TOO_EARLY, Kind.TOO_EARLY, Kind.SESSION_EXPIRED, Kind.TOO_EARLY, Kind.BOOKED),
    ],
)
def test_clear_answers_are_followed_up_in_any_order(world: World, answers: tuple[Kind, ...]) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker([Outcome(kind) for kind in answers]))
    world.run(world.invoke())
    assert world.ends([row]) == [BOOKED]


@pytest.mark.parametrize(
    "answers",
    [
        (Kind.SESSION_EXPIRED, Kind.SESSION_EXPIRED),
        (Kind.TOO_EARLY, Kind.SESSION_EXPIRED, Kind.SESSION_EXPIRED),
        (Kind.SESSION_EXPIRED, Kind.TOO_EARLY, Kind.SESSION_EXPIRED),
    ],
)
def test_a_renewed_login_that_is_refused_again_releases_the_row(world: World, answers: tuple[Kind, ...]) -> None:
    [row] = world.opening(1)
    booker = world.use(ScriptedBooker([Outcome(kind) for kind in answers]))
    world.run(world.invoke())
    found = world.row(row)
    assert (found["status"], found["claimed_by"], found["maybe_sent"]) == ("pending", None, False)
    assert len(booker.calls) == len(answers)


def test_a_venue_that_blocks_a_login_is_paused(world: World) -> None:
    rows = world.opening(5)
    world.use(ScriptedBooker(ready=False, login=Outcome(Kind.BLOCKED)))
    world.run(world.invoke())
    paused = world.connection.execute("select paused_until > %s from venues", [EPOCH + timedelta(minutes=4)])
    assert paused.fetchone() == (True,)
    assert world.held(rows) == [None] * 5


def test_a_stale_connection_is_replaced_at_once(world: World) -> None:
    [row] = world.opening(1)
    world.use(ScriptedBooker([*[STALE_CONNECTION] * 3, Outcome(Kind.BOOKED)]))
    summary = world.run(world.invoke())
    assert world.ends([row]) == [BOOKED]
    assert summary.lateness_ms["max"] is not None
    assert summary.lateness_ms["max"] < 90, "a stale connection is replaced without a pause"


def test_expired_rows_take_no_slot(world: World) -> None:
    venue = add_venue(world.connection)
    world.opening(10, venue=venue, at=-30, expires_at=EPOCH - timedelta(seconds=1))
    rows = world.opening(2, venue=venue)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 2
    assert world.sent()[0] < 0.1


def test_the_stagger_also_holds_between_two_invocations(world: World) -> None:
    """I6 between invocations: the first run releases its row and does not settle it."""
    world.to_database.there = world.to_database.back = 0.001
    venue = add_venue(world.connection)
    booker = world.use(ScriptedBooker(Outcome(Kind.SESSION_EXPIRED), login=Outcome(Kind.CANNOT_TELL)))
    world.opening(1, venue=venue)

    async def chase() -> None:
        run = asyncio.create_task(world.invoke(guard=2.3))  # has no time for a second claim
        await asyncio.sleep(0.0015)
        world.opening(1, venue=venue)
        while not run.done():
            await world.invoke()

    world.run(chase())
    assert len(booker.called_at) >= 2
    assert min(gaps(booker.called_at)) >= 0.05 - 1e-9


def test_a_delayed_claim_leases_nothing_to_a_closed_run(world: World) -> None:
    rows = world.opening(1, at=1)
    tries = []

    def loses(called: str) -> str:
        tries.append(called)
        return "before" if len(tries) == 1 else ""

    world.to_database.loses = loses
    world.run(world.invoke(LEAD_SECONDS="0"))
    assert tries[-1] == FINISH, "a run whose first claim was lost is closed, although it holds no row"
    assert world.row(rows[0])["claimed_by"] is None
