"""The parts of the documents that ``make docs`` generates from the code.

In a Markdown file such a part is between two comments, ``<!-- made by `make docs`: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from docs import answers, command_line, numbers, picture, tables, webhook_example

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "invocation.svg"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PARTS: dict[str, Callable[[], str]] = {
    "answers": answers.table,
    "answers to a DELETE": answers.give_back_table,
    "commands": command_line.commands,
    "evidence": tables.evidence,
    "exit codes": command_line.exit_codes,
    "limits of an instant": numbers.limits_of_an_instant,
    "metrics": tables.metrics,
    "numbers": numbers.table,
    "outcomes": tables.outcomes,
    "rules of an endpoint": answers.rules_table,
    "targets": command_line.targets,
    "time line": numbers.time_line,
    "variables": tables.variables,
    "venue systems": tables.venue_systems,
    "webhook message": webhook_example.webhook_message,
}
_PART = re.compile(r"(<!-- made by `make docs`: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def made() -> Iterator[tuple[Path, str]]:
    """Yield every document and the picture, with the text that it should have."""
    yield PICTURE, picture.draw()
    for path in DOCUMENTS:
        text = path.read_text()
        yield path, _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n\n{part[3]}", text)


def parts_used() -> list[str]:
    """Return the names of the generated parts in the documents."""
    return [part[2] for path in DOCUMENTS for part in _PART.finditer(path.read_text())]


def stale() -> list[str]:
    """Return the names of the files that differ from the code."""
    return [_name(path) for path, text in made() if not path.exists() or path.read_text() != text]


def write() -> list[str]:
    """Write the files that differ from the code, and return their names."""
    names = stale()
    for path, text in made():
        if _name(path) in names:
            path.write_text(text)
    return names


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))
