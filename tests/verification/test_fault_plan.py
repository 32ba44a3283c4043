"""Faults of the plan do something: a core without the guard against one is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verification.caps import CROWDS, Crowd, run
from tests.verification.guards import GUARDS, verdict
from tests.verification.guards_of_sql import CLAIM
from tests.verification.mutation import InSql, switched_off
from tests.verification.sim_database import new_sim_database


@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("what is being booked cannot be made into another prebooking", "I12"),
        ("a clock that was set back is believed", "I10"),
        ("an answer from before the clock was set changes nothing", "I10"),
    ],
)
def test_a_fault_that_the_core_is_not_guarded_against_violates_an_invariant(name: str, invariant: str) -> None:
    [guard] = [guard for guard in GUARDS if guard.name == name]
    wrong, without = verdict(guard)
    assert (wrong, invariant in without) == ([], True)


_NO_CAP_OF_ROWS = InSql(
    CLAIM,
    "select greatest(v_limit - coalesce(sum(n), 0), 0) as room",
    "select 100000 + coalesce(sum(n), 0) as room",
)
_NO_CAP_OF_EXPIRED_ROWS = InSql(CLAIM, "limit 5000 for no key", "limit 100000 for no key")


@pytest.mark.parametrize(
    ("crowd", "edit", "complaint"),
    [
        (CROWDS["due"], _NO_CAP_OF_ROWS, "a claim takes 660 rows at once"),
        # The same scenario with fewer rows, because it is the checker that is tested.
        (replace(CROWDS["expired"], cap=50, rows=60), _NO_CAP_OF_EXPIRED_ROWS, "a claim takes 60 rows at once"),
    ],
    ids=["due", "expired"],
)
def test_a_claim_without_its_cap_is_noticed(crowd: Crowd, edit: InSql, complaint: str) -> None:
    with new_sim_database() as sim_database, switched_off(sim_database, [edit]):
        _, wrong = run(sim_database, crowd)
    assert complaint in wrong
