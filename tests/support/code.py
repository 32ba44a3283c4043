"""What a process of the functions loads of this project, and how many lines of code that is."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

from prebooking.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
# Each function is loaded in a process of its own, a fork of one that has the packages which every function loads.
# It prints the names and files of the modules: without venue systems in its first line, with all of them in its second.
_PRINT_LOADED = """
import asyncio, importlib, json, os, sys
import fastapi, httpx, postgrest
def report():
    print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}), flush=True)
for function in sys.argv[1].split():
    if os.fork():
        assert os.wait()[1] == 0
    else:
        importlib.import_module(function)
        report()
        from prebooking.bookers.adapter import adapter
        for system in sys.argv[2].split():
            asyncio.run(adapter(system).load())
        report()
        break
"""
# The functions' modules, from their paths below the project's root.
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(ROOT.glob("api/**/*.py"))]
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def loaded(*functions: str, with_systems: bool = False) -> set[Path]:
    """Return the files of this project that processes have loaded for these functions, and for all venue systems."""
    modules = [module for module in MODULES if module.rpartition(".")[2] in functions]
    files = {Path(file) for module in modules for file in _loaded()[module][with_systems].values() if file}
    return {file for file in files if file.is_relative_to(ROOT / "api") or file.is_relative_to(ROOT / "prebooking")}


def loaded_modules(module: str) -> set[str]:
    """Return the names of all modules that a process has loaded for a function's module."""
    return set(_loaded()[module][False])


@cache
def _loaded() -> dict[str, tuple[dict[str, str | None], dict[str, str | None]]]:
    """Return what each function's module loads, without and with the venue systems: the files by their names."""
    command = [sys.executable, "-c", _PRINT_LOADED, " ".join(MODULES), " ".join(SYSTEMS)]
    printed = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
    )
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    return dict(zip(MODULES, zip(lines[::2], lines[1::2], strict=True), strict=True))


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
