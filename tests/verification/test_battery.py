"""A sample of each part of the verification, all of which ``make prove`` runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prebooking.model import Kind, Outcome
from tests.verification import guards, notifications, prove, seeds, steps
from tests.verification.guards_of_python import replaced, too_early_is_always_final
from tests.verification.instance import LivelockError, run_instances
from tests.verification.mutation import InSql, Replaced, switched_off
from tests.verification.part import Part, Result, Share, Size, failures, sample
from tests.verification.seeds import run
from tests.verification.sim_database import new_sim_database


@pytest.mark.parametrize("part", [seeds.PART, steps.PART, notifications.PART, guards.PART], ids=lambda part: part.name)
def test_a_sample_of_the_part_finds_nothing_wrong(part: Part) -> None:
    assert failures(sample(part)) == []


def test_a_line_without_a_check_is_a_failure() -> None:
    assert failures([Result("nothing", 0)]) == ["nothing: nothing was checked"]


def test_a_seed_is_the_same_scenario_every_time() -> None:
    with new_sim_database() as sim_database:
        first, again = (run(sim_database, 9, traced=True).timeline for _ in range(2))
    assert first == again


def test_an_edit_whose_text_is_missing_is_an_error() -> None:
    edit = InSql("finish_run_v1", "no such text", "")
    with (
        new_sim_database() as sim_database,
        pytest.raises(AssertionError, match="occurs 0 times"),
        switched_off(sim_database, [edit]),
    ):
        pass


@replaced("prebooking.run.attempt:BookingAttempt._end_if_not_booked")
def gives_up_in_doubt(self: Any) -> Outcome | None:
    return Outcome(Kind.REJECTED)


@pytest.mark.parametrize("edit", [gives_up_in_doubt, too_early_is_always_final], ids=["in doubt", "too early"])
def test_a_scheduler_that_gives_up_violates_an_invariant_within_a_few_seeds(edit: Replaced) -> None:
    """I13: no member is booked twice and every row agrees with the ledger, but rows fail that could be booked."""
    with new_sim_database() as sim_database, switched_off(sim_database, [edit]):
        first = next(result for seed in range(20) if any((result := run(sim_database, seed)).violations.values()))
    assert first.violations["I13 booked, if it was possible"] != []


def test_every_edit_of_every_guard_can_be_made() -> None:
    """``make test`` runs only some of the guards: this is about the others."""
    for guard in guards.GUARDS:
        with new_sim_database() as sim_database, switched_off(sim_database, [*guard.first, *guard.off]):
            pass


def test_a_replacement_has_the_parameters_of_its_rule() -> None:
    edit = Replaced("prebooking.run.rules:in_doubt", lambda: False)
    with (
        new_sim_database() as sim_database,
        pytest.raises(AssertionError, match="rules:in_doubt"),
        switched_off(sim_database, [edit]),
    ):
        pass


def test_a_livelock_raises_an_error_instead_of_hanging() -> None:
    async def livelock() -> None:
        while True:  # noqa: ASYNC110 - this is under test
            await asyncio.sleep(0)

    with pytest.raises(LivelockError, match="callbacks at 0"):
        run_instances(livelock())


def test_a_simulation_that_does_not_end_is_a_violation_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: object) -> None:
        raise LivelockError("more than enough callbacks")

    monkeypatch.setattr(seeds.RandomScenario, "run", fails)
    [*_, ends] = seeds.PART.run(Share(Size(seeds=1, first=20_000)))
    assert (ends.violations, ends.replay) == (
        ["seed 20000: LivelockError: more than enough callbacks"],
        "make prove SEED=20000",
    )


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SEED", "abc", "SEED=abc is not a number: use, for example, SEED=17.\n"),
        ("SEEDS", "-1", "SEEDS=-1 is not a number: use, for example, SEEDS=17.\n"),
        ("SEEDS", "0", "SEEDS=0 runs nothing: use, for example, SEEDS=60.\n"),
        ("FIRST", "²", "FIRST=² is not a number: use, for example, FIRST=17.\n"),
        ("PART", "guardz", "PART=guardz is not a part: use simulation,"),
    ],
)
def test_an_invalid_variable_is_reported_in_one_sentence(
    variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert (prove.main(), capsys.readouterr().out[: len(sentence)]) == (2, sentence)
