"""Faults of the plan do something: a core without the guard against one is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proof.caps import CROWDS, Crowd, play
from tests.proof.ground import new_ground
from tests.proof.guards import GUARDS, verdict
from tests.proof.guards_of_sql import CLAIM
from tests.proof.mutation import InSql, switched_off


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
    with new_ground() as ground, switched_off(ground, [edit]):
        _, wrong = play(ground, crowd)
    assert complaint in wrong
