"""What is said on the terminal: answers to standard output, complaints to standard error, no colour that is needed.

Lines and cells are wrapped to the width of a terminal. In a pipe or a file each row of a table is one line, and nothing
is wrapped or cut.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prebooking.errors import CommandFailed

_NARROW = (8, 4, 1)  # columns of a terminal that a column of a table keeps as long as possible
_GAP = 2  # columns of a terminal between two columns of a table
_WIDE = 1_000_000  # columns of what is no terminal


def say(*lines: str) -> None:
    """Print lines, wrapped to the terminal, if there is one."""
    _print(*(Text(clean(line)) for line in lines))


def complain(sentence: str) -> None:
    """Say what is wrong, on standard error, in one line that nothing wraps."""
    sys.stderr.write(f"Error: {clean(sentence)}\n")


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    shrink: Mapping[str, int] | None = None,
) -> None:
    """Print a table. Where a terminal is too narrow, columns are folded as ``fit`` says."""
    cells = [[clean(cell) for cell in row] for row in rows]
    wanted = {column: max(map(cell_len, (column, *(row[at] for row in cells)))) for at, column in enumerate(columns)}
    widths = fit(wanted, _width() - _GAP * (len(columns) - 1), shrink or {})
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left", width=widths[column])
    for row in cells:
        table.add_row(*map(Text, row))
    _print(table)


def fit(wanted: Mapping[str, int], room: int, shrink: Mapping[str, int]) -> dict[str, int]:
    """Return the width of each column, so that all of them fit into so much room.

    The columns in ``shrink`` give way first, in that order, down to the widths there. If that is not enough, they give
    way further, and only then the others.
    """
    widths = dict(wanted)
    order = [*shrink, *(column for column in wanted if column not in shrink)]
    steps = [*shrink.items(), *((column, least) for least in _NARROW for column in order)]
    for column, least in steps:
        if column in widths:
            widths[column] -= min(max(widths[column] - least, 0), max(sum(widths.values()) - room, 0))
    return widths


def show_json(value: Any) -> None:
    """Print an answer for programs: one JSON value, in ASCII, so that nothing in it can move a terminal's cursor."""
    with _writing():
        sys.stdout.write(json.dumps(_plain(value), indent=2) + "\n")


def clean(text: str) -> str:
    """Return the text without characters that move a terminal's cursor: names come from elsewhere."""
    return "".join(character if character.isprintable() else "�" for character in text)


def refuse_unreadable(sentences: Sequence[str]) -> None:
    """Say which rows of a list are missing in what was shown. Raises CommandFailed, if any is."""
    if sentences:
        raise CommandFailed(f"Not shown: {'; '.join(sentences)}.")


def counted(number: int, noun: str) -> str:
    """Return how many there are of something: "1 login", "2 logins"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, list) else value


def at_terminal() -> bool:
    """Return whether a person at a terminal reads it, and no pipe or file."""
    return sys.stdout.isatty()


def _width() -> int:
    return shutil.get_terminal_size().columns if at_terminal() else _WIDE


class _Console(Console):
    """A console that lets its caller handle a broken pipe; rich's own ends the process with 1, like a failure."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError again that is being handled."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error


def _print(*things: Table | Text) -> None:
    """Print as the terminal is now: NO_COLOR, its width, and whether it is one at all."""
    console = _Console(highlight=False, width=_width(), height=25)  # rich takes a width only with a height
    with _writing():
        for thing in things:
            console.print(thing)


@contextmanager
def _writing() -> Iterator[None]:
    """Write to standard output at once.

    Raises:
        CommandFailed: nothing can be written there.
        BrokenPipeError: the program that reads it has ended.

    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or else Python tries once more at its end
        raise CommandFailed(f"Standard output cannot be written to: {exc.strerror}.") from None
