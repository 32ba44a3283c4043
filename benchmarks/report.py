"""Tables of a run, and its progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table as PrintedTable

from docs import markdown

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BenchTable:
    """A table of the run. ``name`` is the name of its part in the documents."""

    name: str
    title: str
    heads: Sequence[str]
    rows: list[Row] = field(default_factory=list)

    def markdown(self) -> str:
        """Return it as a document has it."""
        return markdown.table(self.heads, self.rows)

    def print(self, console: Console) -> None:
        """Print it on a terminal."""
        table = PrintedTable(*self.heads, title=self.title)
        for row in self.rows:
            table.add_row(*(cell.replace("**", "") for cell in row))
        console.print(table)


class Progress:
    """Prints what is done now, and adds up how long each part takes."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._start = self._since = time.monotonic()
        self._part = ""

    def part(self, name: str) -> None:
        """Begin a part of the run."""
        self._end_part()
        self._part = name
        self.step(name)

    def step(self, what: str) -> None:
        """Print a line on standard error."""
        sys.stderr.write(f"{time.monotonic() - self._start:4.0f} s  {what}\n")
        sys.stderr.flush()

    def account(self) -> str:
        """End the last part, and return how long all of them took."""
        self._end_part()
        parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.parts.items())
        return f"{time.monotonic() - self._start:.0f} s: {parts}"

    def _end_part(self) -> None:
        now = time.monotonic()
        if self._part:
            self.parts[self._part] = self.parts.get(self._part, 0.0) + now - self._since
        self._since = now
