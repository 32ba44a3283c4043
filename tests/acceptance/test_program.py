"""The local programs end with one sentence: at Ctrl-C in their first second, and when nobody can take their output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = "import sys; from prebooking.local.program import run; sys.exit(run('story'))"
IN_A_HURRY = """
import os, signal
def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
"""
INTERRUPTED = (130, "", "Stopped.\n")


def told(folder: Path, story: str) -> tuple[int, str, str]:
    """Run a program whose module says this; return its exit code and what it printed."""
    (folder / "story.py").write_text(story)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "story",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGINT); main = print",
        "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGINT)",
        IN_A_HURRY,
    ],
    ids=["while it imports", "while it runs", "twice"],
)
def test_ctrl_c_is_one_message_at_any_time(tmp_path: Path, story: str) -> None:
    assert told(tmp_path, story) == INTERRUPTED


def test_an_exception_is_shown_with_its_traceback(tmp_path: Path) -> None:
    code, _, said = told(tmp_path, "def main():\n    raise OSError(5, 'broken')")
    assert code == 1
    assert "Traceback" in said


def test_ctrl_c_during_the_demo_is_one_message() -> None:
    command = [sys.executable, "-m", "prebooking.local.demo"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        assert demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=60)
    assert (demo.returncode, said) == (130, "Stopped.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("program", ["prebooking.local.demo", "prebooking.local.dev", "tests.verification"])
def test_a_full_disk_is_one_message(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", program],
            cwd=ROOT,
            env={**os.environ, "PART": "lint"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "Stopped, because nothing more can be written to the output.\n")


def test_a_closed_pipe_ends_the_demo_quietly() -> None:
    command = [sys.executable, "-m", "prebooking.local.demo"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        assert demo.stderr
        demo.stdout.readline()
        demo.stdout.close()
        said = demo.stderr.read()
        assert demo.wait(60) == 1
    assert said == ""


def test_an_invalid_number_of_rounds_is_one_message() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=ROOT,
        env={**os.environ, "ROUNDS": "abc"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    sentence = "ROUNDS=abc is no number of rounds: use, for example, ROUNDS=20.\n"
    assert (done.returncode, done.stdout + done.stderr) == (2, sentence)
