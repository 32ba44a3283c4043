"""Commands whose reader has ended, as `head` does after its last line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from prebooking.cli.runner import BROKEN_PIPE
from tests.support.breakages import make_healthy
from tests.support.postgrest import IMITATION
from tests.support.programs import closed_pipe, run_python
from tests.support.terminal import Terminal

TERMINAL_REST = IMITATION  # starts at once; these tests are about input and output

COMMANDS = [
    ["doctor"],
    ["doctor", "--json"],
    ["status"],
    ["status", "--json"],
    ["list"],
    ["list", "--json"],
    ["venue", "list"],
    ["run", "--dry-run"],
    ["bell", "status"],
]


def into_a_closed_pipe(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with its output connected to a closed pipe."""
    with closed_pipe() as closed:
        return run_python("-m", "prebooking.cli", *words, folder=Path.cwd(), stdout=closed)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_with_a_closed_pipe_ends_quietly(terminal: Terminal, words: list[str]) -> None:
    make_healthy(terminal)
    result = into_a_closed_pipe(*words)
    assert (result.stderr, result.returncode) == ("", BROKEN_PIPE)


def test_a_help_text_with_a_closed_pipe_ends_quietly(terminal: Terminal) -> None:
    assert into_a_closed_pipe("--help").stderr == ""


def test_an_error_with_a_closed_pipe_ends_quietly(terminal: Terminal) -> None:
    with closed_pipe() as closed:
        command = ["-m", "prebooking.cli", "cancel", "zzz"]
        result = run_python(*command, folder=Path.cwd(), stdout=closed, stderr=closed)
    assert result.returncode in (1, BROKEN_PIPE)
