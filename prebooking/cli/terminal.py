"""What is said on the terminal: answers to standard output, complaints to standard error, no colour that is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prebooking.errors import PrebookingError


class Impossible(PrebookingError):
    """A command cannot do what it was asked to; the message is a sentence for who asked, with the cure."""


def say(*lines: str) -> None:
    """Print lines, wrapped to the terminal."""
    for line in lines:
        _console().print(Text(clean(line)))


def complain(sentence: str) -> None:
    """Say what is wrong, on standard error, in one line that nothing wraps."""
    sys.stderr.write(f"Error: {clean(sentence)}\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """Print a table; a cell that is too long is folded, never cut."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    _console().print(table)


def show_json(value: Any) -> None:
    """Print an answer for programs: one JSON value."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def clean(text: str) -> str:
    """Return the text without characters that move a terminal's cursor: names come from elsewhere."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _console() -> Console:
    """Return the console as it is now: NO_COLOR, its width, and whether it is a terminal at all."""
    return Console(highlight=False, soft_wrap=False)
