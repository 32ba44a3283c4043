"""What a guard is: its name, what takes it away, and the story that ends badly then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.proof.ground import Ground
from tests.proof.mutation import Edit


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard. ``first``: the guards that stand before it; they have to go first, and without them all goes well."""

    name: str
    scene: Callable[[Ground], list[str]]
    off: tuple[Edit, ...]
    first: tuple[Edit, ...] = ()
