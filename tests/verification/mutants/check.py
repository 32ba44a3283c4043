"""Tries every mutant, and prints what noticed it: ``make mutants``.

``ONLY=claim`` tries the mutants of the files whose names contain that; ``WORKERS=1`` tries one at a time. The exit
status is 0 only if each mutant was noticed, except for those that are listed with a reason why nobody can observe them;
it is 2 if a variable cannot be read.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tests.verification.mutants.catalogue import MUTANTS
from tests.verification.mutants.copies import BadTests, Copy
from tests.verification.mutants.mutant import Mutant

# What a mutant is tried on when the tests that it names have not noticed it: all tests of the core and of the SQL.
ALL_TESTS = (
    *(f"unit/{name}" for name in ("aimharder_booker", "aimharder_site", "auth", "clock", "report", "sealing")),
    *(f"unit/{name}" for name in ("webhook", "webhook_request")),
    *("claim", "claim_behind", "claim_expiry", "claim_logins", "claim_races", "claim_slots", "claim_turns"),
    *("finish", "finish_verdicts", "settle", "terminal", "rules", "writing", "booking_data", "grants", "heartbeat"),
    *("attempt", "firing", "doubt", "evidence", "guard", "progress", "containment", "hold", "store", "upkeep"),
    *("standing_behind", "forgotten", "claims_of_a_run", "ends_of_a_run", "preparing", "blocked", "wrong_clocks"),
    *("sessions", "session_keeper", "aimharder", "aimharder_logins", "call", "call_gate", "connections"),
    *("unit/give_back", "places", "places_part", "cli_give_back"),
    *("unit/class_matching", "class_days", "class_look_up", "upkeep_invocation", "upkeep_kills", "hostile_timetable"),
    *("bell", "bell_again", "bell_faults", "bell_minute", "bell_http", "bell_scale", "bell_store", "bell_switch"),
    "bell_upkeep",
)
SEEDS = 60  # of the proof's simulation, for a mutant that no test has noticed


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one mutant. ``noticed_by`` is empty if nothing noticed it."""

    number: int
    mutant: Mutant
    noticed_by: str
    seconds: float

    @property
    def is_right(self) -> bool:
        """Return whether it was noticed exactly if it can be."""
        return bool(self.noticed_by) != bool(self.mutant.unseen)

    @property
    def verdict(self) -> str:
        """Return what the table says of it."""
        if self.mutant.unseen:
            return f"{self.noticed_by}, ALTHOUGH {self.mutant.unseen}" if self.noticed_by else self.mutant.unseen
        return self.noticed_by or "NOTHING"


def chosen() -> list[Mutant]:
    """Return the mutants that are asked for."""
    return [mutant for mutant in MUTANTS if os.environ.get("ONLY", "") in mutant.file]


async def noticed_by(copy: Copy, mutant: Mutant) -> str:
    """Return what notices the mutant: the tests that it names, else any test, else the proof; or nothing."""
    with copy.mutated(mutant):
        if (noticed := await copy.tests_notice(mutant.tests)) or mutant.unseen:
            return noticed
        return (
            await copy.tests_notice(ALL_TESTS)
            or await copy.proof_notices("simulation", seeds=SEEDS)
            or await copy.proof_notices("steps", seeds=SEEDS)
        )


async def tried(mutants: Sequence[Mutant], console: Console, folder: Path, workers: int) -> list[Trial]:
    """Try the mutants, each worker in a copy of its own, and return what became of them, in their order."""
    numbered, trials = iter(enumerate(mutants, 1)), list[Trial]()

    async def work(copy: Copy) -> None:
        for number, mutant in numbered:
            started = time.monotonic()
            noticed = await noticed_by(copy, mutant)
            trials.append(Trial(number, mutant, noticed, time.monotonic() - started))
            console.print(f"{len(trials)} of {len(mutants)}: {mutant}: {trials[-1].verdict}", markup=False)

    copies = [Copy(folder / str(number)) for number in range(workers)]
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    async with asyncio.TaskGroup() as group:
        unmutated = [group.create_task(c.tests_notice(tests[n::workers])) for n, c in enumerate(copies) if tests[n:]]
    if failed := [task.result() for task in unmutated if task.result()]:
        raise BadTests(f"without any mutant this fails already, so it can notice none: {' '.join(failed)}")
    console.print(f"without a mutant all of their tests pass: {len(tests)} files or tests", markup=False)
    async with asyncio.TaskGroup() as group:
        for copy in copies:
            group.create_task(work(copy))
    return sorted(trials, key=lambda trial: trial.number)


def table(trials: Sequence[Trial]) -> Table:
    """Return a line per mutant."""
    table = Table("", "mutant", Column("noticed by", overflow="fold"), "s", title="Mutants")
    for trial in trials:
        colour = "green" if trial.is_right else "red"
        verdict = Text(trial.verdict.removeprefix("tests/"), style=colour)
        table.add_row(str(trial.number), Text(str(trial.mutant)), verdict, f"{trial.seconds:.0f}")
    return table


def report(trials: Sequence[Trial], seconds: float, console: Console) -> int:
    """Print the table and what is wrong, and return the exit status."""
    console.print(table(trials))
    wrong = [trial for trial in trials if not trial.is_right]
    for trial in wrong:
        console.print(f"{trial.mutant}: {trial.verdict}", markup=False)
    unseen = sum(bool(trial.mutant.unseen) for trial in trials)
    console.print(f"{len(trials)} mutants, {len(wrong)} wrong, {unseen} that nobody can observe, {seconds:.0f} s")
    return 1 if wrong or not trials else 0


def all_tried(mutants: Sequence[Mutant], console: Console, workers: int) -> list[Trial]:
    """Try the mutants in a temporary folder, and return what became of them; nothing if their tests cannot notice."""
    trials = list[Trial]()
    try:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            trials = asyncio.run(tried(mutants, console, Path(folder), workers))
    except* BadTests as bad:
        console.print("\n".join(str(each) for each in bad.exceptions), markup=False)
    return trials


def main() -> int:
    """Try the mutants that are asked for, and return the exit status."""
    console, started = Console(width=None if sys.stdout.isatty() else 160), time.monotonic()
    mutants = chosen()
    if not mutants:
        console.print(
            f"ONLY={os.environ['ONLY']} is in the name of no file: use, for example, ONLY=claim.", markup=False
        )
        return 2
    workers = os.environ.get("WORKERS") or str(min(2, os.cpu_count() or 1))
    if not (workers.isascii() and workers.isdecimal() and int(workers)):
        console.print(f"WORKERS={workers} is no number of workers: use, for example, WORKERS=1.", markup=False)
        return 2
    if stale := [mutant.stale for mutant in mutants if mutant.stale]:
        console.print("\n".join(["The list is out of date:", *stale]), markup=False)
        return 1
    try:
        trials = all_tried(mutants, console, int(workers))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # such as a full disk
    return report(trials, time.monotonic() - started, console)
