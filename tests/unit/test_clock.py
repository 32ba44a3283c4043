"""Clocks: sleeps never end early, deadlines use both clocks, and answers bound the database's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from datetime import datetime, timedelta
from typing import TypeVarTuple, Unpack

import pytest

from prebooking.clock import Clock, DatabaseTime, Deadline, Reading
from prebooking.run.rules import is_between_opening_and_expiry
from tests.support.doubles import EPOCH, VirtualClock, VirtualTimeLoop, run_virtual
from tests.support.rows import claimed_row

Ts = TypeVarTuple("Ts")


def test_the_real_clock_never_wakes_early() -> None:
    async def wake() -> list[float]:
        clock = Clock()
        instants = [clock.monotonic() + n * 0.0037 for n in range(8)] + [clock.monotonic() + 0.25]
        return [await late(clock, instant) for instant in instants]

    async def late(clock: Clock, instant: float) -> float:
        await clock.sleep_until(instant)
        return clock.monotonic() - instant

    assert min(asyncio.run(wake())) >= 0


@pytest.mark.parametrize("stopped", [{}, {"wall_stopped": True}, {"monotonic_stopped": True}])
def test_a_deadline_passes_while_one_clock_is_stopped(stopped: dict[str, bool]) -> None:
    async def freeze() -> tuple[float, float, bool, bool]:
        clock = VirtualClock()
        deadline = Deadline.within(clock, 8)
        await asyncio.sleep(3)
        left = deadline.remaining()
        clock.freeze(6, **stopped)
        return left, deadline.remaining(), deadline.passed(), deadline.later(5).passed()

    assert run_virtual(freeze()) == (5, 0, True, False)


def test_a_freeze_with_both_clocks_stopped_is_not_noticed() -> None:
    async def freeze() -> bool:
        clock = VirtualClock()
        deadline = Deadline.within(clock, 8)
        clock.freeze(60, wall_stopped=True, monotonic_stopped=True)
        return deadline.passed()

    assert run_virtual(freeze()) is False


@pytest.mark.parametrize("skew", [-5, 0, 5])
def test_the_bounds_of_the_database_s_time_ignore_our_wall_clock(skew: float) -> None:
    async def ask() -> None:
        clock, database = VirtualClock(wall_skew=timedelta(seconds=skew)), VirtualClock()
        asked = Reading.of(clock)
        await asyncio.sleep(0.03)
        at = database.now()
        await asyncio.sleep(0.07)
        time = DatabaseTime(clock, at, asked, Reading.of(clock))
        for _ in range(3):
            assert time.at_least() <= database.now() <= time.at_most()
            await asyncio.sleep(1.7)
        opens = database.now() + timedelta(seconds=2)
        await clock.sleep_until(time.monotonic_at(opens))
        assert opens <= time.at_least() <= database.now() <= opens + timedelta(seconds=0.08)

    run_virtual(ask())


def test_a_deadline_for_writes_ignores_the_wall_clock() -> None:
    async def set_forward() -> tuple[bool, float]:
        clock = VirtualClock()
        deadline = Deadline.within(clock, 8)
        clock.wall_skew += timedelta(hours=1)
        await asyncio.sleep(3)
        return deadline.passed(), deadline.by_monotonic_clock().remaining()

    assert run_virtual(set_forward()) == (True, 5)


def test_a_derived_deadline_uses_the_same_clocks() -> None:
    async def compare() -> tuple[float, float, bool]:
        clock = VirtualClock()
        deadline = Deadline.within(clock, 8).by_monotonic_clock()
        before, later = deadline.before(3), deadline.later(1)
        clock.wall_skew += timedelta(hours=1)
        return before.remaining(), later.remaining(), later.before(9.5).passed()

    assert run_virtual(compare()) == (5, 9, True)


# The database's clock is the epoch plus the loop's time, so that readings need no network.


def reading(at: float, asked: float, received: float) -> tuple[datetime, Reading, Reading]:
    """Return an answer with the time ``at`` between two readings of our clocks, in seconds after the epoch."""
    instants = [EPOCH + timedelta(seconds=seconds) for seconds in (at, asked, received)]
    return instants[0], Reading(instants[1], asked), Reading(instants[2], received)


def bounds(time: DatabaseTime, step: float = 0) -> tuple[float, float]:
    """Return both bounds in seconds after the epoch, less a step of the database's clock."""
    least, most = ((bound - EPOCH).total_seconds() - step for bound in (time.at_least(), time.at_most()))
    return round(least, 6), round(most, 6)


def test_the_best_reading_counts_for_each_bound() -> None:
    async def tighten() -> tuple[float, float]:
        clock = VirtualClock()
        await asyncio.sleep(1)
        time = DatabaseTime(clock, *reading(0.1, 0.0, 0.3))
        time.tighten(*reading(0.5, 0.49, 0.9))  # the fastest request
        time.tighten(*reading(0.7, 0.2, 0.72))  # the fastest answer
        return bounds(time)

    assert run_virtual(tighten()) == (0.98, 1.01)


@pytest.mark.parametrize(
    ("opens", "ends", "leaves"),
    [
        (0.7, 0.91, True),
        (0.71, 2, False),  # the clock may be at 0.7, before the opening
        (0, 0.9, False),  # the clock may be at 0.9, when the class has begun
        (0, 0.8, False),
    ],
)
def test_a_call_needs_both_bounds_between_opening_and_class(opens: float, ends: float, *, leaves: bool) -> None:
    async def leave() -> bool:
        time = DatabaseTime(VirtualClock(), *reading(0.7, -0.2, 0.0))
        begin, end = (EPOCH + timedelta(seconds=seconds) for seconds in (opens, ends))
        row = claimed_row(available_at=begin, expires_at=end)
        return is_between_opening_and_expiry(row, time)

    assert run_virtual(leave()) is leaves


def test_a_freeze_widens_the_upper_bound_of_every_reading() -> None:
    async def freeze() -> float:
        clock = VirtualClock()
        time = DatabaseTime(clock, *reading(0, 0, 0))
        time.tighten(*reading(0, 0, 0))
        clock.freeze(60, monotonic_stopped=True)
        return (time.at_most() - EPOCH).total_seconds()

    assert run_virtual(freeze()) == 60


@pytest.mark.parametrize("step", [-3600.0, -0.5, 0.5, 3600.0])
def test_only_the_newest_reading_counts_after_a_clock_change(step: float) -> None:
    async def set_it() -> tuple[float, float]:
        clock = VirtualClock()
        await asyncio.sleep(1)
        time = DatabaseTime(clock, *reading(0.01, 0.0, 0.02))
        time.tighten(*reading(1 + step, 0.99, 1.0))
        return bounds(time, step)

    assert run_virtual(set_it()) == (1.0, 1.01)


@pytest.mark.parametrize("step", [-3600.0, -2.5, 2.5, 3600.0])
def test_a_delayed_answer_from_before_a_clock_change_is_ignored(step: float) -> None:
    async def set_it() -> tuple[float, float]:
        clock = VirtualClock()
        await asyncio.sleep(2)
        time = DatabaseTime(clock, *reading(0.01, 0.0, 0.02))
        time.tighten(*reading(1 + step, 0.99, 1.0))
        time.tighten(*reading(0.51, 0.5, 2.0))
        return bounds(time, step)

    assert run_virtual(set_it()) == (2.0, 2.01)


@pytest.mark.parametrize(("slow", "tightened"), [(1.0, 2.0), (0.2, 2.95)])
def test_a_sleep_until_an_opening_uses_tightened_bounds(slow: float, tightened: float) -> None:
    async def sleep() -> float:
        clock = VirtualClock()
        await asyncio.sleep(slow)
        time = DatabaseTime(clock, *reading(0.0, 0.0, slow))
        sleeping = asyncio.create_task(time.sleep_until(EPOCH + timedelta(seconds=3)))
        await asyncio.sleep(tightened - slow)
        time.tighten(*reading(tightened - 0.01, tightened - 0.02, tightened))
        await sleeping
        return clock.monotonic()

    assert run_virtual(sleep()) == pytest.approx(3.01, abs=0.001)


def test_a_sleep_until_an_opening_is_extended_by_a_clock_set_back() -> None:
    async def sleep() -> float:
        clock = VirtualClock()
        time = DatabaseTime(clock, *reading(0.0, 0.0, 0.0))
        sleeping = asyncio.create_task(time.sleep_until(EPOCH + timedelta(seconds=1)))
        await asyncio.sleep(0.99)
        time.tighten(*reading(-4.01, 0.99, 0.99))
        await sleeping
        return clock.monotonic()

    assert run_virtual(sleep()) == pytest.approx(6, abs=0.001)


def test_stamps_keep_their_distance_when_bounds_are_tightened() -> None:
    """I6: calls are recorded by the database's clock, and must not appear closer than they were sent."""

    async def stamps() -> tuple[datetime, datetime, datetime]:
        clock = VirtualClock()
        asked = Reading.of(clock)
        await asyncio.sleep(0.4)
        time = DatabaseTime(clock, EPOCH + timedelta(seconds=0.2), asked, Reading.of(clock))
        first = time.stamp()
        now = Reading.of(clock)
        time.tighten(clock.now(), now, now)
        await asyncio.sleep(0.05)
        return first, time.stamp(), clock.now()

    first, second, now = run_virtual(stamps())
    assert (second - first).total_seconds() == pytest.approx(0.05, abs=2e-6)
    assert second >= now, "never before the true instant, so that lateness is not understated"


class LateLoop(VirtualTimeLoop):
    """A loop whose timers are late as those of a real machine are at worst: by 1.1 ms, or by 10 ms in 8 s."""

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        late = max(0.0011, (when - self.time()) * 0.00125)
        return super().call_at(when + late, callback, *args, context=context)


class CountingClock(Clock):
    """Each look at it takes ten microseconds."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self.looks += 1
        loop.advance(0.00001)
        return loop.time()


@pytest.mark.parametrize("seconds", [0.0005, 0.001, 0.05, 0.19, 0.21, 1.0, 8.0])
def test_the_real_clock_wakes_in_time_despite_late_timers(seconds: float) -> None:
    async def wake() -> tuple[float, int]:
        clock = CountingClock()
        instant = asyncio.get_running_loop().time() + seconds
        await clock.sleep_until(instant)
        return asyncio.get_running_loop().time() - instant, clock.looks

    with asyncio.Runner(loop_factory=LateLoop) as runner:
        late, looks = runner.run(wake())
    assert 0 <= late <= 0.0001
    assert looks <= 130, "it sleeps but for the last millisecond"
