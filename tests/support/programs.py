"""Runs Python programs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]


def run_python(
    *words: str,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments for at most a minute.

    Args:
        words: the arguments of the interpreter.
        folder: the working directory.
        environment: the whole environment; without it, the current one with the project on the import path.
        stdout: where the output goes; captured by default.
        stderr: where the errors go; captured by default.
        variables: added to the environment.

    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} if environment is None else environment
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def closed_pipe() -> Iterator[IO[str]]:
    """Yield the writing end of a pipe whose reading end is closed."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as closed:
        yield closed
