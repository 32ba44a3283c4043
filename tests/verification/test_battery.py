"""A sample of each part of the battery; ``make prove`` runs all of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prebooking.model import Kind, Outcome
from tests.verification import guards, prove, seeds, steps
from tests.verification.guards_of_python import replaced, too_early_is_final
from tests.verification.instance import LivelockError, run_instances
from tests.verification.mutation import InSql, Replaced, switched_off
from tests.verification.part import Part, Result, Share, Size, faults, sample
from tests.verification.seeds import run
from tests.verification.sim_database import new_sim_database


@pytest.mark.parametrize("part", [seeds.PART, steps.PART, guards.PART], ids=lambda part: part.name)
def test_a_sample_of_the_part_finds_nothing_wrong(part: Part) -> None:
    assert faults(sample(part)) == []


def test_a_line_that_has_looked_at_nothing_is_a_fault() -> None:
    assert faults([Result("nothing", 0)]) == ["nothing: nothing was looked at"]


def test_a_seed_is_the_same_story_every_time() -> None:
    with new_sim_database() as sim_database:
        first, again = (run(sim_database, 9, traced=True).timeline for _ in range(2))
    assert first == again


def test_an_edit_whose_text_is_not_there_is_an_error() -> None:
    edit = InSql("finish_run_v1", "what nobody wrote", "")
    with (
        new_sim_database() as sim_database,
        pytest.raises(AssertionError, match="has 0 times"),
        switched_off(sim_database, [edit]),
    ):
        pass


@replaced("prebooking.run.attempt:BookingAttempt._end_if_not_booked")
def gives_up_in_doubt(self: Any) -> Outcome | None:
    return Outcome(Kind.REJECTED)


@pytest.mark.parametrize("edit", [gives_up_in_doubt, too_early_is_final], ids=["in doubt", "too early"])
def test_a_scheduler_that_gives_up_violates_an_invariant_within_a_few_seeds(edit: Replaced) -> None:
    """I11: it books nobody twice and is never wrong about what the venue has, but people get no place."""
    with new_sim_database() as sim_database, switched_off(sim_database, [edit]):
        first = next(played for seed in range(20) if any((played := run(sim_database, seed)).violations.values()))
    assert first.violations["I11 booked, if it was possible"] != []


def test_a_replacement_has_the_parameters_of_its_rule() -> None:
    edit = Replaced("prebooking.run.rules:in_doubt", lambda: False)
    with (
        new_sim_database() as sim_database,
        pytest.raises(AssertionError, match="rules:in_doubt"),
        switched_off(sim_database, [edit]),
    ):
        pass


def test_a_livelock_is_an_error_and_no_hang() -> None:
    async def livelock() -> None:
        while True:  # noqa: ASYNC110 - it is what is tested
            await asyncio.sleep(0)

    with pytest.raises(LivelockError, match="callbacks at 0"):
        run_instances(livelock())


def test_a_world_that_comes_to_no_end_is_a_violation_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: object) -> None:
        raise LivelockError("more than enough callbacks")

    monkeypatch.setattr(seeds.RandomScenario, "tell", fails)
    [*_, ends] = seeds.PART.run(Share(Size(seeds=1, first=20_000)))
    assert (ends.violations, ends.replay) == (
        ["seed 20000: LivelockError: more than enough callbacks"],
        "make prove SEED=20000",
    )


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SEED", "abc", "SEED=abc is no number: use, for example, SEED=17.\n"),
        ("SEEDS", "-1", "SEEDS=-1 is no number: use, for example, SEEDS=17.\n"),
        ("SEEDS", "0", "SEEDS=0 plays nothing: use, for example, SEEDS=60.\n"),
        ("FIRST", "²", "FIRST=² is no number: use, for example, FIRST=17.\n"),
        ("PART", "guardz", "PART=guardz is no part: use simulation,"),
    ],
)
def test_a_variable_that_cannot_be_read_costs_one_sentence(
    variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert (prove.main(), capsys.readouterr().out[: len(sentence)]) == (2, sentence)
