"""What a part of the battery is: it is given a share of the work, and says what it has looked at and what it found.

A part is a module with a ``PART``; ``parts.py`` lists them. ``make prove`` runs every part at full size, its shares
side by side in processes; ``make test`` runs a sample of each, in the part's own test file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is to be done. ``sample``: as much as fits into a few seconds; else everything, with so many seeds."""

    seeds: int = 1000
    first: int = 0  # the first seed
    sample: bool = False


SAMPLE = Size(seeds=24, sample=True)


@dataclass(frozen=True, slots=True)
class Share:
    """One share of a part's work: number ``index`` of ``of``."""

    size: Size
    index: int = 0
    of: int = 1

    def mine(self, items: Iterable[T]) -> Iterator[T]:
        """Return what falls to this share; items are dealt out one by one, so that all shares take equally long."""
        return islice(items, self.index, None, self.of)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: of what how many were looked at, what was violated, and how to see it again.

    Results of one part with the same ``what``, from different shares, become one line: counts and violations are added.
    A line whose count is 0 proves nothing and is itself a violation.
    """

    what: str
    count: int
    violations: list[str] = field(default_factory=list)  # a sentence each
    replay: str = ""  # a command that shows the first violation again
    notes: list[str] = field(default_factory=list)  # what else there is to say, a line each, printed below the table


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the battery. ``run`` does one share; it is a module's function, because other processes run it."""

    name: str
    run: Callable[[Share], Iterable[Result]]
    shares: int = 1  # into how many pieces the work is cut


def sample(part: Part) -> list[Result]:
    """Run a part's sample here and now, for ``make test``."""
    return list(part.run(Share(SAMPLE)))


def faults(results: Iterable[Result]) -> list[str]:
    """Return every violation, and every line that looked at nothing."""
    found = list[str]()
    for result in results:
        found += [f"{result.what}: {violation}" for violation in result.violations]
        found += [] if result.count else [f"{result.what}: nothing was looked at"]
    return found
