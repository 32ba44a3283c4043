"""The local programs end with one message: after Ctrl-C in their first second, and with an output that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import ROOT, run_python

RUN = "import sys; from prebooking.local.program import run; sys.exit(run('program'))"
TWICE = """
import os, signal
def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
"""
INTERRUPTED = (130, "", "Stopped.\n")


def run_main(folder: Path, program: str) -> tuple[int, str, str]:
    """Run the module as the local programs are run; return the exit code, the output and the errors."""
    (folder / "program.py").write_text(program)
    done = run_python("-c", RUN, PYTHONPATH=os.pathsep.join([str(ROOT), str(folder)]))
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGINT); main = print",
        "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGINT)",
        TWICE,
    ],
    ids=["while it imports", "while it runs", "twice"],
)
def test_ctrl_c_is_one_message_at_any_time(tmp_path: Path, program: str) -> None:
    assert run_main(tmp_path, program) == INTERRUPTED


def test_an_exception_is_shown_with_its_traceback(tmp_path: Path) -> None:
    code, _, errors = run_main(tmp_path, "def main():\n    raise OSError(5, 'broken')")
    assert code == 1
    assert "Traceback" in errors


def test_ctrl_c_during_the_demo_is_one_message() -> None:
    with started_demo() as demo:
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (130, "Stopped.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("program", ["prebooking.local.demo", "prebooking.local.dev", "tests.verification"])
def test_a_full_disk_is_one_message(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_python("-m", program, stdout=full, PART="lint")
    assert (done.returncode, done.stderr) == (1, "Stopped, because nothing more can be written to the output.\n")


def test_a_closed_pipe_ends_the_demo_quietly() -> None:
    with started_demo() as demo:
        assert demo.stdout
        assert demo.stderr
        demo.stdout.close()
        errors = demo.stderr.read()
        assert demo.wait(60) == 1
    assert errors == ""


@contextmanager
def started_demo() -> Iterator[subprocess.Popen[str]]:
    """Start the demo, and yield it after its first line."""
    command, pipe = [sys.executable, "-m", "prebooking.local.demo"], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as demo:
        assert demo.stdout
        assert demo.stdout.readline()
        yield demo


def test_an_invalid_number_of_rounds_is_one_message() -> None:
    done = run_python("-m", "benchmarks", ROUNDS="abc")
    sentence = "ROUNDS=abc is no number of rounds: use, for example, ROUNDS=20.\n"
    assert (done.returncode, done.stdout + done.stderr) == (2, sentence)
