"""The database's clock of a world: it is off, and it is set while invocations run."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.support.doubles import EPOCH

MOST_FORWARD = 15.0  # seconds within one lease; what a venue may take to act after the guard (docs/guarantees.md)
MOST_BACK = 20.0  # seconds
_LEASE = 60.0  # seconds; longer than any lease here lasts, even if the clock is set back meanwhile
_FARTHEST = 22.0  # seconds that the clock is off at most


class DatabaseClock:
    """Tells what the database's clock reads at a second of the world's time."""

    def __init__(self, offset: float = 0.0) -> None:
        self._since, self._offsets = [0.0], [offset]

    def set(self, at: float, by: float) -> None:
        """Set the clock forward or back by so many seconds."""
        self._since.append(at)
        self._offsets.append(self._offsets[-1] + by)

    @property
    def steps(self) -> int:
        """Return how often it was set."""
        return len(self._since) - 1

    @property
    def spread(self) -> timedelta:
        """Return by how much its offset differed at most."""
        return timedelta(seconds=max(self._offsets) - min(self._offsets))

    def read(self, at: float) -> datetime:
        """Return what the clock says at a second of the world's time."""
        return EPOCH + timedelta(seconds=at + self.offsets(at, at)[0])

    def offsets(self, since: float, until: float) -> Sequence[float]:
        """Return every offset that the clock had between two seconds of the world's time."""
        first = max(0, bisect_right(self._since, since) - 1)
        return self._offsets[first : max(first + 1, bisect_right(self._since, until))]


def draw_steps(dice: random.Random, openings: Sequence[float], ends: float) -> list[tuple[float, float]]:
    """Draw when the clock is set, and by how much: small corrections, and a failover to another host.

    Often it is near an opening, while rows are held or called. Steps forward within one lease are limited in all.
    """
    steps = list[tuple[float, float]]()
    for _ in range(dice.choice([0, 0, 1, 1, 2, 4])):
        at = dice.choice([dice.uniform(0, ends), dice.choice(openings) + dice.uniform(-5, 5)])
        size = dice.choice([dice.uniform(0.2, 1.5), dice.uniform(1.5, 6), dice.uniform(6, MOST_BACK)])
        by = size * dice.choice([1, -1])
        forward = sum(max(0.0, other) for when, other in steps if abs(when - at) < _LEASE)
        offset = sum(other for _, other in steps)
        if 0 < at < ends and forward + by <= MOST_FORWARD and abs(offset + by) <= _FARTHEST:
            steps.append((at, by))
    return sorted(steps)


def forward_within(steps: Sequence[tuple[float, float]], since: float) -> float:
    """Return by how many seconds a lease that begins at ``since`` is cut short."""
    return sum(max(0.0, by) for at, by in steps if since <= at < since + _LEASE)
