"""The list of mutants is about the code as it is: see ``make mutants``."""

from __future__ import annotations

import errno
import io
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from prebooking.files import MIGRATIONS
from tests.verification.mutants import check
from tests.verification.mutants.catalogue import MUTANTS
from tests.verification.mutants.copies import Copy
from tests.verification.mutants.mutant import ROOT


def test_every_mutant_applies_to_the_code_as_it_is_and_names_tests_that_exist() -> None:
    assert [mutant.stale for mutant in MUTANTS if mutant.stale] == []


def test_no_mutant_changes_a_function_that_a_later_migration_replaces() -> None:
    last = {name: path.name for path in sorted(MIGRATIONS.glob("*.sql")) for name, *_ in _functions(path)}
    stale = [
        f"{mutant}: see {last[name]}"
        for mutant in MUTANTS
        if (path := ROOT / mutant.file).parent == MIGRATIONS
        for name, start, end in _functions(path)
        if start <= path.read_text().find(mutant.before) < end and last[name] != path.name
    ]
    assert stale == []


@cache
def _functions(path: Path) -> list[tuple[str, int, int]]:
    """Return the name of each function in a migration, and where its definition begins and ends."""
    definitions = re.compile(r"create (?:or replace )?function public\.(\w+)\(.*?\$\$.*?\$\$;", re.DOTALL)
    return [(found[1], *found.span()) for found in definitions.finditer(path.read_text())]


def test_no_mutant_is_listed_twice_or_changes_nothing() -> None:
    changes = [(mutant.file, mutant.before, mutant.after) for mutant in MUTANTS]
    assert len(set(changes)) == len(changes) >= 80
    assert [mutant for mutant in MUTANTS if mutant.before == mutant.after or not mutant.tests] == []


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ONLY", "guardz", "ONLY=guardz is in the name of no file: use, for example, ONLY=claim.\n"),
        ("WORKERS", "many", "WORKERS=many is no number of workers: use, for example, WORKERS=1.\n"),
        ("WORKERS", "0", "WORKERS=0 is no number of workers: use, for example, WORKERS=1.\n"),
    ],
)
def test_a_variable_that_cannot_be_read_is_one_sentence(
    variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert (check.main(), capsys.readouterr().out) == (2, sentence)


class FullDisk(io.StringIO):
    """Takes one line."""

    def write(self, text: str) -> int:
        if "\n" in self.getvalue():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_disk_that_is_full_in_the_middle_of_a_run_ends_it_with_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """``prebooking.local.program`` makes one sentence of it, and of no exception group."""

    async def nothing_fails(*_: object) -> str:
        return ""

    monkeypatch.setattr(Copy, "tests_notice", nothing_fails)
    monkeypatch.setattr(check, "noticed_by", nothing_fails)
    monkeypatch.setenv("ONLY", "function/auth")
    monkeypatch.setattr(sys, "stdout", FullDisk())
    with pytest.raises(OSError, match="No space left on device"):
        check.main()
