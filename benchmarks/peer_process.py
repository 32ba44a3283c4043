"""A system of ``benchmarks.peers`` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Self


class PeerProcess:
    """A running system: a context manager, which kills its process at the end."""

    def __init__(self, peer: str, mode: str, *, dsn: str, url: str, restarted: bool = False) -> None:
        state = "restarted" if restarted else "new"
        self._command = [sys.executable, "-m", "benchmarks.peers", peer, dsn, url, mode, state]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        """Start the process, and wait until it is ready. Raises RuntimeError with its output if it does not start."""
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this project
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdout
        if not any(line == "ready\n" for line in self._process.stdout):
            raise RuntimeError(f"{' '.join(self._command)} has ended:\n{self._output()}")
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if "Traceback" in (output := self._output()):
            sys.stderr.write(output)
        self._errors.close()

    def schedule(self, opens: float, requests: int) -> None:
        """Schedule this number of requests at a Unix time."""
        assert self._process.stdin
        self._process.stdin.write(f"{opens} {requests}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Kill the process with SIGKILL: nothing of it runs any more."""
        self._process.kill()
        self._process.wait()

    def _output(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")
