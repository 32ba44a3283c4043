"""What a mutant is: one small change of the code that some test has to notice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file, and the tests that should notice it, the fastest first.

    Attributes:
        file: from the project's root.
        before: occurs exactly once in the file; otherwise the list is out of date.
        after: what it is replaced with.
        tests: as ``claim`` (tests/integration/database/test_claim.py), ``unit/clock`` (tests/unit/test_clock.py) or
            ``claim::only_rows_within_the_lead_are_claimed`` (one test).
        unseen: why nobody can observe the change. Such a mutant has to survive its tests.

    """

    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    unseen: str = ""

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}: {_short(self.before)} -> {_short(self.after) or 'nothing'}"

    @property
    def stale(self) -> str:
        """Return why this mutant cannot be tried, or nothing."""
        source = ROOT / self.file
        times = source.read_text().count(self.before) if source.exists() else 0
        if times != 1:
            return f"{self.file} has {times} times what should be there once: {_short(self.before)}"
        missing = [test for test in self.tests if not _is_there(test)]
        return f"{self}: there is no test {', '.join(missing)}" if missing else ""

    def applied(self, source: str) -> str:
        """Return the file's text with the change."""
        return source.replace(self.before, self.after)


def node_id(test: str) -> str:
    """Return what pytest calls a test, or a file of tests, of the list."""
    name, _, function = test.partition("::")
    folder, _, stem = name.rpartition("/")
    found = [*ROOT.glob(f"tests/{folder or 'integration'}/**/test_{stem}.py")]
    path = str(found[0].relative_to(ROOT)) if len(found) == 1 else f"{len(found)} files test_{stem}.py"
    return path + f"::test_{function}" * bool(function)


def _is_there(test: str) -> bool:
    path, _, function = node_id(test).partition("::")
    source = ROOT / path
    return source.exists() and bool(re.search(rf"\bdef {function}\b", source.read_text()) or not function)


def _short(text: str) -> str:
    return " ".join(text.split())


def mutants(files: str | tuple[str, ...], *changes: tuple[str, ...]) -> list[Mutant]:
    """Return mutants of one file, or of one subject in several files.

    A change is what is there, what is there instead, and the tests that notice it: see ``noticed_by``, too.
    """
    files = (files,) if isinstance(files, str) else files
    return [Mutant(_file_with(before, files), before, after, tuple(tests)) for before, after, *tests in changes]


def noticed_by(tests: str | tuple[str, ...], *changes: tuple[str, str]) -> list[tuple[str, ...]]:
    """Return changes that the same tests notice."""
    tests = (tests,) if isinstance(tests, str) else tests
    return [(*change, *tests) for change in changes]


def _file_with(text: str, files: tuple[str, ...]) -> str:
    return next((file for file in files if text in (ROOT / file).read_text()), files[0])
