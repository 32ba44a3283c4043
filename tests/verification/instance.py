"""Instances of the function on one virtual loop, each with its own clocks, that can be frozen and killed at any step.

All tasks and timers of an instance run in a context that names it. While the instance is halted, none of its callbacks
and no ``finally`` run. A frozen instance resumes later, a killed one never does.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from datetime import timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

from prebooking.local.virtual_time import Timer, VirtualClock, VirtualTimeLoop, run_virtual

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_CURRENT: ContextVar[Instance | None] = ContextVar("instance", default=None)


class Instance(VirtualClock):
    """One instance and its clocks: the wall clock may be wrong, and a freeze may stop one of the clocks."""

    def __init__(self, name: str = "", *, skew: float = 0.0) -> None:
        super().__init__(wall_skew=timedelta(seconds=skew))
        self.name = name
        self.halted = self.killed = False
        self.behind = 0.0  # seconds that its monotonic clock has lost
        self.waiting = list[asyncio.Handle]()  # callbacks that became due while it was halted

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as this instance."""
        context = Context()
        context.run(_CURRENT.set, self)
        return _loop().create_task(coroutine, name=self.name, context=context)

    def kill(self) -> None:
        """Stop the instance for good."""
        self.halted = self.killed = True

    def halt(self, seconds: float, *, wall_stopped: bool = False, monotonic_stopped: bool = False) -> None:
        """Freeze the instance for this many seconds, and one of its clocks with it."""
        if self.halted:
            return
        self.halted = True

        def resume() -> None:
            self.wall_skew -= timedelta(seconds=seconds * wall_stopped)
            self.behind += seconds * monotonic_stopped
            if not self.killed:
                self.resume()

        _loop().call_at(_loop().true_time() + seconds, resume, context=Context())

    def resume(self) -> None:
        """Run the waiting callbacks in order."""
        self.halted = False
        waiting, self.waiting = self.waiting, []
        _loop()._ready.extend(waiting)


def current() -> Instance:
    """Return the instance that runs this code."""
    instance = _CURRENT.get()
    assert instance is not None, "no instance runs this code"
    return instance


def in_simulation(coroutine: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
    """Run a coroutine of the simulation, which goes on if the instance that started it is halted."""
    return asyncio.get_running_loop().create_task(coroutine, name=name, context=Context())


MOST_CALLBACKS = 200_000  # at one instant; a simulation of hundreds of rows needs a few thousand
_INSTANT = 0.001  # seconds that count as one instant: a timer that is set again may advance by a rounding error


class LivelockError(RuntimeError):
    """Callbacks run without end while no time passes."""


class InstanceLoop(VirtualTimeLoop):
    """The virtual loop on which instances run. Its ``time`` is the calling instance's monotonic clock."""

    _ready: Any
    _callbacks, _counted_from = 0, 0.0

    def count_callback(self) -> None:
        """Count a callback, and raise ``LivelockError`` if there are too many at this instant."""
        self._callbacks += 1
        if self._callbacks > MOST_CALLBACKS:
            self._callbacks = 0
            raise LivelockError(f"more than {MOST_CALLBACKS} callbacks at {self._now:.6f}")

    def _set(self, instant: float) -> None:
        if instant - self._counted_from >= _INSTANT:
            self._callbacks, self._counted_from = 0, instant
        super()._set(instant)

    def time(self) -> float:
        instance = _CURRENT.get()
        return self._now - instance.behind if instance else self._now

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _InstanceTimer(when, callback, args, self, context)
        self.set_timer(timer)
        return timer

    def set_timer(self, timer: _InstanceTimer) -> None:
        """Schedule the timer."""
        timer._scheduled = True
        heapq.heappush(self._scheduled, timer)

    def _call_soon(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> Any:
        handle = _InstanceHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle


class _InstanceHandle(asyncio.Handle):
    _context: Context

    def _run(self) -> None:
        instance = self._context.get(_CURRENT)
        if instance is not None and instance.halted:
            instance.waiting.append(self)
        else:
            super()._run()
            _loop().count_callback()


class _InstanceTimer(Timer):
    """A timer on its instance's monotonic clock, delayed by the seconds that the clock loses."""

    _context: Context
    _when: float

    def __init__(self, when: float, *args: Any) -> None:
        super().__init__(when, *args)
        self._instance, self._due = self._context.get(_CURRENT), when
        self._when = self._true_instant()

    def _true_instant(self) -> float:
        if self._instance is None:
            return self._due
        instant = self._due + self._instance.behind
        while instant - self._instance.behind < self._due:  # rounding error: the timer would run too early on its clock
            instant = math.nextafter(instant, math.inf)
        return instant

    def _run(self) -> None:
        instance, loop = self._instance, _loop()
        if instance is not None and instance.halted:
            instance.waiting.append(self)
        elif self._true_instant() > loop.true_time():
            self._when = self._true_instant()
            loop.set_timer(self)
        else:
            super()._run()
            loop.count_callback()


def _loop() -> InstanceLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, InstanceLoop)
    return loop


def run_instances(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario, and cancel all tasks that are left at its end, those of killed instances too."""
    return run_virtual(scenario, left=[], loop_factory=InstanceLoop)
