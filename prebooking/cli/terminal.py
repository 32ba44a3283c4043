"""Output of the commands: results on standard output, errors on standard error. Colour carries no information.

On a terminal, lines and cells are wrapped to its width. In a pipe or a file, each row of a table is one line, and
nothing is wrapped or cut.
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

# All in characters.
_NARROW = (8, 4, 1)  # widths to which columns are reduced, in three steps
_GAP = 2  # between two columns of a table
_WIDE = 1_000_000  # the width of a pipe or a file


def say(*lines: str) -> None:
    """Print lines, wrapped to the width of the terminal."""
    _print(*(Text(clean(line)) for line in lines))


def show_text(text: str) -> None:
    """Print text as it is, for a file or to be pasted."""
    with _writing():
        sys.stdout.write(text)


def print_error(sentence: str) -> None:
    """Print an error on standard error, in one line without wrapping."""
    sys.stderr.write(f"Error: {clean(sentence)}\n")


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    shrink: Mapping[str, int] | None = None,
) -> None:
    """Print a table. On a narrow terminal its columns get the widths that ``fit`` returns."""
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
    """Return the width of each column, so that their sum is at most ``room``.

    Columns in ``shrink`` are reduced first, in that order, to the widths given there. If that is not enough, they are
    reduced further, and then the other columns.
    """
    widths = dict(wanted)
    order = [*shrink, *(column for column in wanted if column not in shrink)]
    steps = [*shrink.items(), *((column, least) for least in _NARROW for column in order)]
    for column, least in steps:
        if column in widths:
            widths[column] -= min(max(widths[column] - least, 0), max(sum(widths.values()) - room, 0))
    return widths


def show_json(value: Any) -> None:
    """Print one JSON value in ASCII, so that no text in it can control the terminal."""
    with _writing():
        sys.stdout.write(json.dumps(_plain(value), indent=2) + "\n")


def clean(text: str) -> str:
    """Replace unprintable characters, because names from outside could control the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def refuse_unreadable(sentences: Sequence[str]) -> None:
    """Raise CommandFailed if rows of a list could not be shown; the message names them."""
    if sentences:
        raise CommandFailed(f"Not shown: {'; '.join(sentences)}.")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 login", "2 logins"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, list) else value


def at_terminal() -> bool:
    """Return whether standard output is a terminal, not a pipe or a file."""
    return sys.stdout.isatty()


def _width() -> int:
    return shutil.get_terminal_size().columns if at_terminal() else _WIDE


class _Console(Console):
    """A console that leaves a broken pipe to its caller; rich's own exits with 1, like a failure."""

    def on_broken_pipe(self) -> None:
        """Raise the current BrokenPipeError again."""
        raise  # noqa: PLE0704 - rich calls this inside an except block


def _print(*things: Table | Text) -> None:
    """Print with the current width and colour settings of the terminal."""
    console = _Console(highlight=False, width=_width(), height=25)  # rich ignores the width without a height
    with _writing():
        for thing in things:
            console.print(thing)


@contextmanager
def _writing() -> Iterator[None]:
    """Flush standard output after the block.

    Raises:
        CommandFailed: standard output cannot be written to.
        BrokenPipeError: the reader of the output has ended.

    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python flushes again at exit
        raise CommandFailed(f"Standard output cannot be written to: {exc.strerror}.") from None
