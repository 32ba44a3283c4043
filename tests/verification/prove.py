"""Runs every part of the verification at full size, on all cores, and prints one table: ``make prove``.

``SEEDS=3000 FIRST=20000`` runs the 3,000 seeds of the simulation from 20,000 on. ``SEED=17`` runs one and prints its
timeline. ``PART=guards`` runs the parts whose names begin with "guards". The exit status is 1 if anything is violated,
and 2 if a variable is invalid. ``WRITE=1`` writes the table of a whole run into the documents.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from rich.console import Console
from rich.table import Table

from docs import markdown, measured
from tests.verification.part import Part, Result, Share, Size, failures
from tests.verification.parts import PARTS
from tests.verification.seeds import replay

_SHOWN = 20  # violations that are printed in full
_LONGEST = 1800.0  # seconds that one share of a part may take; then its process prints a traceback and exits


def _chosen() -> list[Part]:
    prefix = os.environ.get("PART", "")
    chosen = [part for part in PARTS if part.name.startswith(prefix)]
    if not chosen:
        raise ValueError(f"PART={prefix} is not a part: use {', '.join(part.name for part in PARTS)}.")
    return chosen


def _run(number: int, share: Share) -> list[Result]:
    log = logging.getLogger("prebooking")
    log.handlers = [logging.NullHandler()]  # instead of the one that an imported function has set
    log.propagate = False
    faulthandler.dump_traceback_later(_LONGEST, exit=True)
    try:
        return list(PARTS[number].run(share))
    finally:
        faulthandler.cancel_dump_traceback_later()


def _results(size: Size) -> Iterator[tuple[Part, int, list[Result], float]]:
    """Run every share of every chosen part, and yield the results of each as it ends."""
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        max_workers=os.cpu_count(),
        mp_context=context,
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as processes:
        futures = {
            processes.submit(_run, PARTS.index(part), Share(size, index, part.shares)): (part, index)
            for part in sorted(_chosen(), key=lambda part: part.shares)  # a part with one share takes longest
            for index in range(part.shares)
        }
        try:
            for future in as_completed(futures):
                part, index = futures[future]
                yield part, index, future.result(), time.monotonic() - started
        finally:
            if not all(future.done() for future in futures):  # Ctrl-C, or the output is closed
                for process in multiprocessing.active_children():
                    process.kill()


def _collected(console: Console, size: Size) -> dict[str, dict[str, Result]]:
    """Return the lines of the table by part and by what was checked."""
    shares: dict[str, dict[int, list[Result]]] = {part.name: {} for part in _chosen()}
    for part, index, results, seconds in _results(size):
        shares[part.name][index] = results
        if len(shares[part.name]) == part.shares:
            console.print(f"[dim]{part.name}: done after {seconds:.0f} s[/dim]")
    return {name: _merged(done) for name, done in shares.items()}


def _merged(shares: dict[int, list[Result]]) -> dict[str, Result]:
    lines: dict[str, Result] = {}
    for result in (result for index in sorted(shares) for result in shares[index]):
        so_far = lines.get(result.what, Result(result.what, 0))
        lines[result.what] = Result(
            result.what,
            so_far.count + result.count,
            so_far.violations + result.violations,
            so_far.replay or result.replay,
            so_far.notes + result.notes,
        )
    return lines


def _table(lines: dict[str, dict[str, Result]]) -> Table:
    table = Table("what", "how many", "violations", "repeat it", title="Verification")
    table.columns[1].justify = table.columns[2].justify = "right"
    for part, results in lines.items():
        table.add_section()
        table.add_row(f"[bold]{part}[/bold]")
        for result in results.values():
            colour = "red" if result.violations or not result.count else "green"
            number = f"[{colour}]{len(result.violations)}[/{colour}]"
            table.add_row(f"  {result.what}", f"{result.count:,}", number, result.replay)
    return table


def _markdown(lines: dict[str, dict[str, Result]]) -> str:
    rows: list[tuple[str, str, str]] = []
    for part, results in lines.items():
        rows.append((f"**{part}**", "", ""))
        rows += [(one.what, f"{one.count:,}", f"{len(one.violations)}") for one in results.values()]
    return markdown.table(("what", "how many", "violations"), rows)


def _number(variable: str) -> int | None:
    """Return a variable's number, or None if it is not set; raise ValueError with a message for the user."""
    text = os.environ.get(variable, "")
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{variable}={text} is not a number: use, for example, {variable}=17.")
    return int(text) if text else None


def _size() -> Size:
    seeds, first = _number("SEEDS"), _number("FIRST")
    if seeds == 0:
        raise ValueError("SEEDS=0 runs nothing: use, for example, SEEDS=60.")
    return Size(seeds=Size().seeds if seeds is None else seeds, first=first or 0)


def main() -> int:
    """Run the verification, print the table, and return the exit status."""
    console, started = Console(width=None if sys.stdout.isatty() else 120), time.monotonic()
    try:
        seed, size, _ = _number("SEED"), _size(), _chosen()
    except ValueError as exc:
        console.print(str(exc), markup=False)
        return 2
    if seed is not None:
        return replay(seed)
    lines = _collected(console, size)
    console.print(_table(lines))
    if measured.wanted() and len(lines) == len(PARTS):
        measured.write("prove", {"proof": _markdown(lines)})
    for note in (note for results in lines.values() for result in results.values() for note in result.notes):
        console.print(f"  {note}", markup=False, highlight=False)
    found = [fault for results in lines.values() for fault in failures(results.values())]
    for fault in found[:_SHOWN]:
        console.print(fault, markup=False)
    console.print(f"{len(found)} violations, {time.monotonic() - started:.0f} s")
    return 1 if found or not lines else 0
