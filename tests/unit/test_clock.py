"""Time: never early, over by either clock, and bounded by what one answer of the database proves."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prebooking.clock import Clock, DatabaseTime, Deadline, Reading
from tests.doubles import VirtualClock, run_virtual


def test_the_real_clock_wakes_nobody_early() -> None:
    async def wake() -> list[float]:
        clock = Clock()
        instants = [clock.monotonic() + n * 0.0037 for n in range(8)] + [clock.monotonic() + 0.25]
        return [await late(clock, instant) for instant in instants]

    async def late(clock: Clock, instant: float) -> float:
        await clock.sleep_until(instant)
        return clock.monotonic() - instant

    assert min(asyncio.run(wake())) >= 0


@pytest.mark.parametrize("stopped", [{}, {"wall_stopped": True}, {"monotonic_stopped": True}])
def test_a_deadline_passes_although_one_clock_stood_still(stopped: dict[str, bool]) -> None:
    async def freeze() -> tuple[float, bool, bool]:
        clock = VirtualClock()
        deadline = Deadline(clock, Reading.of(clock), 8)
        await asyncio.sleep(3)
        left = deadline.remaining()
        clock.freeze(6, **stopped)
        return left, deadline.passed(), deadline.later(5).passed()

    assert run_virtual(freeze()) == (5, True, False)


def test_a_frozen_machine_with_both_clocks_stopped_cannot_know_it() -> None:
    async def freeze() -> bool:
        clock = VirtualClock()
        deadline = Deadline(clock, Reading.of(clock), 8)
        clock.freeze(60, wall_stopped=True, monotonic_stopped=True)
        return deadline.passed()

    assert run_virtual(freeze()) is False


@pytest.mark.parametrize("skew", [-5, 0, 5])
def test_the_database_s_time_is_bounded_from_both_sides_whatever_our_wall_clock_says(skew: float) -> None:
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
