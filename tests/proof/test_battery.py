"""A sample of each part of the battery; ``make prove`` runs all of it."""

from __future__ import annotations

import pytest

from tests.proof import guards, simulation, steps
from tests.proof.ground import new_ground
from tests.proof.mutation import InPython, switched_off
from tests.proof.part import Part, Result, faults, sample
from tests.proof.simulation import play


@pytest.mark.parametrize("part", [simulation.PART, steps.PART, guards.PART], ids=lambda part: part.name)
def test_a_sample_of_the_part_finds_nothing_wrong(part: Part) -> None:
    assert faults(sample(part)) == []


def test_a_line_that_has_looked_at_nothing_is_a_fault() -> None:
    assert faults([Result("nothing", 0)]) == ["nothing: nothing was looked at"]


def test_a_seed_is_the_same_story_every_time() -> None:
    with new_ground() as ground:
        first, again = (play(ground, 9, traced=True).timeline for _ in range(2))
    assert first == again


def test_an_edit_whose_text_is_not_there_is_an_error() -> None:
    edit = InPython("prebooking.rules:in_doubt", "what nobody wrote", "")
    with new_ground() as ground, pytest.raises(AssertionError, match="has 0 times"), switched_off(ground, [edit]):
        pass
