"""A virtual event loop and clocks: time passes only when no callback is ready. A week takes seconds."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

from prebooking.clock import Clock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = datetime(2030, 1, 7, 6, 0, tzinfo=UTC)
_END = 30 * 86_400.0  # virtual seconds; a loop that runs longer never ends


class DeadlockError(AssertionError):
    """All tasks wait, and no timer is left."""


class TasksLeftError(AssertionError):
    """The coroutine has returned before the tasks that it started."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock, which starts at 0 and jumps to the next timer whenever nothing is ready.

    No timer runs before its instant, and those of one instant run in the order in which they were set. Threads and
    sockets take real time, for which this loop does not wait.
    """

    _scheduled: list[Timer]

    def __init__(self) -> None:
        super().__init__(_Selector(self._jump))
        self._set(0.0)

    def time(self) -> float:
        """Return the virtual seconds that have passed."""
        return self._now

    def true_time(self) -> float:
        """Return the virtual seconds that have passed, also where ``time`` is a clock that lags behind."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Advance the clock while nothing runs, as if the process was frozen or busy."""
        self._set(self._now + seconds)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Like asyncio's, with timers that are ordered by their creation."""
        timer = Timer(when, callback, args, self, context)
        timer._scheduled = True  # noqa: SLF001 - as asyncio does; cancelling looks at it
        heapq.heappush(self._scheduled, timer)
        return timer

    def _jump(self, timeout: float | None) -> None:
        if timeout is None or (timeout > 0 and self._now > _END):
            raise DeadlockError(f"{_described(asyncio.all_tasks(self))}, and nothing is left that could wake them")
        if timeout > 0:
            self._set(self._scheduled[0].when())

    def _set(self, instant: float) -> None:
        self._now = instant
        self._clock_resolution = math.ulp(instant)  # asyncio runs timers early by up to this


class Timer(asyncio.TimerHandle):
    """asyncio's timer; timers of one instant run in the order of their creation."""

    _scheduled: bool
    _count = itertools.count()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._order = next(self._count)

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        if not isinstance(other, Timer):
            return NotImplemented
        return (self.when(), self._order) < (other.when(), other._order)


class _Selector(selectors.DefaultSelector):
    """Never waits: passes the time that it would wait to ``idle``."""

    def __init__(self, idle: Callable[[float | None], None]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            self._idle(timeout)
        return events


def run_virtual(
    coroutine: Coroutine[Any, Any, T],
    *,
    left: list[str] | None = None,
    loop_factory: Callable[[], VirtualTimeLoop] = VirtualTimeLoop,
) -> T:
    """Run a coroutine on a virtual clock; tasks it leaves are cancelled, and an error unless ``left`` is given."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(coroutine)
        tasks = asyncio.all_tasks(runner.get_loop())
        names = _described(tasks) if left is None else ""
    if left is not None:
        left += [task.get_name() for task in tasks]
    elif tasks:
        raise TasksLeftError(names)
    return result


def _described(tasks: set[asyncio.Task[Any]]) -> str:
    lines = [f"{task.get_name()}: {task.get_coro()!r} {task.get_stack(limit=1)!r}" for task in tasks]
    return f"{len(lines)} tasks wait: " + "; ".join(sorted(lines))


class VirtualClock(Clock):
    """The clocks of one machine in a virtual world; both can differ from the loop's time.

    ``wall_skew`` is how far the wall clock is ahead. ``freeze`` stops the machine, and any of its clocks with it.
    """

    def __init__(self, *, epoch: datetime = EPOCH, wall_skew: timedelta = timedelta(0)) -> None:
        self.epoch, self.wall_skew = epoch, wall_skew
        self._monotonic_lost = 0.0

    def now(self) -> datetime:
        """Return the time of the machine's wall clock."""
        return self.epoch + timedelta(seconds=seconds_passed()) + self.wall_skew

    def monotonic(self) -> float:
        """Return the seconds of the machine's monotonic clock."""
        return _loop().time() - self._monotonic_lost

    async def sleep_until(self, instant: float) -> None:
        """Return when the monotonic clock has reached the instant."""
        loop = _loop()
        while loop.time() < (end := instant + self._monotonic_lost):  # which a freeze puts off
            reached = asyncio.Event()
            timer = loop.call_at(end, reached.set)
            try:
                await reached.wait()
            finally:
                timer.cancel()

    def freeze(self, seconds: float, *, wall_stopped: bool = False, monotonic_stopped: bool = False) -> None:
        """Let this time pass while nothing runs on the loop."""
        _loop().advance(seconds)
        self.wall_skew -= timedelta(seconds=seconds * wall_stopped)
        self._monotonic_lost += seconds * monotonic_stopped


def seconds_passed() -> float:
    """Return the virtual seconds that have passed on the running loop."""
    return _loop().true_time()


def _loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        raise TypeError(f"a virtual clock needs run_virtual, this runs on {loop!r}")
    return loop
