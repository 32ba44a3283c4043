"""A check: a function from observations to findings, and the message of each way in which it can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fine:
    """A result without a fault."""

    message: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One of a check's ways to fail; ``words`` fill its message."""

    way: str
    words: Mapping[str, object]


def fault(way: str, **words: object) -> Fault:
    """Return a Fault with these words."""
    return Fault(way, words)


Found = Fine | Fault


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``ok`` is false if a person has to act; a warning is ok."""

    name: str
    ok: bool
    message: str
    way: str | None = None

    @property
    def mark(self) -> Literal["ok", "warn", "FAIL"]:
        """Return the mark at the start of the line."""
        if not self.ok:
            return "FAIL"
        return "warn" if self.way else "ok"


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One check. ``of`` returns its input from all observations, or None if it could not be read."""

    name: str
    of: Callable[[Any], T | None]
    look: Callable[[T], Iterable[Found]]
    ways: Mapping[str, str]
    warnings: frozenset[str] = frozenset()

    def findings(self, observations: Any) -> Iterator[Finding]:
        """Yield the findings for these observations; none if the input could not be read."""
        subject = self.of(observations)
        return self.evaluate(subject) if subject is not None else iter(())

    def evaluate(self, subject: T) -> Iterator[Finding]:
        """Yield the findings for this input."""
        for found in self.look(subject):
            if isinstance(found, Fine):
                yield Finding(self.name, ok=True, message=found.message)
            else:
                message = self.ways[found.way].format(**found.words)
                yield Finding(self.name, ok=found.way in self.warnings, message=message, way=found.way)
