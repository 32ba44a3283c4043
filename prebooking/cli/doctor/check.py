"""What a check is: a function from facts to findings, and every way in which it can fail, with the cure of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from prebooking.cli.doctor.observations import Observations

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fine:
    """Something that is as it should be."""

    said: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One of a check's ways to fail; ``words`` fill its sentence."""

    way: str
    words: Mapping[str, object]


def fault(way: str, **words: object) -> Fault:
    """Return a fault."""
    return Fault(way, words)


Found = Fine | Fault


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer. ``ok`` is false for what somebody has to cure; a warning is ok."""

    name: str
    ok: bool
    said: str
    way: str | None = None

    @property
    def mark(self) -> Literal["ok", "warn", "FAIL"]:
        """Return how the line begins."""
        if not self.ok:
            return "FAIL"
        return "warn" if self.way else "ok"


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One check. ``of`` returns the facts that it needs, or None if they could not be had; then it finds nothing."""

    name: str
    of: Callable[[Observations], T | None]
    look: Callable[[T], Iterable[Found]]
    ways: Mapping[str, str]
    warnings: frozenset[str] = frozenset()

    def findings(self, observations: Observations) -> Iterator[Finding]:
        """Yield what it finds in what was gathered."""
        facts = self.of(observations)
        return self.judge(facts) if facts is not None else iter(())

    def judge(self, facts: T) -> Iterator[Finding]:
        """Yield what it finds in the facts that it needs."""
        for found in self.look(facts):
            if isinstance(found, Fine):
                yield Finding(self.name, ok=True, said=found.said)
            else:
                said = self.ways[found.way].format(**found.words)
                yield Finding(self.name, ok=found.way in self.warnings, said=said, way=found.way)
