"""An app in its own process, called like by the cron, but without an HTTP server.

As a program, this module is that process: it imports the app that its argument names, and calls it once per line of its
standard input. It prints the status of the answer, and the seconds of CPU time since the start of the process.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self

OURS, SMALLEST, NAIVE = "api.cron.prebooking_scheduler", "benchmarks.smallest_app", "benchmarks.naive_app"
PATH = "/api/cron/prebooking_scheduler"
# Bytecode is written and read. Certificate variables are removed, because they change the cost of a client.
_UNSET = ("PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class CalledApp:
    """An app's process. ``cpu`` is its CPU time at its last answer, in seconds."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self.cpu = 0.0
        self._module = module
        ours = {name: value for name, value in os.environ.items() if name not in _UNSET}
        self._environment = {**ours, **environment}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours
            [sys.executable, "-m", __name__, self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
            env=self._environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its input

    def call(self) -> float:
        """Call it once, and return the CPU time in seconds; for the first call, the time since the start."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("answered "):  # other lines are its log
                status, cpu = line.split()[1:]
                assert status == "200", line
                before, self.cpu = self.cpu, float(cpu)
                return self.cpu - before
        raise RuntimeError(f"{self._module} has ended without an answer")


async def answered(app: Any) -> int:
    """Send one POST like the cron, and return the status of the answer."""
    bearer = f"Bearer {os.environ['CRON_SECRET']}".encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", bearer)],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


def main() -> None:
    # httpx imports its command line if click is installed, as it is here for development, but not in production.
    sys.modules["click"] = None  # type: ignore[assignment]
    app = import_module(sys.argv[1]).app
    with asyncio.Runner() as runner:
        for _ in sys.stdin:
            status = runner.run(answered(app))
            print("answered", status, time.process_time(), flush=True)


if __name__ == "__main__":
    main()
