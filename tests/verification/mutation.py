"""Switching a guard off: the battery edits the code, in memory and in its own database; what it edits must be there.

An edit names a text that must occur exactly once in the source of a function, of Python's or of the database's. So a
guard that is rewritten takes its edit with it, or the battery fails.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from types import FunctionType
from typing import Any, Literal, Protocol

from prebooking.local.postgres import MIGRATIONS
from tests.verification.sim_database import SimDatabase


class Edit(Protocol):
    """One change that takes a guard away."""

    def applied(self, sim_database: SimDatabase) -> Any:
        """Return a context in which it is done."""


def _edited(source: str, old: str, new: str, where: str) -> str:
    if source.count(old) != 1:
        raise AssertionError(f"{where} has {source.count(old)} times what should be there once, to be edited: {old}")
    return source.replace(old, new)


@dataclass(frozen=True, slots=True)
class InPython:
    """An edit of a function or method, as ``prebooking.run.attempt:BookingAttempt._conclude``."""

    where: str
    old: str
    new: str

    @contextmanager
    def applied(self, sim_database: SimDatabase) -> Iterator[None]:
        """Do it for as long as the block lasts, wherever the function is known by whatever name."""
        module, _, path = self.where.partition(":")
        function: Any = reduce(getattr, path.split("."), importlib.import_module(module))
        source = _edited(textwrap.dedent(inspect.getsource(function)), self.old, self.new, self.where)
        scratch: dict[str, FunctionType] = {}
        flags = __future__.annotations.compiler_flag
        exec(compile(source, self.where, "exec", flags), function.__globals__, scratch)  # noqa: S102 - our own text
        original, function.__code__ = function.__code__, scratch[function.__name__].__code__
        try:
            yield
        finally:
            function.__code__ = original


@dataclass(frozen=True, slots=True)
class InSql:
    """An edit of one of the database's functions, whose text is in the migrations."""

    function: str
    old: str
    new: str

    @contextmanager
    def applied(self, sim_database: SimDatabase) -> Iterator[None]:
        """Do it in a database that is thrown away afterwards."""
        text = "".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
        found = re.search(rf"create function public\.{self.function}\(.*?\nend \$\$;", text, re.DOTALL)
        assert found, f"no migration creates {self.function}"
        current = sim_database.source(self.function) or found[0]
        edited = _edited(current, self.old, self.new, self.function)
        sim_database.replace(self.function, edited.replace("create function", "create or replace function"))
        yield


@dataclass(frozen=True, slots=True)
class Dropped:
    """A trigger or a constraint of the prebookings taken away, in a database that is thrown away afterwards."""

    name: str
    kind: Literal["trigger", "constraint"] = "trigger"

    @contextmanager
    def applied(self, sim_database: SimDatabase) -> Iterator[None]:
        """Drop it; that it is there is the database's to say."""
        drop = f"alter table public.prebookings drop constraint {self.name}"
        if self.kind == "trigger":
            drop = f"drop trigger {self.name} on public.prebookings"
        sim_database.connection.execute(drop.encode())
        yield


@contextmanager
def switched_off(sim_database: SimDatabase, edits: Iterable[Edit]) -> Iterator[None]:
    """Do all the edits for as long as the block lasts."""
    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edit.applied(sim_database))
        yield
