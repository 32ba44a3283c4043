"""Virtual time passes at once and in exact order; a test that would hang fails instead."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import pytest

from tests.support.doubles import EPOCH, DeadlockError, TasksLeftError, VirtualClock, run_virtual


async def _note_at(instants: list[float]) -> list[tuple[int, float]]:
    """Set a timer for each instant; return the number and the time of each run."""
    loop, ran, last = asyncio.get_running_loop(), list[tuple[int, float]](), asyncio.Event()
    for number, instant in enumerate(instants):
        loop.call_at(instant, lambda of: ran.append((of, loop.time())), number)
    loop.call_at(max(instants), last.set)
    await last.wait()
    return ran


async def _wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_day_passes_at_once() -> None:
    async def scenario() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 86_400


def test_timers_run_in_the_order_of_their_instants() -> None:
    assert run_virtual(_note_at([3.0, 1.0, 2.0])) == [(1, 1.0), (2, 2.0), (0, 3.0)]


def test_timers_of_one_instant_run_in_their_order() -> None:
    assert [number for number, _ in run_virtual(_note_at([1.0] * 50))] == list(range(50))


def test_no_timer_runs_early_by_a_rounding_error() -> None:
    instants = [0.1 + 0.2, 0.3, 1_000.000_000_1, 1_000.0]

    assert run_virtual(_note_at(instants)) == [(1, 0.3), (0, 0.1 + 0.2), (3, 1_000.0), (2, 1_000.000_000_1)]


def test_timers_run_at_exactly_their_instant() -> None:
    assert 0.03 + (0.29 - 0.03) > 0.29
    assert run_virtual(_note_at([0.03, 0.29])) == [(0, 0.03), (1, 0.29)]


def test_a_timeout_of_asyncio_is_virtual_too() -> None:
    async def scenario() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(8):
                await _wait_for_ever()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 8


def test_a_deadlock_is_an_error_that_names_the_task() -> None:
    with pytest.raises(DeadlockError, match="_wait_for_ever"):
        run_virtual(_wait_for_ever())


def test_a_deadlock_beside_a_ticking_task_is_an_error_too() -> None:
    async def tick() -> None:
        for _ in itertools.count():
            await asyncio.sleep(60)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(tick())
            group.create_task(_wait_for_ever())

    with pytest.raises(DeadlockError, match="_wait_for_ever"):
        run_virtual(scenario())


def test_an_exception_is_raised_unchanged() -> None:
    async def scenario() -> None:
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run_virtual(scenario())


def test_a_task_that_outlives_its_run_is_cancelled_and_an_error() -> None:
    tasks = list[asyncio.Task[None]]()

    async def scenario() -> None:
        tasks.append(asyncio.create_task(_wait_for_ever(), name="stray"))

    with pytest.raises(TasksLeftError, match="stray"):
        run_virtual(scenario())
    assert tasks[0].cancelled()


def test_tasks_that_may_outlive_their_run_are_reported_by_name() -> None:
    async def scenario() -> asyncio.Task[None]:
        return asyncio.create_task(_wait_for_ever(), name="stray")

    left = list[str]()

    assert run_virtual(scenario(), left=left).cancelled()
    assert left == ["stray"]


def test_both_clocks_move_with_the_loop() -> None:
    async def scenario() -> tuple[timedelta, float]:
        clock = VirtualClock()
        await clock.sleep(90.5)
        return clock.now() - EPOCH, clock.monotonic()

    assert run_virtual(scenario()) == (timedelta(seconds=90.5), 90.5)


def test_a_sleep_ends_at_exactly_its_instant() -> None:
    async def scenario() -> list[float]:
        clock, woken = VirtualClock(), list[float]()
        for slot in range(160):
            await clock.sleep_until(slot * 0.05)
            woken.append(clock.monotonic())
        return woken

    assert run_virtual(scenario()) == [slot * 0.05 for slot in range(160)]


def test_a_sleep_until_a_past_instant_returns_at_once() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        await clock.sleep(5)
        await clock.sleep_until(3)
        return clock.monotonic()

    assert run_virtual(scenario()) == 5


def test_the_wall_clock_alone_can_be_wrong() -> None:
    async def scenario() -> tuple[timedelta, float]:
        clock = VirtualClock(wall_skew=timedelta(seconds=-3))
        return clock.now() - EPOCH, clock.monotonic()

    assert run_virtual(scenario()) == (timedelta(seconds=-3), 0.0)


@pytest.mark.parametrize("wall_stopped", [False, True])
@pytest.mark.parametrize("monotonic_stopped", [False, True])
def test_a_freeze_is_seen_by_the_clocks_that_continue(*, wall_stopped: bool, monotonic_stopped: bool) -> None:
    async def scenario() -> tuple[timedelta, float, timedelta]:
        world, frozen = VirtualClock(), VirtualClock()
        frozen.freeze(30, wall_stopped=wall_stopped, monotonic_stopped=monotonic_stopped)
        return frozen.now() - EPOCH, frozen.monotonic(), world.now() - EPOCH

    wall, monotonic, world = run_virtual(scenario())
    assert wall == timedelta(seconds=0 if wall_stopped else 30)
    assert monotonic == (0 if monotonic_stopped else 30)
    assert world == timedelta(seconds=30)


def test_a_sleep_follows_a_clock_that_was_stopped() -> None:
    async def scenario() -> tuple[float, float]:
        clock, loop = VirtualClock(), asyncio.get_running_loop()
        loop.call_at(4, lambda: clock.freeze(30, monotonic_stopped=True))
        await clock.sleep_until(10)
        return clock.monotonic(), loop.time()

    assert run_virtual(scenario()) == (10, 40)


def test_a_cancelled_sleep_leaves_no_timer_behind() -> None:
    ended = list[float]()

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(VirtualClock().sleep_until(1_000), timeout=1)
        try:
            await _wait_for_ever()
        finally:
            ended.append(asyncio.get_running_loop().time())

    with pytest.raises(DeadlockError):
        run_virtual(scenario())
    assert ended == [1]
