"""The machine's clocks, deadlines, and bounds for the time on the database's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

_COARSE = 0.2  # the first sleep ends this many seconds before the instant: a sleep of 8 s can end 10 ms late
_FINE = 0.0012  # this many seconds before the instant we start to yield in a busy loop: a timer can fire 1.1 ms late

_LAST_LOOK = 0.03  # the wait for new readings ends this many seconds before the instant

_ROUNDING = 0.00001  # seconds added, because datetimes are rounded to microseconds, and no call may be early


class Clock:
    """The machine's clocks. Durations are measured on the monotonic clock."""

    def now(self) -> datetime:
        """Return the wall clock's instant, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic clock in seconds. It is never adjusted, and only differences are meaningful."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait at least this number of seconds."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, instant: float) -> None:
        """Return at this instant of the monotonic clock: never before it, and less than a millisecond after it."""
        for stage in (_COARSE, _FINE):
            if (left := instant - self.monotonic()) > stage:
                await asyncio.sleep(left - stage)
        while self.monotonic() < instant:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Reading:
    """The wall clock and the monotonic clock, read together."""

    wall: datetime
    monotonic: float

    @classmethod
    def of(cls, clock: Clock) -> Reading:
        """Read both clocks."""
        return cls(clock.now(), clock.monotonic())

    def elapsed(self, clock: Clock) -> float:
        """Return the seconds since this reading: the larger value of the two clocks.

        The monotonic clock stops while a machine is suspended. The wall clock can stop when a machine's snapshot is
        restored. Only a freeze that stops both clocks is not detected.
        """
        return max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline: ``seconds`` after a reading of both clocks.

    ``monotonic_only`` deadlines ignore the wall clock. They are for writes: the database refuses a write if the run no
    longer holds the row, and a wall clock that is set forward must not prevent the write of an outcome.
    """

    clock: Clock
    start: Reading
    seconds: float
    monotonic_only: bool = False

    @classmethod
    def within(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the deadline that is this many seconds from now."""
        return cls(clock, Reading.of(clock), seconds)

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
    """One reading of the database's clock: it showed ``at`` at some instant between ``asked`` and ``received``."""

    at: datetime
    asked: Reading
    received: Reading

    def at_least(self, clock: Clock) -> datetime:
        """Return the latest instant that the database's clock has certainly reached."""
        return self.at + timedelta(seconds=clock.monotonic() - self.received.monotonic)

    def at_most(self, clock: Clock) -> datetime:
        """Return the earliest instant that the database's clock has certainly not passed, also after a freeze."""
        return self.at + timedelta(seconds=self.asked.elapsed(clock))

    def monotonic_at(self, instant: datetime) -> float:
        """Return the monotonic instant at which the database's clock has certainly reached ``instant``."""
        return self.received.monotonic + (instant - self.at).total_seconds() + _ROUNDING


class DatabaseTime:
    """A lower and an upper bound of the database's clock. The time that an answer takes is the uncertainty.

    Further readings tighten the bounds: each bound is the best one of all readings.
    """

    def __init__(self, clock: Clock, at: datetime, asked: Reading, received: Reading) -> None:
        self.clock = clock
        self._readings = [DatabaseReading(at, asked, received)]
        self._tightened = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._stamped: tuple[float, datetime] | None = None  # monotonic time and value of the last stamp

    def tighten(self, at: datetime, asked: Reading, received: Reading) -> None:
        """Add a reading. If it contradicts the others, the database's clock was set: then only the newest is kept.

        The newest reading is the one requested last: its answer can arrive before the answer to an earlier request.
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
        """Call the listener after each further reading, because times calculated from the old bounds have changed."""
        self._listeners.append(listener)

    def merge(self, other: DatabaseTime) -> None:
        """Add the readings of another DatabaseTime."""
        for reading in other._readings:
            self.tighten(reading.at, reading.asked, reading.received)

    def at_least(self) -> datetime:
        """Return a lower bound of the database's clock. Openings before it have passed.

        Ages are also calculated from it, because this machine's clock may be wrong by hours.
        """
        return max(reading.at_least(self.clock) for reading in self._readings)

    def at_most(self) -> datetime:
        """Return an upper bound of the database's clock. Classes that start after it have not begun."""
        return min(reading.at_most(self.clock) for reading in self._readings)

    def stamp(self) -> datetime:
        """Return ``at_most()`` to be stored. Two stamps are never closer together than on the monotonic clock.

        Without this, a reading between two calls would make their stored times closer together than the calls were.
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
        """Wait until the database's clock has certainly reached the instant, using readings made meanwhile."""
        while (left := self.monotonic_at(instant) - self.clock.monotonic()) > 0:
            if left <= 2 * _LAST_LOOK:  # a timeout must not be so short that adding it to the clock changes nothing
                await self.clock.sleep_until(self.monotonic_at(instant))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left - _LAST_LOOK):
                    await self._tightened.wait()
