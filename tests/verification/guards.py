"""Checks that every guard is needed: its scenario succeeds with it and fails without it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.verification.guard import Guard
from tests.verification.guards_of_notifications import GUARDS_OF_NOTIFICATIONS
from tests.verification.guards_of_python import GUARDS_OF_PYTHON
from tests.verification.guards_of_sql import GUARDS_OF_SQL
from tests.verification.mutation import switched_off
from tests.verification.part import Part, Result, Share
from tests.verification.sim_database import new_sim_database

GUARDS = (*GUARDS_OF_SQL, *GUARDS_OF_PYTHON, *GUARDS_OF_NOTIFICATIONS)


def verdict(guard: Guard) -> tuple[list[str], list[str]]:
    """Run a guard's scenario with and without it; return what is wrong, and what the scenario without it violates."""
    with new_sim_database() as sim_database, switched_off(sim_database, guard.first):
        with_it = guard.scenario(sim_database)
        with switched_off(sim_database, guard.off):
            without = guard.scenario(sim_database)
    wrong = [f"{guard.name}: with it: {complaint}" for complaint in with_it]
    wrong += [] if without else [f"{guard.name}: its removal is not noticed"]
    return wrong, _names(without)


def _names(complaints: list[str]) -> list[str]:
    """Return the numbers of the violated invariants, and all other complaints."""
    return sorted({re.split(r" |: ", each)[0] if re.match(r"I\d+ ", each) else each for each in complaints})


def _run(share: Share) -> Iterable[Result]:
    guards = list(share.select(GUARDS[::6] if share.size.sample else GUARDS))
    verdicts = [verdict(guard) for guard in guards]
    wrong = [complaint for complaints, _ in verdicts for complaint in complaints]
    notes = [f"without “{guard.name}”: {', '.join(seen)}" for guard, (_, seen) in zip(guards, verdicts, strict=True)]
    yield Result("guards removed, each of them missed", len(guards), wrong, notes=notes)


PART = Part("guards", _run, shares=4)
