"""Tables of what can be typed: the command line's commands and exit codes, and make's targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from docs.markdown import table
from prebooking.cli.app import app
from prebooking.cli.runner import BAD_USAGE, BROKEN_PIPE, FAILED, INTERRUPTED

MAKEFILE = Path(__file__).parents[1] / "Makefile"
_EXIT_CODES = {
    0: "done",
    FAILED: "could not be done; `status` and `doctor` also end with it when something needs a person",
    BAD_USAGE: "typed wrongly",
    INTERRUPTED: "interrupted with Ctrl-C",
    BROKEN_PIPE: "the program that read the output has ended, as `head` does",
}


def commands() -> str:
    """Return every command, and the first paragraph of its help."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 - it has commands
    return table(("command", "what it does"), _commands(group, "prebooking"))


def _commands(group: TyperGroup, path: str) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"`{path} {name}`", " ".join((command.help or "").split("\n\n")[0].split())


def exit_codes() -> str:
    """Return the table of exit codes."""
    return table(("exit code", "meaning"), [(str(number), meaning) for number, meaning in _EXIT_CODES.items()])


def targets() -> str:
    """Return make's targets, as ``make help`` prints them."""
    found = re.findall(r"^([a-z ]+):.*?## (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    return table(("command", "what it does"), [(_targets(names), what) for names, what in found])


def _targets(names: str) -> str:
    return ", ".join(f"`make {name}`" for name in names.split())
