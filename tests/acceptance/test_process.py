"""Invocations leave nothing behind in their process, and load no further modules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prebooking.local.stack import Stack
from prebooking.local.venue.twin import CallPlan
from tests.support.programs import ROOT, run_python
from tests.support.stacks import ends, opening

# Modules that are loaded beside the first claim if there is a key for sessions.
FOR_SESSIONS = {
    "prebooking.foreign",
    "prebooking.database.sessions",
    "prebooking.bookers.aimharder",
    "prebooking.bookers.aimharder.booker",
    "prebooking.bookers.aimharder.classes",
    "prebooking.bookers.aimharder.seal",
    "prebooking.bookers.aimharder.sessions",
    "prebooking.bookers.aimharder.site",
    "pydantic.dataclasses",
    "pydantic._internal._dataclasses",
}
_CRYPTOGRAPHY = re.compile(r"(cryptography|_cffi_backend|_openssl)\b")

# Calls the function in its own process, without a server: all modules, sockets and tasks are the function's.
PROGRAM = """
import asyncio, gc, json, os, ssl, sys, threading

loads = 0
real = ssl.SSLContext.load_verify_locations
def counting(*args, **kwargs):
    global loads
    loads += 1
    return real(*args, **kwargs)
ssl.SSLContext.load_verify_locations = counting

from api.cron.prebooking_scheduler import app
at_start = set(sys.modules)

def sockets():
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    return sum("socket:" in link for link in links)

async def call():
    sent = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message)
    path = "/api/cron/prebooking_scheduler"
    headers = [(b"authorization", b"Bearer " + os.environ["CRON_SECRET"].encode())]
    await app({"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
               "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
               "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])

async def main():
    before = sockets()
    answers = [await call()]
    first = sorted(set(sys.modules) - at_start)
    answers += await asyncio.gather(call(), call())
    await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    gc.collect()
    print(json.dumps({"first": first, "left": left, "sockets": sockets() - before, "loads": loads,
                      "statuses": [status for status, _ in answers], "summaries": [body for _, body in answers]}))

asyncio.run(main())
"""


def loaded(statement: str) -> set[str]:
    """Return the modules of ours that a statement loads, with an empty environment."""
    program = f"import sys; sys.path.insert(0, '.'); {statement}; print(*sys.modules)"
    run = run_python("-c", program, environment={})
    assert run.returncode == 0, run.stderr
    return {name for name in run.stdout.split() if name.startswith("prebooking")}


@pytest.mark.parametrize(
    ("function", "needs", "never"),
    [
        (
            "prebooking_scheduler",
            "prebooking.run.scheduler",
            ("aimharder", "session", "prebooking.local", "prebooking.cli"),
        ),
        ("session_keeper", "prebooking.upkeep.run", ("prebooking.local", "prebooking.cli")),
        ("upkeep", "prebooking.upkeep.run", ("prebooking.local", "prebooking.cli")),
    ],
)
def test_a_function_imports_with_an_empty_environment_and_without_optional_modules(
    function: str, needs: str, never: tuple[str, ...]
) -> None:
    modules = loaded(f"import api.cron.{function}")
    assert needs in modules
    assert not {name for name in modules if any(part in name for part in never)}


@pytest.mark.parametrize("function", ["prebooking_scheduler", "session_keeper", "upkeep"])
def test_importing_a_function_keeps_garbage_collection_enabled(function: str) -> None:
    loaded(f"import api.cron.{function}, gc; assert gc.isenabled() and gc.get_freeze_count()")


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="counts sockets in /proc, which this system does not have"
)
def test_invocations_leave_no_task_and_no_socket(stack: Stack) -> None:
    rows = opening(stack, 8)
    stack.twin.script(rows[3], CallPlan(delay_after=60))
    environment = {**stack.environment, "EXECUTION_TIMEOUT_SECONDS": "3", "PYTHONPATH": str(ROOT)}
    run = run_python("-W", "error", "-c", PROGRAM, environment=environment)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    assert seen["statuses"] == [200] * 3
    assert seen["summaries"][0]["details"]["unsure"] == 1, "one call is cut off at the guard"
    assert ends(stack, rows) == {("completed", "booked"), ("pending", None)}
    first = {name for name in seen["first"] if not _CRYPTOGRAPHY.match(name)}
    assert {"prebooking.database.sessions"} <= first <= FOR_SESSIONS, "modules that the first request imports"
    assert seen["left"] == [], "tasks that outlive their answer"
    assert seen["sockets"] == 0, "sockets that outlive their answer"
    assert seen["loads"] == 1, "times the authorities' certificates were loaded"
