"""``prebooking status``: the last tick, the prebookings, the failed checks, and the figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer

from prebooking.checks.running import LONGEST_RUN, find_failures
from prebooking.checks.watchdog import format_report
from prebooking.cli import plot
from prebooking.cli.database import open_database
from prebooking.cli.options import AsJson
from prebooking.cli.runner import FAILED, run_command
from prebooking.cli.terminal import say, show_json, show_table
from prebooking.database.overview import Figures, Spread, Status
from prebooking.local_time import format_duration, format_instant

NOTHING = "-"


def status(*, as_json: AsJson = False) -> None:
    """Show the state of the scheduler, and its figures."""
    run_command(_status(as_json=as_json))


async def _status(*, as_json: bool) -> None:
    async with open_database() as database:
        report = await database.operator.status(until=database.deadline())
    failures = find_failures(report)
    if as_json:
        show_json(report.model_dump(mode="json") | {"needs": failures})
    else:
        _show(report, failures)
    if failures:
        raise typer.Exit(FAILED)


def _show(report: Status, failures: list[str]) -> None:
    say(
        f"Last tick      {_tick(report)}",
        f"Upkeep         {_upkeep(report)}",
        f"Open runs      {_runs(report)}",
        f"Prebookings    {_rows(report)}",
    )
    _show_openings(report)
    say(*(f"Needs you      {sentence}" for sentence in failures))
    say("")
    show_table(("Figure", "24 hours", "30 days"), _figures(report))
    _plot(report)


def _tick(report: Status) -> str:
    return f"{format_duration(report.now - report.last_tick_at)} ago" if report.last_tick_at else "never"


def _upkeep(report: Status) -> str:
    called = f"{format_duration(report.now - report.sessions_at)} ago" if report.sessions_at else "never"
    return f"{called}, reported to the watchdog: {format_report(report)}"


def _runs(report: Status) -> str:
    cut_off = [opened for opened in report.open_runs if report.now - opened > LONGEST_RUN]
    more = f", {len(cut_off)} of them cut off before their end" if cut_off else ""
    return f"{len(report.open_runs)}{more}"


def _rows(report: Status) -> str:
    rows = report.rows
    parts = [f"{rows.pending} waiting", f"{rows.due} due", f"{rows.overdue} overdue"]
    parts += [f"{rows.stopped} due at a paused venue"] if rows.stopped else []
    parts += [f"{rows.in_doubt} in doubt"] if rows.in_doubt else []
    return ", ".join(parts)


def _show_openings(report: Status) -> None:
    for number, opening in enumerate(report.next_openings):
        when = format_instant(opening.available_at, opening.timezone)
        span = format_duration(opening.available_at - report.now)
        title = "Next openings" if number == 0 else ""
        say(f"{title:<15}{when} (in {span}), {opening.venue}: {opening.prebookings}")
    say(*(f"               {sentence}" for sentence in report.next_openings.unreadable))


def _figures(report: Status) -> Iterator[tuple[str, ...]]:
    for title, describe in (
        ("Execution time", _execution),
        ("Success rate", _success),
        ("Failed", _reasons),
        ("Connection errors", _errors),
        ("Order kept", _order),
        ("Lateness", _lateness),
    ):
        yield (title, describe(report.day), describe(report.month))


def _execution(figures: Figures) -> str:
    runs = figures.execution_ms
    cut_off = f", {runs.cut_off} cut off" if runs.cut_off else ""
    return f"{_spread(runs)} ({runs.runs} run{'s' * (runs.runs != 1)}{cut_off})"


def _success(figures: Figures) -> str:
    ended = figures.success.completed + figures.success.failed
    return f"{_share(figures.success.completed, ended)} ({figures.success.completed} of {ended})"


def _reasons(figures: Figures) -> str:
    most_first = sorted(figures.success.reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    return ", ".join(f"{count} {outcome}" for outcome, count in most_first) or NOTHING


def _errors(figures: Figures) -> str:
    return str(figures.connection_errors)


def _order(figures: Figures) -> str:
    kept = figures.order.pairs - figures.order.overtaken
    return f"{_share(kept, figures.order.pairs)} ({kept} of {figures.order.pairs})"


def _lateness(figures: Figures) -> str:
    return f"{_spread(figures.lateness_ms)} ({figures.lateness_ms.calls} call{'s' * (figures.lateness_ms.calls != 1)})"


def _spread(spread: Spread) -> str:
    if spread.p50 is None or spread.p95 is None or spread.max is None:
        return NOTHING
    return f"{spread.p50:.0f}/{spread.p95:.0f}/{spread.max:.0f} ms"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def _plot(report: Status) -> None:
    say("Times: half are below / 95 of 100 / the longest.")
    values = [late.lateness_ms for late in report.recent]
    if values:
        blocks = (sys.stdout.encoding or "").lower().startswith("utf")
        say("", f"Lateness of the last {len(values)} calls", *plot.columns(values, unit="ms", blocks=blocks))
