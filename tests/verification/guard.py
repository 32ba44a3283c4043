"""What a guard is: its name, what takes it away, and the story that ends badly then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.verification.mutation import Edit
from tests.verification.sim_database import SimDatabase


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard. ``first``: the guards that stand before it; they have to go first, and without them all goes well."""

    name: str
    scenario: Callable[[SimDatabase], list[str]]
    off: tuple[Edit, ...]
    first: tuple[Edit, ...] = ()
