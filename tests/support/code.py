"""What a process of the functions loads of this project, and how many lines of code that is."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PRINT_LOADED = """
import asyncio, importlib, sys
from prebooking.bookers.adapter import adapter
for name in {functions}:
    importlib.import_module(name)
for name in {systems}:
    asyncio.run(adapter(name).load())
files = [getattr(module, "__file__", None) for module in sys.modules.values()]
print(*filter(None, files), sep="\\n")
"""
# The functions' modules, from their paths below the project's root.
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(ROOT.glob("api/**/*.py"))]
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@cache
def loaded(functions: tuple[str, ...], systems: tuple[str, ...] = ()) -> list[Path]:
    """Return the files of this project that a process has loaded for these functions and venue systems."""
    modules = [module for module in MODULES if module.rpartition(".")[2] in functions]
    command = [sys.executable, "-c", _PRINT_LOADED.format(functions=modules, systems=systems)]
    printed = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
    )
    files = [Path(line) for line in printed.stdout.splitlines()]
    return [file for file in files if file.is_relative_to(ROOT / "api") or file.is_relative_to(ROOT / "prebooking")]


def lines_of_code(source: str) -> int:
    """Return the number of lines that hold code. Blank lines, comments and docstrings hold none."""
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)
