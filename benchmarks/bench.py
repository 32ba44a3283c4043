"""All measurements in one run."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from benchmarks import (
    booking_cpu,
    claim_cost,
    client,
    cold_start,
    doubles,
    first_byte,
    imports,
    killed,
    lateness,
    operator_cost,
    page_cost,
    run,
)
from benchmarks.report import BenchTable, Progress, Row
from docs import measured
from prebooking.local.stack import local_stack


def measure_all(rounds: int) -> int:
    """Measure and print; return 0 only if nothing of ours was booked twice, sent before its opening, or left over."""
    progress = Progress()
    costs = BenchTable("costs", "What it costs", ("what", "ratio", "measured"))
    with local_stack() as stack:
        with killed.started() as results:
            progress.part("kills, beside counts and CPU times, which they do not distort")
            twice = doubles.measure(stack)
            costs.rows.extend(shown(progress, doubles.figures(twice)))
            for measure_alone in (imports.figures, claim_cost.figures, operator_cost.figures, page_cost.figures):
                costs.rows.extend(shown(progress, measure_alone()))
            for measure in (cold_start.figures, client.figures, booking_cpu.figures):
                costs.rows.extend(shown(progress, measure(stack)))
            progress.part("kills, the rest of the two minutes")
            kills = results()
        progress.part("costs by the clock")
        for measure in (run.figures, first_byte.figures):
            costs.rows.extend(shown(progress, measure(stack)))
    progress.part("lateness")
    late = lateness.measure(rounds, progress)
    account = progress.account()
    faults = [*doubles.faults(twice), *killed.faults(kills), *lateness.faults(late)]
    reports = [lateness.report(late), killed.report(kills), costs]
    show(reports, [*faults, account])
    if measured.wanted():
        lateness.figure(late)
        summary = "\n".join(f"- {line}" for line in [*lateness.summary(late), *killed.summary(kills)])
        parts = {report.name: report.markdown() for report in reports}
        measured.write("bench", parts | {"summary": summary, "account": account})
    return 1 if faults else 0


def show(reports: list[BenchTable], lines: list[str]) -> None:
    console = Console(width=150)
    for report in reports:
        report.print(console)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def shown(progress: Progress, figures: Iterable[Row]) -> Iterable[Row]:
    """Yield the figures, and print each as soon as it is there."""
    for row in figures:
        progress.step(f"    {row[0]}: {row[1]}")
        yield row
