"""The list of mutants is about the code as it is: see ``make mutants``."""

from __future__ import annotations

from tests.mutants.catalogue import MUTANTS


def test_every_mutant_applies_to_the_code_as_it_is_and_names_tests_that_exist() -> None:
    assert [mutant.stale for mutant in MUTANTS if mutant.stale] == []


def test_no_mutant_is_listed_twice_or_changes_nothing() -> None:
    changes = [(mutant.file, mutant.before, mutant.after) for mutant in MUTANTS]
    assert len(set(changes)) == len(changes) >= 80
    assert [mutant for mutant in MUTANTS if mutant.before == mutant.after or not mutant.tests] == []
