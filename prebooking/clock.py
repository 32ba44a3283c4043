"""The machine's clocks, deadlines, and what is known of the database's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

_COARSE = 0.2  # seconds before the instant at which the coarse sleep ends: a sleep of 8 s wakes up to 10 ms late
_FINE = 0.0012  # seconds before the instant from which on we only yield, which is CPU: a timer wakes up to 1.1 ms late

_LAST_LOOK = 0.03  # seconds before the instant at which a new reading is last looked for: see tighten_while_held

_ROUNDING = 0.00001  # seconds: a datetime counts whole microseconds, and rounding one down must not make anybody early


class Clock:
    """The machine's clocks. Durations are measured on the monotonic clock."""

    def now(self) -> datetime:
        """Return the wall clock's instant, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds of the monotonic clock, which is never set. Only differences have a meaning."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait at least this number of seconds."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, instant: float) -> None:
        """Return at this instant of the monotonic clock: never before it, and less than a millisecond after it."""
        for stage in (_COARSE, _FINE):
            if (left := instant - self.monotonic()) > stage:
                await asyncio.sleep(left - stage)
        while self.monotonic() < instant:  # noqa: ASYNC110 - an instant is no event that somebody could set
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks, read together."""

    wall: datetime
    monotonic: float

    @classmethod
    def of(cls, clock: Clock) -> Reading:
        """Read both clocks."""
        return cls(clock.now(), clock.monotonic())

    def elapsed(self, clock: Clock) -> float:
        """Return the seconds since this reading, by the clock that shows more.

        The monotonic clock stands still while a machine is suspended, the wall clock while a process image is restored
        with it; only a freeze that stops both cannot be seen.
        """
        return max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline: ``seconds`` after a reading of both clocks.

    ``monotonic_only`` deadlines ignore the wall clock. They are for writes: the database refuses a late write itself,
    and a wall clock that is set forward must not keep an outcome from being written.
    """

    clock: Clock
    start: Reading
    seconds: float
    monotonic_only: bool = False

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        if self.monotonic_only:
            elapsed = self.clock.monotonic() - self.start.monotonic
        else:
            elapsed = self.start.elapsed(self.clock)
        return max(0.0, self.seconds - elapsed)

    def passed(self) -> bool:
        """Return whether no time is left."""
        return self.remaining() <= 0

    def later(self, seconds: float) -> Deadline:
        """Return the deadline that is this many seconds after this one."""
        return replace(self, seconds=self.seconds + seconds)

    def before(self, seconds: float) -> Deadline:
        """Return the deadline that is this many seconds before this one."""
        return replace(self, seconds=self.seconds - seconds)

    def by_monotonic_clock(self) -> Deadline:
        """Return the same deadline by the monotonic clock alone."""
        return replace(self, monotonic_only=True)


@dataclass(frozen=True, slots=True)
class DatabaseReading:
    """One answer of the database's clock, which read ``at`` at some instant between ``asked`` and ``received``."""

    at: datetime
    asked: Reading
    received: Reading

    def at_least(self, clock: Clock) -> datetime:
        """Return an instant that the database's clock has certainly reached."""
        return self.at + timedelta(seconds=clock.monotonic() - self.received.monotonic)

    def at_most(self, clock: Clock) -> datetime:
        """Return an instant that the database's clock has certainly not passed, even if this machine was frozen."""
        return self.at + timedelta(seconds=self.asked.elapsed(clock))

    def monotonic_at(self, instant: datetime) -> float:
        """Return the monotonic instant at which the database's clock has certainly reached ``instant``."""
        return self.received.monotonic + (instant - self.at).total_seconds() + _ROUNDING


class DatabaseTime:
    """The database's clock, known between two bounds, because each answer took time to arrive.

    Further readings tighten the bounds: the best of them counts for each bound.
    """

    def __init__(self, clock: Clock, at: datetime, asked: Reading, received: Reading) -> None:
        self.clock = clock
        self._readings = [DatabaseReading(at, asked, received)]
        self._tightened = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._stamped: tuple[float, datetime] | None = None  # the last stamp, and when it was made

    def tighten(self, at: datetime, asked: Reading, received: Reading) -> None:
        """Add a reading. If it contradicts the others, the database's clock was set: then only the newest one counts.

        The newest is the one that was asked for last. An answer from before the clock was set may come after it.
        """
        new = DatabaseReading(at, asked, received)
        if self.at_least() <= new.at_most(self.clock) and new.at_least(self.clock) <= self.at_most():
            self._readings = [*self._readings, new]
        elif self._is_newest(new):
            self._readings = [new]
        self._tightened.set()
        self._tightened = asyncio.Event()
        for listener in self._listeners:
            listener()

    def _is_newest(self, new: DatabaseReading) -> bool:
        return all(reading.asked.monotonic <= new.asked.monotonic for reading in self._readings)

    def on_tightened(self, listener: Callable[[], None]) -> None:
        """Call the listener after each further reading: what was planned by the old bounds may be due."""
        self._listeners.append(listener)

    def tighten_by(self, other: DatabaseTime) -> None:
        """Add the readings of another answer."""
        for reading in other._readings:
            self.tighten(reading.at, reading.asked, reading.received)

    def at_least(self) -> datetime:
        """Return an instant that the database's clock has certainly reached. Openings before it have come.

        It is also what ages are judged by, because the function's own clock may be wrong by hours.
        """
        return max(reading.at_least(self.clock) for reading in self._readings)

    def at_most(self) -> datetime:
        """Return an instant that the database's clock has certainly not passed. Classes after it have not begun."""
        return min(reading.at_most(self.clock) for reading in self._readings)

    def stamp(self) -> datetime:
        """Return ``at_most()`` for a record, at least as long after the previous stamp as it really is.

        A reading that tightens the bounds between two calls would otherwise show them closer than they left.
        """
        at, now = self.at_most(), self.clock.monotonic()
        if self._stamped is not None:
            before, stamped = self._stamped
            at = max(at, stamped + timedelta(seconds=now - before))
        self._stamped = now, at
        return at

    def monotonic_at(self, instant: datetime) -> float:
        """Return the monotonic instant at which the database's clock has certainly reached ``instant``."""
        return min(reading.monotonic_at(instant) for reading in self._readings)

    async def sleep_until(self, instant: datetime) -> None:
        """Return once the database's clock has certainly reached the instant, by every reading until then."""
        while (left := self.monotonic_at(instant) - self.clock.monotonic()) > 0:
            if left <= 2 * _LAST_LOOK:  # a wait has to be long enough to end: adding 1e-17 s changes no clock
                await self.clock.sleep_until(self.monotonic_at(instant))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left - _LAST_LOOK):
                    await self._tightened.wait()
