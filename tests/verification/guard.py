"""A guard of the code: its name, the edits that remove it, and the scenario that fails without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.verification.mutation import Edit
from tests.verification.sim_database import SimDatabase


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard. ``first`` removes other guards that hide its absence; the scenario succeeds without those."""

    name: str
    scenario: Callable[[SimDatabase], list[str]]
    off: tuple[Edit, ...]
    first: tuple[Edit, ...] = ()


def guard(name: str, scenario: Callable[[SimDatabase], list[str]], *off: Edit, first: tuple[Edit, ...] = ()) -> Guard:
    """Return the guard that these edits remove."""
    return Guard(name, scenario, off, first)
