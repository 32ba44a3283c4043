"""The simulated clock of the database, which is wrong and is set forward and back while invocations run."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.support.doubles import EPOCH

MOST_FORWARD = 15.0  # seconds within one lease: as long as a venue may take to act after the guard (docs/guarantees.md)
MOST_BACK = 20.0  # seconds
_LEASE = 60.0  # seconds: longer than any lease in the simulation, even if the clock is set back during it
_FARTHEST = 22.0  # seconds: the largest offset


class DatabaseClock:
    """The database's clock as a function of simulation time."""

    def __init__(self, offset: float = 0.0) -> None:
        self._since, self._offsets = [0.0], [offset]

    def set(self, at: float, by: float) -> None:
        """Set the clock forward or back by this many seconds."""
        self._since.append(at)
        self._offsets.append(self._offsets[-1] + by)

    @property
    def steps(self) -> int:
        """Return how often the clock was set."""
        return len(self._since) - 1

    @property
    def spread(self) -> timedelta:
        """Return the difference between the largest and the smallest offset."""
        return timedelta(seconds=max(self._offsets) - min(self._offsets))

    def read(self, at: float) -> datetime:
        """Return what the clock shows at this second of simulation time."""
        return EPOCH + timedelta(seconds=at + self.offsets(at, at)[0])

    def offsets(self, since: float, until: float) -> Sequence[float]:
        """Return every offset that the clock had between two seconds of simulation time."""
        first = max(0, bisect_right(self._since, since) - 1)
        return self._offsets[first : max(first + 1, bisect_right(self._since, until))]


def draw_steps(rng: random.Random, openings: Sequence[float], ends: float) -> list[tuple[float, float]]:
    """Draw steps of the clock, as (second, size): small corrections, and failovers to another host.

    Half of them are near an opening, while rows are held or called. The sum of the steps forward within one lease is
    limited to ``MOST_FORWARD``.
    """
    steps = list[tuple[float, float]]()
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        at = rng.choice([rng.uniform(0, ends), rng.choice(openings) + rng.uniform(-5, 5)])
        size = rng.choice([rng.uniform(0.2, 1.5), rng.uniform(1.5, 6), rng.uniform(6, MOST_BACK)])
        by = size * rng.choice([1, -1])
        forward = sum(max(0.0, other) for when, other in steps if abs(when - at) < _LEASE)
        offset = sum(other for _, other in steps)
        if 0 < at < ends and forward + by <= MOST_FORWARD and abs(offset + by) <= _FARTHEST:
            steps.append((at, by))
    return sorted(steps)


def forward_within(steps: Sequence[tuple[float, float]], since: float) -> float:
    """Return how many seconds steps of the clock take from a lease that begins at ``since``."""
    return sum(max(0.0, by) for at, by in steps if since <= at < since + _LEASE)
