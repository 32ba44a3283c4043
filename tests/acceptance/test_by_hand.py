"""What README tells a newcomer to type, typed: the demo, and the stack that is left running."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from prebooking.local import agreement
from prebooking.local.agreement import Evidence, read_rows
from prebooking.local.stack import Stack
from tests.stacks import opening

ROOT = Path(__file__).parents[2]


def test_the_demo_ends_well_and_shows_every_member() -> None:
    program = [sys.executable, "-m", "prebooking.local.demo"]
    demo = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    members = re.findall(r"^[A-Z][a-z]+ +[a-z]+ +[\d:.]+ +[\d:.]+\*? +\d+ +\w+: (\w+)", demo.stdout, re.MULTILINE)
    assert len(members) == 30
    assert set(members) == {"booked", "waitlisted", "full", "reconciled"}
    assert "They agree." in demo.stdout
    assert max(map(len, demo.stdout.splitlines())) <= 80


def test_the_demo_s_judge_sees_what_is_wrong(stack: Stack) -> None:
    booked_twice, not_booked, _not_settled = opening(stack, 3)
    settle = "update prebookings set status = 'completed', outcome = 'booked', settled_at = now() where id = %s"
    for row in (booked_twice, not_booked):
        stack.connection.execute(settle, [row])
    body = {"prebooking_id": str(booked_twice), "user_email": "ana@example.com", "venue_id": "v"}
    [(data,)] = stack.connection.execute(
        "select booking_data from prebookings where id = %s", [booked_twice]
    ).fetchall()
    headers = {
        "Authorization": f"Bearer {stack.environment['BOOKING_WEBHOOK_SECRET']}",
        "Idempotency-Key": str(booked_twice),
    }
    url, wish = stack.environment["BOOKING_WEBHOOK_URL"], body | {"booking_data": data}
    for _ in range(2):
        httpx.post(url, json=wish, headers=headers, trust_env=False)
    both = Evidence(read_rows(stack.connection), stack.ledger)
    wrong = {question for question, ask in agreement.QUESTIONS.items() if list(ask(both))}
    assert wrong == {
        "every prebooking has an end",
        "completed: exactly one place at the venue",
        "nobody is booked twice",
    }


@contextmanager
def dev() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run ``make dev``'s program until it has said what to type; return it and what it said."""
    program = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);" + RUN]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if "order by created_at" in line:
                break
        try:
            yield process, said
        finally:
            process.kill()


RUN = "import runpy; runpy.run_module('prebooking.local.dev', run_name='__main__')"


def typed(line: str) -> str:
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=30, check=True).stdout


def children(process: subprocess.Popen[str]) -> set[int]:
    """Return everything the process has started, directly or not."""
    rows = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout.split()
    parent = dict(zip(map(int, rows[::2]), map(int, rows[1::2]), strict=True))
    found = {process.pid}
    while more := {pid for pid, ppid in parent.items() if ppid in found} - found:
        found |= more
    return found - {process.pid}


def wait_until_gone(pids: set[int]) -> None:
    """Return when the processes have ended."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(handle) as ended:
            assert select.select([ended], [], [], 20)[0], f"process {pid} is still there"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no handle on processes")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_stack_left_running_books_what_is_inserted_by_hand_and_leaves_nothing(how: signal.Signals) -> None:
    with dev() as (process, said):
        [insert] = [line for line in said if "insert into" in line]
        [curl] = [line for line in said if line.startswith("curl")]
        [select_rows] = [line for line in said if "select user_email" in line]
        typed(insert)
        found = re.fullmatch(r'curl -X POST -H "Authorization: (Bearer \S+)" (\S+)', curl)
        assert found
        answer = httpx.post(found[2], headers={"Authorization": found[1]}, trust_env=False, timeout=30)
        assert answer.json()["outcomes"] == {"booked": 1}
        assert re.search(r"ana@example.com +\| completed +\| booked", typed(select_rows))
        started = children(process)
        assert len(started) >= 3
        process.send_signal(how)
        assert process.wait(20) == (0 if how is signal.SIGINT else -how)
        wait_until_gone(started)
