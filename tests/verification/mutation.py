"""Removes a guard: replaces a rule of the function, edits a function of the database, or drops a trigger, a constraint
or an index.

An edit quotes a text that must occur exactly once in the source of a database function. So a change of a guard makes
its edit fail until the edit is changed too.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from inspect import iscoroutinefunction, signature
from typing import Any, Literal, Protocol

from prebooking.files import MIGRATIONS
from tests.verification.sim_database import SimDatabase


class Edit(Protocol):
    """One change that removes a guard."""

    def applied(self, sim_database: SimDatabase) -> Any:
        """Return a context in which the edit is applied."""


def _edited(source: str, old: str, new: str, where: str) -> str:
    if source.count(old) != 1:
        raise AssertionError(f"{where}: the text to edit occurs {source.count(old)} times, not once: {old}")
    return source.replace(old, new)


@dataclass(frozen=True, slots=True)
class Replaced:
    """A rule of the function, as ``prebooking.run.rules:in_doubt``, replaced by a function with the same parameters.

    The replacement sees the names of the rule's module, not those of its own.
    """

    where: str
    by: Callable[..., Any]

    @contextmanager
    def applied(self, sim_database: SimDatabase) -> Iterator[None]:
        """Replace the rule's code until the end of the block, so that every reference to it is affected."""
        module, _, path = self.where.partition(":")
        rule: Any = reduce(getattr, path.split("."), importlib.import_module(module))
        assert list(signature(self.by).parameters) == list(signature(rule).parameters), self.where
        assert iscoroutinefunction(self.by) == iscoroutinefunction(rule), self.where
        original, rule.__code__ = rule.__code__, self.by.__code__
        try:
            yield
        finally:
            rule.__code__ = original


@dataclass(frozen=True, slots=True)
class InSql:
    """An edit of a function of the database, whose source is in the migrations."""

    function: str
    old: str
    new: str

    @contextmanager
    def applied(self, sim_database: SimDatabase) -> Iterator[None]:
        """Replace the function in a database that is removed afterwards."""
        text = "".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
        pattern = rf"create (?:or replace )?function public\.{self.function}\(.*?\nend \$\$;"
        found = re.findall(pattern, text, re.DOTALL)
        assert found, f"no migration creates {self.function}"
        edited = _edited(sim_database.source(self.function) or found[-1], self.old, self.new, self.function)
        sim_database.replace(self.function, edited.replace("create function", "create or replace function"))
        yield


@dataclass(frozen=True, slots=True)
class Dropped:
    """A trigger, constraint or index of the prebookings that is dropped, in a database that is removed afterwards."""

    name: str
    kind: Literal["trigger", "constraint", "index"] = "trigger"

    @contextmanager
    def applied(self, sim_database: SimDatabase) -> Iterator[None]:
        """Drop it; the database raises an error if it does not exist."""
        drop = f"alter table public.prebookings drop constraint {self.name}"
        if self.kind == "trigger":
            drop = f"drop trigger {self.name} on public.prebookings"
        elif self.kind == "index":
            drop = f"drop index public.{self.name}"
        sim_database.connection.execute(drop.encode())
        yield


@contextmanager
def switched_off(sim_database: SimDatabase, edits: Iterable[Edit]) -> Iterator[None]:
    """Apply all edits until the end of the block."""
    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edit.applied(sim_database))
        yield
