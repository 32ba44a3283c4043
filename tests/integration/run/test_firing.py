"""Calls are sent in order, 50 ms apart and on time, according to the venue's ledger."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from prebooking.local.venue.twin import HANG, CallPlan, TwinReply
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.factories import add_prebooking, add_venue
from tests.support.world import BOOKED, CLAIM, PENDING, World, gaps, minutes

# The number is read as infinity, so the row can be read, but no request can be built from it.
UNSENDABLE = (
    b"update prebookings set booking_data = jsonb_build_object('n', (repeat('9', 400) || '.5')::numeric) where id = %s"
)


@pytest.mark.parametrize("members", [10, 40, 90])
def test_due_rows_are_sent_in_order_50_ms_apart_without_drift(world: World, members: int) -> None:
    rows = world.opening(members)
    summary = world.run(world.invoke())
    assert world.called() == rows
    assert min(gaps(world.sent())) >= 0.05 - 1e-9
    assert world.sent()[-1] - world.sent()[0] <= 1.02 * (members - 1) * 0.05
    assert world.ends(rows) == [BOOKED] * members
    assert summary.details["completed"] == members


class BusyClock(VirtualClock):
    """A clock that advances by up to 2 ms between two readings, as on a busy machine."""

    def __init__(self) -> None:
        super().__init__()
        self._last, self._chance = 0.0, Random(7)  # noqa: S311 - test data, not a secret

    def monotonic(self) -> float:
        self._last = max(self._last, super().monotonic()) + self._chance.uniform(0, 2e-3)
        return self._last


def test_recorded_send_times_are_50_ms_apart_on_a_busy_machine(world: World) -> None:
    rows = world.opening(20)
    world.run(world.invoke(clock=BusyClock()))
    fired = [world.row(row)["fired_at"] for row in rows]
    assert min((later - earlier).total_seconds() for earlier, later in pairwise(fired)) >= 0.05 - 2e-6


def test_rows_are_sent_by_opening_then_by_creation(world: World) -> None:
    venue = add_venue(world.connection)
    late, early = world.opening(3, at=-1, venue=venue), world.opening(3, at=-2, venue=venue)
    world.run(world.invoke())
    assert world.called() == early + late


def test_rows_within_the_lead_are_held_until_their_opening(world: World) -> None:
    rows = world.opening(5, at=2.5)
    summary = world.run(world.invoke(LEAD_SECONDS="3"))
    assert world.ends(rows) == [BOOKED] * 5
    travel = 0.02
    assert [round(sent - 2.5 - travel, 2) for sent in world.sent()] == [0.01, 0.06, 0.11, 0.16, 0.21]
    assert summary.lateness_ms == {"p50": 110, "p95": 210, "max": 210}, "the largest possible lateness"
    kept = world.connection.execute("select summary -> 'lateness_ms' from public.prebooking_runs").fetchone()
    assert kept == (summary.lateness_ms,)


def test_a_slightly_slow_database_clock_delays_no_opening_by_a_minute(world: World) -> None:
    """The default lead is one second. The trigger runs 0.25 s before the opening on the database's clock."""
    rows = world.opening(2, at=0.25)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 2
    assert all(0 <= sent - 0.25 < 0.15 for sent in world.sent())


def test_without_a_lead_nothing_is_claimed_before_its_opening(world: World) -> None:
    rows = world.opening(2, at=0.5)
    summary = world.run(world.invoke(LEAD_SECONDS="0"))
    assert (world.sent(), world.ends(rows)) == ([], [PENDING] * 2)
    assert summary.message == "No prebookings ready"
    assert world.to_database.calls == [CLAIM]


@pytest.mark.parametrize("triggers", [2, 10])
def test_overlapping_triggers_succeed_and_send_each_row_once(world: World, triggers: int) -> None:
    venue = add_venue(world.connection)
    rows = world.opening(12, at=-1, venue=venue) + world.opening(12, at=0, venue=venue)

    async def overlap() -> list[bool]:
        summaries = await asyncio.gather(*(world.invoke() for _ in range(triggers)))
        assert len({summary.instance_id for summary in summaries}) == triggers
        return [summary.success for summary in summaries]

    assert world.run(overlap()) == [True] * triggers
    assert world.ends(rows) == [BOOKED] * 24
    assert len(world.twin.ledger.arrivals()) == 24
    assert world.twin.ledger.double_bookings() == {}


def test_a_hanging_venue_does_not_delay_others(world: World) -> None:
    stuck, free = world.opening(3), world.opening(3)
    for row in stuck:
        world.twin.script(row, CallPlan(acts=False, answer=HANG))
    summary = world.run(world.invoke())
    assert world.ends(free) == [BOOKED] * 3
    assert max(arrival.at for arrival in world.twin.ledger.first_calls()) < EPOCH + timedelta(seconds=0.2)
    assert world.ends(stuck) == [PENDING] * 3
    assert summary.success


def test_rows_added_during_a_run_are_booked_by_it(world: World) -> None:
    venue = add_venue(world.connection)
    rows = world.opening(20, venue=venue)

    async def steps() -> list[tuple[str, str | None]]:
        run = asyncio.create_task(world.invoke())
        await asyncio.sleep(0.5)
        added = world.opening(1, at=0.3, venue=venue)
        await run
        return world.ends(rows + added)

    assert world.run(steps()) == [BOOKED] * 21


def test_rows_that_do_not_fit_before_the_last_start_wait_for_the_next_run(world: World) -> None:
    rows = world.opening(150)

    summary = world.run(world.invoke())
    assert summary.details["completed"] == len(world.sent()) == 120
    assert world.sent()[-1] < 6 + 0.02, "no call starts after guard - 2 s"
    world.run(world.invoke())
    assert world.called() == rows
    assert world.ends(rows) == [BOOKED] * 150


def test_slow_handshakes_do_not_change_the_order(world: World) -> None:
    rows = world.opening(6)
    handshakes = iter([0.3, 0.001, 0.2, 0.001, 0.25, 0.001])
    world.to_venues.connect = lambda _: next(handshakes)
    world.run(world.invoke())
    assert world.called() == rows
    assert min(gaps(world.sent())) >= 0.05 - 1e-9


def test_forty_rows_are_sent_within_two_seconds_despite_slow_handshakes(world: World) -> None:
    rows = world.opening(40, at=3.0)
    world.to_venues.connect = 0.19
    world.run(world.invoke(LEAD_SECONDS="3"))
    assert world.called() == rows
    assert world.sent()[-1] - world.sent()[0] == pytest.approx(39 * 0.05, abs=1e-6)


def test_a_refused_connection_is_tried_again_in_order(world: World) -> None:
    rows = world.opening(4)
    refusals = iter([True, False, False, False, True])  # all four connect at once; the first fails twice
    world.to_venues.refuses = lambda _: next(refusals, False)
    world.run(world.invoke())
    assert world.called() == rows
    assert world.ends(rows) == [BOOKED] * 4


def test_rows_of_an_unreachable_venue_are_released_unsent(world: World) -> None:
    rows = world.opening(10)
    world.to_venues.refuses = lambda _: True
    summary = world.run(world.invoke())
    assert summary.success
    assert summary.details == {"total": 10, "completed": 0, "failed": 0, "released": 10, "unsure": 0, "lost": 0}
    assert summary.outcomes == {"not_sent": 4}, "the first four of the queue; no other row was tried"
    released = [(row["claimed_by"], row["maybe_sent"], row["attempts"]) for row in map(world.row, rows)]
    assert released == [(None, False, 0)] * 10
    world.to_venues.refuses = lambda _: False

    async def after_the_pause() -> None:
        await asyncio.sleep(61)
        await world.invoke()

    world.run(after_the_pause())
    assert world.called() == rows


def test_unsendable_and_unreadable_rows_fail_alone(world: World) -> None:
    venue = add_venue(world.connection)
    good = world.opening(2, venue=venue)
    unsayable = add_prebooking(world.connection, venue, booking_data={"class_id": "bad"}, available_at=EPOCH)
    world.connection.execute(UNSENDABLE, [unsayable])
    unreadable = add_prebooking(world.connection, venue, available_at=EPOCH)
    world.connection.execute("update prebookings set booking_data = '{\"n\": 1e5000}' where id = %s", [unreadable])
    world.run(world.invoke())
    assert world.ends([unsayable, unreadable]) == [("failed", "bad_data")] * 2
    assert "a number that JSON does not allow" in world.row(unsayable)["error_message"]
    assert world.ends(good) == [BOOKED] * 2


@pytest.mark.parametrize(
    ("capacity", "waiting", "ends"),
    [
        (1, 0, [BOOKED, ("failed", "full"), ("failed", "full")]),
        (1, 1, [BOOKED, ("completed", "waitlisted"), ("failed", "full")]),
    ],
)
def test_places_go_to_the_first_rows(world: World, capacity: int, waiting: int, ends: list[tuple[str, str]]) -> None:
    rows = world.opening(3, capacity=capacity, waiting=waiting)
    summary = world.run(world.invoke())
    assert world.ends(rows) == ends
    assert summary.success
    assert world.row(rows[2])["error_message"] == "The class was full."


def test_too_early_is_tried_again_three_times_250_ms_apart(world: World) -> None:
    world.twin.skew = timedelta(milliseconds=-700)
    rows = world.opening(1)
    summary = world.run(world.invoke())
    calls = [(arrival.at - EPOCH).total_seconds() for arrival in world.twin.ledger.arrivals()]
    assert [round(gap, 2) for gap in gaps(calls)] == [0.29, 0.29, 0.29]  # 250 ms after each answer, which takes 40 ms
    assert world.ends(rows) == [BOOKED]
    assert world.row(rows[0])["attempts"] == 4
    assert summary.outcomes == {"booked": 1}


def test_too_early_is_final_after_15_minutes_of_runs(world: World) -> None:
    world.twin.skew = timedelta(hours=-1)
    rows = world.opening(1)
    ends = []

    async def twenty_minutes() -> None:
        for _ in range(20):
            await minutes(world, 1)
            ends.extend(world.ends(rows))

    world.run(twenty_minutes())
    assert ends == 15 * [PENDING] + 5 * [("failed", "too_early")]
    assert len(world.twin.ledger.arrivals()) == world.row(rows[0])["attempts"] == 4 * 16


@pytest.mark.parametrize("status", [401, 403, 404, 405, 429])
def test_a_blocking_venue_is_paused_and_its_other_rows_released(world: World, status: int) -> None:
    rows = world.opening(20)
    world.twin.script(rows[2], CallPlan(acts=False, answer=TwinReply(status)))
    summary = world.run(world.invoke())
    arrived = len(world.twin.ledger.arrivals())
    assert 3 <= arrived <= 4  # one more may be sent before the answer arrives
    assert world.ends(rows[3:])[1:] == [PENDING] * 16
    assert world.row(rows[2])["claimed_by"] is not None, "a later run asks the venue whether it was booked"
    assert all(world.row(row)["claimed_by"] is None for row in rows[arrived:])
    assert (paused_until := world.paused_until())
    assert timedelta(minutes=4) < paused_until - EPOCH < timedelta(minutes=6)
    assert summary.success
    assert summary.outcomes["blocked"] == 1
    world.run(world.invoke())
    assert len(world.twin.ledger.arrivals()) == arrived, "nothing is sent to a paused venue"


def test_an_added_row_is_sent_only_after_the_stagger(world: World) -> None:
    world.to_venues.there = world.to_venues.back = 0.0
    world.to_database.there = world.to_database.back = 0.001
    venue = add_venue(world.connection)
    first = world.opening(1, venue=venue)

    async def chase() -> None:
        run = asyncio.create_task(world.invoke(guard=2.3))  # has no time for a second claim
        await asyncio.sleep(0.0015)  # after the claim, so that the first run takes only one row
        class_id = world.row(first[0])["booking_data"]["class_id"]
        add_prebooking(world.connection, venue, booking_data={"class_id": class_id}, available_at=EPOCH)
        while not run.done():
            await world.invoke()
        await run

    world.run(chase())
    assert len(world.sent()) == 2
    assert gaps(world.sent())[0] >= 0.05 - 1e-9


@pytest.mark.parametrize(
    "poison", ['{"n": 1e5000}', '{"n": ' + "[" * 3000 + "]" * 3000 + "}", '{"n":' * 101 + "1" + "}" * 101]
)
def test_unreadable_data_fails_only_its_own_row(world: World, poison: str) -> None:
    venue = add_venue(world.connection)
    good = world.opening(2, venue=venue)
    bad = add_prebooking(world.connection, venue, booking_data={"class_id": "poison"}, available_at=EPOCH)
    world.connection.execute("update prebookings set booking_data = %s::jsonb where id = %s", [poison, bad])
    assert world.run(world.invoke()).success
    assert world.ends([*good, bad]) == [BOOKED, BOOKED, ("failed", "bad_data")]


def test_rows_behind_an_unsendable_row_do_not_overtake_earlier_rows(world: World) -> None:
    venue = add_venue(world.connection)
    first = world.opening(1, venue=venue)
    world.connection.execute(UNSENDABLE, world.opening(1, venue=venue, booking_data={"class_id": "bad"}))
    rest = world.opening(2, venue=venue)
    handshakes = iter([0.4])
    world.to_venues.connect = lambda _: next(handshakes, 0.001)
    world.run(world.invoke())
    assert world.called() == first + rest


def test_too_early_is_final_at_a_slow_venue(world: World) -> None:
    world.twin.skew = timedelta(hours=-1)
    [row] = world.opening(1)
    world.twin.plan = lambda _: CallPlan(delay_after=1.9)
    world.run(minutes(world, 17))
    assert world.ends([row]) == [("failed", "too_early")]


def test_a_slot_just_before_the_last_start_is_no_failure(world: World) -> None:
    world.to_database.there = world.to_database.back = 0.03
    world.opening(150)
    assert world.run(world.invoke()).success


def test_a_confirmed_row_does_not_wait_behind_a_held_row(world: World) -> None:
    venue = add_venue(world.connection)
    [doubtful] = world.opening(1, at=-1, venue=venue, maybe_sent=True)
    world.opening(1, at=5, venue=venue)
    world.run(world.invoke(LEAD_SECONDS="5"))
    assert world.called()[0] == doubtful
    assert world.sent()[0] < 0.2


def test_four_gyms_with_forty_members_each_are_served_side_by_side(world: World) -> None:
    """One claim takes them all: the last calls of each gym leave two seconds after the opening."""
    rows = [row for _ in range(4) for row in world.opening(40)]
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 160
    assert max(world.sent()) == pytest.approx(39 * 0.05 + 0.03, abs=0.02)


@pytest.mark.parametrize("opens", [1.05, 1.45, 1.85])
def test_a_call_is_in_time_for_its_opening_although_no_question_is_answered(world: World, opens: float) -> None:
    world.opening(1, at=opens)
    world.to_database.loses = lambda function: "hangs" if function == "prebooking_clock" else ""
    connected: list[float] = []

    def connect(_: object) -> float:
        connected.append(asyncio.get_running_loop().time())
        return 0.3

    world.to_venues.connect = connect
    world.run(world.invoke(LEAD_SECONDS="2"))
    assert connected == [pytest.approx(opens - 0.6, abs=0.02)]
