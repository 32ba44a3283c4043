"""Time: what it is, how long is left, and waking up at an instant without being early."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_COARSE = 0.2  # seconds before the instant at which the coarse sleep ends: a sleep of 8 s wakes up to 10 ms late
_FINE = 0.0012  # seconds before the instant from which on we only yield, which is CPU: a timer wakes up to 1.1 ms late

_ROUNDING = 0.00001  # seconds: a datetime counts whole microseconds, and rounding one down must not make anybody early


class Clock:
    """The machine's clocks. Durations are measured on the monotonic one; a test replaces the whole object."""

    def now(self) -> datetime:
        """Return the wall clock's instant, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that is never set; its zero means nothing."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait at least so long."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, instant: float) -> None:
        """Return at the instant of the monotonic clock or up to a fraction of a millisecond after it, never before."""
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
        """Return the seconds since this reading, by whichever clock says more.

        The monotonic clock stands still while a machine is suspended, the wall clock while a process image is restored
        with it; only a freeze that stops both cannot be seen.
        """
        return max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant until which something may be done, so many seconds after a reading of both clocks."""

    clock: Clock
    start: Reading
    seconds: float

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self.seconds - self.start.elapsed(self.clock))

    def passed(self) -> bool:
        """Say whether the instant is over, by either clock."""
        return self.remaining() <= 0

    def later(self, seconds: float) -> Deadline:
        """Return the deadline so many seconds after this one (before it, if negative)."""
        return Deadline(self.clock, self.start, self.seconds + seconds)


@dataclass(frozen=True, slots=True)
class DatabaseTime:
    """What the database's clock says, known from one answer of it: bounds, because the answer took time to arrive."""

    clock: Clock
    at: datetime
    asked: Reading
    received: Reading

    def at_least(self) -> datetime:
        """Return an instant that the database's clock has surely reached: what opens by it has opened."""
        return self.at + timedelta(seconds=self.clock.monotonic() - self.received.monotonic)

    def at_most(self) -> datetime:
        """Return an instant that the database's clock has surely not passed: what ends after it has not ended."""
        return self.at + timedelta(seconds=self.asked.elapsed(self.clock))

    def monotonic_at(self, instant: datetime) -> float:
        """Return when, on our monotonic clock, the database's clock will surely have reached the instant."""
        return self.received.monotonic + (instant - self.at).total_seconds() + _ROUNDING
