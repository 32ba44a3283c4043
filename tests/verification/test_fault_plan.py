"""Faults have an effect: a scheduler without the guard against one violates an invariant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verification.caps import CAP_SCENARIOS, CapScenario, run
from tests.verification.guards import GUARDS, verdict
from tests.verification.guards_of_sql import CLAIM
from tests.verification.mutation import InSql, switched_off
from tests.verification.sim_database import new_sim_database


@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("a row that is being booked cannot become another prebooking", "I14"),
        ("a step back of the clock is accepted", "I10"),
        ("a response from before a step of the clock is ignored", "I10"),
    ],
)
def test_a_fault_without_its_guard_violates_an_invariant(name: str, invariant: str) -> None:
    [guard] = [guard for guard in GUARDS if guard.name == name]
    wrong, without = verdict(guard)
    assert (wrong, invariant in without) == ([], True)


_NO_CAP_OF_ROWS = InSql(
    CLAIM, "select greatest(v_limit - coalesce(sum(n), 0), 0) as room", "select 100000 + coalesce(sum(n), 0) as room"
)
_NO_CAP_OF_EXPIRED_ROWS = InSql(CLAIM, "limit 5000 for no key", "limit 100000 for no key")


@pytest.mark.parametrize(
    ("scenario", "edit", "complaint"),
    [
        (CAP_SCENARIOS["due"], _NO_CAP_OF_ROWS, "a claim takes 660 rows at once"),
        # Fewer rows, because the checker is under test.
        (replace(CAP_SCENARIOS["expired"], cap=50, rows=60), _NO_CAP_OF_EXPIRED_ROWS, "a claim takes 60 rows at once"),
    ],
    ids=["due", "expired"],
)
def test_a_claim_without_its_cap_is_noticed(scenario: CapScenario, edit: InSql, complaint: str) -> None:
    with new_sim_database() as sim_database, switched_off(sim_database, [edit]):
        _, wrong = run(sim_database, scenario)
    assert complaint in wrong
