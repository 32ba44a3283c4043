"""Every guard is needed: without it, a story ends badly that ends well with it, and a storm of seeds notices most."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.verification.guard import Guard
from tests.verification.guards_of_python import GUARDS_OF_PYTHON
from tests.verification.guards_of_sql import GUARDS_OF_SQL
from tests.verification.mutation import switched_off
from tests.verification.part import Part, Result, Share
from tests.verification.sim_database import new_sim_database

GUARDS = (*GUARDS_OF_SQL, *GUARDS_OF_PYTHON)


def verdict(guard: Guard) -> tuple[list[str], list[str]]:
    """Play a guard's story with it and without it; return what is wrong, and what has missed the guard."""
    with new_sim_database() as sim_database, switched_off(sim_database, guard.first):
        with_it = guard.scenario(sim_database)
        with switched_off(sim_database, guard.off):
            without = guard.scenario(sim_database)
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
