"""The functions and the operator's page in a process of their own, as the platform runs them.

As a program, this module is that process. It inherits a listening socket, so that early calls wait, and no other
process can take the port. It ends when its standard input is closed.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
from starlette.types import Receive, Scope, Send

from prebooking.channels.settings import NotificationSettings
from prebooking.files import ROOT
from prebooking.local.public import public_file
from prebooking.settings import Settings, WatchSettings

PATH, UPKEEP, STATUS = "/api/cron/prebooking_scheduler", "/api/cron/upkeep", "/api/status"

_MODULES = {path: path.strip("/").replace("/", ".") for path in (PATH, UPKEEP, STATUS)}
_ANSWER_SECONDS = 30.0  # the timeout of cron-job.org
_STOP_SECONDS = 5.0


class Function:
    """One instance of the function. ``environment`` has all of its settings; ``log`` gets each line of its log.

    ``folder`` has the packages ``api`` and ``prebooking``.
    """

    def __init__(self, environment: Mapping[str, str], *, log: Callable[[str], None], folder: Path = ROOT) -> None:
        self._environment, self._log, self._folder = environment, log, folder

    def __enter__(self) -> Self:
        """Start the process. Calls are accepted at once, and answered when it has started."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            self.address = "http://{}:{}".format(*listening.getsockname())
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[listening.fileno()],
                env=self._whole_environment(),
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C in the terminal reaches us, not the function
            )
        self._reader = threading.Thread(target=self._read_log, name="the function's log", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the address that the cron calls."""
        return f"{self.address}{PATH}"

    def ready(self) -> Self:
        """Wait until it answers. Raises httpx.HTTPError if it does not start."""
        httpx.get(f"{self.address}/ready", timeout=_ANSWER_SECONDS, trust_env=False)  # 404 is an answer too
        return self

    def trigger(self, path: str = PATH) -> httpx.Response:
        """Call it like the cron. Raises httpx.HTTPError without an answer."""
        bearer = {"Authorization": f"Bearer {self._environment['CRON_SECRET']}"}
        return httpx.post(f"{self.address}{path}", headers=bearer, timeout=_ANSWER_SECONDS, trust_env=False)

    def kill(self) -> None:
        """Kill the process with SIGKILL: no handler runs, and no outcome is written."""
        self.process.kill()
        self.stop()

    def stop(self) -> None:
        """End the process, and wait for its end. A second call does nothing."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join(_STOP_SECONDS)

    def _whole_environment(self) -> dict[str, str]:
        """Return this process's environment with only the given settings. Others are blank, which counts as missing."""
        fields = Settings.model_fields | NotificationSettings.model_fields | WatchSettings.model_fields
        blank = dict.fromkeys([name.upper() for name in fields] + ["SUPABASE_SECRET_KEY"], "")
        return {**os.environ, **blank, **self._environment}

    def _read_log(self) -> None:
        if self.process.stdout:
            with self.process.stdout as lines:
                for line in lines:
                    self._log(line.decode(errors="replace").rstrip("\n"))


def format_summary(summary: dict[str, Any]) -> str:
    """Format the function's answer as one line."""
    text = f"{'' if summary['success'] else 'NOT DONE '}in {summary['execution_time_ms'] / 1000:.1f} s"
    in_order = sorted(summary["outcomes"].items(), key=lambda outcome: -outcome[1])
    outcomes = ", ".join(f"{count} {kind}" for kind, count in in_order)
    total = summary["details"]["total"]
    return f"{text}, {total} prebooking{'s' * (total > 1)}: {outcomes}" if total else f"{text}, {summary['message']}"


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the function or the file with this URL. All but the scheduler are imported at their first request."""
    path = scope.get("path", "")
    file = public_file(path) if scope.get("method") in ("GET", "HEAD") else None
    answer = file or importlib.import_module(_MODULES.get(path, _MODULES[PATH])).app
    await answer(scope, receive, send)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the parent process has ended, even by kill -9
    os._exit(0)


def main() -> None:
    """Serve the function on the socket whose number is the first argument."""
    import uvicorn  # noqa: PLC0415 - only this process needs it

    importlib.import_module(_MODULES[PATH])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        config = uvicorn.Config(
            serve,
            loop="asyncio",  # the platform's event loop; timers of other loops may fire early
            access_log=False,
            log_level="warning",
        )
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
