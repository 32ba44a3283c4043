"""Every guard is needed: without it, a story ends badly that ends well with it, and a storm of seeds notices most."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.proof.ground import new_ground
from tests.proof.guard import Guard
from tests.proof.guards_of_python import GUARDS_OF_PYTHON
from tests.proof.guards_of_sql import GUARDS_OF_SQL
from tests.proof.mutation import switched_off
from tests.proof.part import Part, Result, Share

GUARDS = (*GUARDS_OF_SQL, *GUARDS_OF_PYTHON)


def verdict(guard: Guard) -> tuple[list[str], list[str]]:
    """Play a guard's story with it and without it; return what is wrong, and what has missed the guard."""
    with new_ground() as ground, switched_off(ground, guard.first):
        with_it = guard.scene(ground)
        with switched_off(ground, guard.off):
            without = guard.scene(ground)
    wrong = [f"{guard.name}: with it: {complaint}" for complaint in with_it]
    wrong += [] if without else [f"{guard.name}: nothing notices that it is gone"]
    return wrong, _names(without)


def _names(complaints: list[str]) -> list[str]:
    """Return the invariants' numbers, or what a story says itself."""
    return sorted({re.split(r" |: ", each)[0] if re.match(r"I\d+ ", each) else each for each in complaints})


def _run(share: Share) -> Iterable[Result]:
    guards = list(share.mine(GUARDS[::6] if share.size.sample else GUARDS))
    verdicts = [verdict(guard) for guard in guards]
    wrong = [complaint for complaints, _ in verdicts for complaint in complaints]
    notes = [f"without “{guard.name}”: {', '.join(seen)}" for guard, (_, seen) in zip(guards, verdicts, strict=True)]
    yield Result("guards taken away, each of them missed", len(guards), wrong, notes=notes)


PART = Part("guards", _run, shares=4)
