"""The part "repeats" of upkeep: whatever is lost, killed or done twice, each day of a repeat is made once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from prebooking.upkeep.repeats import AT_ONCE
from tests.support.boxes import Gym, side_by_side
from tests.support.calls import cancel
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.repeats import ANA, add_absence, add_gym, add_repeat, begins, look_again

MAKE = "make_repeats_v1"
DAYS = 14
CALLS = 13  # calls of MAKE in these days


def test_a_repeat_that_is_due_is_made_and_nothing_due_calls_nothing(gym: Gym) -> None:
    """The epoch is a Monday at 7:00 in Madrid."""
    venue = add_gym(gym.connection)
    add_repeat(gym.connection, venue)
    assert gym.world.run(gym.keep_up()).parts == {}
    gym.connection.execute("update public.repeats set due_at = %s, weekday = 3", [EPOCH])
    kept = gym.world.run(gym.keep_up())
    made = {"repeats": 1, "made": 2, "moved": 0, "cancelled": 0, "problems": 0}
    assert (kept.success, kept.parts) == (True, {"repeats": made})
    assert gym.world.to_database.calls == ["upkeep_due_v2"] * 2 + [MAKE]


def test_many_repeats_are_made_in_several_calls(gym: Gym) -> None:
    venue = add_gym(gym.connection)
    for number in range(2 * AT_ONCE + 1):
        gym.connection.execute(
            "insert into public.repeats (venue_id, user_email, weekday, starts_at, booking_data, due_at)"
            " values (%s, %s, 2, '18:00', '{}', %s)",
            [venue, f"{number}@example.com", EPOCH],
        )
    kept = gym.world.run(gym.keep_up())
    assert kept.parts["repeats"]["made"] == 2 * (2 * AT_ONCE + 1)
    assert gym.world.to_database.calls.count(MAKE) >= 3, "a slow call makes fewer"


def test_repeats_that_another_upkeep_has_locked_are_left_to_it(gym: Gym) -> None:
    add_repeat(gym.connection, add_gym(gym.connection))
    gym.connection.execute("update public.repeats set due_at = %s, weekday = 3", [EPOCH])
    other = gym.world.database.connect()
    with other.transaction():
        other.execute("select from public.repeats for update")
        kept = gym.world.run(gym.keep_up())
    assert (kept.parts["repeats"]["repeats"], kept.timed_out) == (0, False)
    assert gym.world.to_database.calls.count(MAKE) == 1


async def the_days_pass(gym: Gym, *, upkeeps: int = 1) -> None:
    """Invoke upkeep at noon on every day; the member cancels one class and skips another."""
    await asyncio.sleep(5 * 3600)
    for day in range(DAYS):
        await side_by_side(*(gym.keep_up() for _ in range(upkeeps)))
        if day == 3:
            [(first,)] = gym.connection.execute(
                "select id from public.prebookings where status = 'pending' order by expires_at limit 1"
            ).fetchall()
            assert cancel(gym.connection, first, ANA) == "cancelled"
            assert add_absence(gym.connection, "2030-01-29")["verdict"] == "added"
        await asyncio.sleep(24 * 3600)


def expected(gym: Gym) -> None:
    """Expect what a run without faults makes: booking opens four days ahead, so the first class is on 15 January."""
    assert begins(gym.connection, "cancelled") == ["Tue 2030-01-15 18:00"]
    assert begins(gym.connection) == ["Tue 2030-01-22 18:00", "Tue 2030-02-05 18:00"]
    before = gym.connection.execute("select id from public.prebookings order by id").fetchall()
    look_again(gym.connection)
    assert gym.connection.execute("select id from public.prebookings order by id").fetchall() == before


def test_the_days_of_a_repeat_without_faults(gym: Gym) -> None:
    add_repeat(gym.connection, add_gym(gym.connection))
    gym.world.run(the_days_pass(gym))
    expected(gym)
    assert gym.world.to_database.calls.count(MAKE) == CALLS


@pytest.mark.grid
@pytest.mark.parametrize("loss", ["before", "after", "hangs"])
@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("number", range(CALLS - 1))
def test_a_call_that_is_lost_makes_nothing_twice_and_loses_nothing(
    gym: Gym, loss: str, tries: int, number: int
) -> None:
    """After three lost tries the invocation fails, as if it was killed there; the next one does what was left.

    So each call is lost but the last.
    """
    calls = iter(range(1000))

    def loses(function: str) -> str:
        return loss if function == MAKE and number <= next(calls) < number + tries else ""

    add_repeat(gym.connection, add_gym(gym.connection))
    gym.world.to_database.loses = loses
    gym.world.run(the_days_pass(gym))
    expected(gym)


@pytest.mark.parametrize("loss", ["", "before", "after"])
def test_two_upkeeps_at_once_make_each_day_once(gym: Gym, loss: str) -> None:
    losses = iter([loss, "", "", loss, loss] * 100)
    gym.world.to_database.loses = lambda function: next(losses) if function == MAKE else ""
    add_repeat(gym.connection, add_gym(gym.connection))
    gym.world.run(the_days_pass(gym, upkeeps=2))
    expected(gym)


def offer(gym: Gym, number: str, starts: datetime, name: str) -> None:
    """Offer a class of the box; its booking opens four days before."""
    opens, day, at = starts - timedelta(days=4), f"{starts:%Y%m%d}", f"{starts:%H:%M}"
    gym.twin.open_class(number, opens_at=opens, capacity=10, box=gym.host, name=name, day=day, time=at)


def test_a_class_of_a_box_is_found_and_booked_in_each_week(gym: Gym) -> None:
    """The member asks once. Each week has another number of the class, and other classes beside it."""
    email = gym.member("ana")
    gym.connection.execute("update public.venues set opening_rule = '4 days before' where id = %s", [gym.venue])
    add_repeat(gym.connection, gym.venue, member=email, data={"class_name": "WOD"})
    weeks = [datetime(2030, 1, day, 18, tzinfo=ZoneInfo("Europe/Madrid")) for day in (15, 22)]
    for number, starts in enumerate(weeks):
        offer(gym, f"300{number}", starts, "WOD")
        offer(gym, f"310{number}", starts, "Yoga")
        offer(gym, f"320{number}", starts + timedelta(hours=1), "WOD")

    async def two_weeks() -> None:
        for starts in weeks:
            opens = starts - timedelta(days=4)
            await asyncio.sleep((opens - EPOCH).total_seconds() - asyncio.get_running_loop().time() - 600)
            gym.connection.execute("delete from public.member_sessions")
            gym.log_in(email, old=EPOCH - VirtualClock().now())  # ten minutes before the opening
            await gym.keep_up()
            await asyncio.sleep(600)
            await gym.invoke()
            await gym.keep_up()

    gym.world.run(two_weeks())
    assert [(act.member, act.class_id) for act in gym.twin.ledger.bookings()] == [(email, "3000"), (email, "3001")]
