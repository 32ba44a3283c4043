"""The booking path, from the request to the settled row, stays small and imports nothing of the rest."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What everything stands on: it is no part of the path, and knows nothing of bookings but their names.
NOUNS = {"clock", "content_coding", "errors", "http", "log", "model", "settings", "systems", "__init__"}
LIMIT = 2000  # lines of code
_PRINT_LOADED = """
import sys
import api.cron.prebooking_scheduler
files = [getattr(module, "__file__", None) for module in sys.modules.values()]
print(*filter(None, files), sep="\\n")
"""
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def test_the_booking_path_stays_under_its_limit() -> None:
    path = [file for file in loaded() if file.parent.name != "prebooking"]
    lines = {str(file.relative_to(ROOT)): lines_of_code(file.read_text()) for file in path}
    assert sum(lines.values()) <= LIMIT, lines


def test_the_booking_path_loads_what_it_needs_and_no_more() -> None:
    folders = {str(file.relative_to(ROOT).parent) for file in loaded()}
    assert folders == {
        "api/cron",
        "prebooking",
        "prebooking/function",
        "prebooking/run",
        "prebooking/bookers",
        "prebooking/bookers/webhook",
        "prebooking/database",
    }
    assert {file.stem for file in loaded() if file.parent.name == "prebooking"} == NOUNS


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("x = 1\n", 1),
        ("\n# a comment\nx = 1  # and one beside code\n\n", 1),
        ('"""A docstring\nof two lines."""\n\nx = """a text\nof two lines"""\n', 2),
        ('def f():\n    """Return 1."""\n    return 1\n', 2),
        ("f(\n    1,\n)\n", 3),
    ],
)
def test_comments_docstrings_and_blank_lines_are_no_code(source: str, lines: int) -> None:
    assert lines_of_code(source) == lines


@cache
def loaded() -> list[Path]:
    """Return the files of this project that a process has loaded when the function is ready for a webhook venue."""
    command = [sys.executable, "-c", _PRINT_LOADED]
    printed = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
    )
    files = [Path(line) for line in printed.stdout.splitlines()]
    return [file for file in files if file.is_relative_to(ROOT / "api") or file.is_relative_to(ROOT / "prebooking")]


def lines_of_code(source: str) -> int:
    """Return how many lines hold code: no blank lines, comments and docstrings, which nobody should save on."""
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)
