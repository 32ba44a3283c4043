"""The demo's output, for a terminal of 80 columns, a pipe or a file: a table of members, and their lateness."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

from rich.table import Table
from rich.text import Text

from prebooking.local.demo.checker import BothSides, PrebookingRow

_WIDTH = 60  # columns of the plot, at most
_COLOURS = {"completed": "green", "failed": "red"}


def members_table(both: BothSides) -> Table:
    """Return a table with one row per member, in the order of the queue."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("member", "class", "opened (UTC)", "sent"):
        table.add_column(heading, no_wrap=True)
    table.add_column("late ms", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for _, members in groupby(both.rows, key=lambda row: row.class_name):
        table.add_row()
        for row in members:
            table.add_row(*_cells(row, both))
    return table


def _cells(row: PrebookingRow, both: BothSides) -> tuple[str | Text, ...]:
    late = lateness_ms(row, both)
    end = Text(f"{row.status}: {row.outcome}" if row.outcome else row.status, _COLOURS.get(row.status, "yellow"))
    sent = _time(_sent(row, both)) + ("" if row.fired_at else "*")
    return (row.member, row.class_name, _time(row.available_at), sent, "" if late is None else str(late), end)


def _sent(row: PrebookingRow, both: BothSides) -> datetime | None:
    """Return when the first call was sent; if the run was killed before it stored that, when it reached the venue."""
    call = both.arrival(row)
    return row.fired_at or (call.at if call else None)


def lateness_ms(row: PrebookingRow, both: BothSides) -> int | None:
    """Return the milliseconds from a row's opening to its first call."""
    sent = _sent(row, both)
    return round((sent - row.available_at).total_seconds() * 1000) if sent else None


def lateness_plot(both: BothSides) -> str:
    """Return a plot with a line per class that was prebooked before its opening, and a mark per first call."""
    late = {
        rows[0].class_name: [ms for row in rows if (ms := lateness_ms(row, both)) is not None]
        for rows in both.openings()
        if rows[0].was_ahead
    }
    longest = max((ms for all_ms in late.values() for ms in all_ms), default=0)
    step = max(10, -(-longest // _WIDTH // 10) * 10)  # ms per column
    lines = [f"{name:>10}  {_marks(all_ms, step)}" for name, all_ms in sorted(late.items())]
    ticks = range(0, longest // step + 1, 10)
    scale = "".join(f"{column * step:<10}" for column in ticks)
    return "\n".join([*lines, f"{'':12}{'+---------' * len(ticks)}", f"{'ms':>10}  {scale.rstrip()}"])


def _marks(all_ms: list[int], step: int) -> str:
    columns = {ms // step for ms in all_ms}
    return "".join("o" if column in columns else " " for column in range(max(columns, default=-1) + 1))


def _time(instant: datetime | None) -> str:
    return f"{instant:%H:%M:%S}.{instant.microsecond // 1000:03}" if instant else ""
