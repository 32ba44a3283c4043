"""The interface of a part of the verification: it runs a share of its checks, and returns results.

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
    """How much is checked: a ``sample`` that takes seconds, or everything, with this many seeds."""

    seeds: int = 1000
    first: int = 0  # the first seed
    sample: bool = False


SAMPLE = Size(seeds=16, sample=True)


@dataclass(frozen=True, slots=True)
class Share:
    """One share of a part's work: number ``index`` of ``of``."""

    size: Size
    index: int = 0
    of: int = 1

    def select(self, items: Iterable[T]) -> Iterator[T]:
        """Return this share's items, every ``of``-th of them, so that all shares take equally long."""
        return islice(items, self.index, None, self.of)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Results with the same ``what`` from different shares of a part are added up. A count of 0 is itself a violation.

    Attributes:
        what: was checked.
        count: of checks.
        violations: one sentence each.
        replay: a command that shows the first violation again.
        notes: lines that are printed below the table.

    """

    what: str
    count: int
    violations: list[str] = field(default_factory=list)
    replay: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the verification. ``run`` is a function of a module, because other processes run it."""

    name: str
    run: Callable[[Share], Iterable[Result]]
    shares: int = 1  # number of shares of the work


def sample(part: Part) -> list[Result]:
    """Run a part's sample in this process, for ``make test``."""
    return list(part.run(Share(SAMPLE)))


def failures(results: Iterable[Result]) -> list[str]:
    """Return every violation, and every line without a check."""
    found = list[str]()
    for result in results:
        found += [f"{result.what}: {violation}" for violation in result.violations]
        found += [] if result.count else [f"{result.what}: nothing was checked"]
    return found
