"""The example of a booking endpoint: its ledger survives a kill, and its waiting list moves up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.endpoints import EXAMPLE, SECRET, changed_source, serve_example

BEARER = {"Authorization": f"Bearer {SECRET}"}


def book(url: str, key: str, *, member: str = "ana@example.com", class_id: str = "4711") -> httpx.Response:
    body = {"prebooking_id": key, "user_email": member, "booking_data": {"class_id": class_id}}
    return httpx.post(url, json=body, headers=BEARER | {"Idempotency-Key": key}, timeout=10, trust_env=False)


def ask(url: str, key: str) -> Any:
    answer = httpx.get(url, params={"prebooking_id": key}, headers=BEARER, timeout=10, trust_env=False)
    assert answer.status_code == 200
    return answer.json()


@contextmanager
def process(folder: Path, source: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process that serves this source, and its address."""
    (folder / "endpoint.py").write_text(source)
    command = [sys.executable, "-m", "uvicorn", "endpoint:app", "--port", "0", "--no-access-log"]
    environment = {**os.environ, "BOOKING_WEBHOOK_SECRET": SECRET, "LEDGER": str(folder / "ledger.db")}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr is not None
            address = next((line.split()[4] for line in served.stderr if "running on" in line), "")
            yield served, f"{address}/book"
        finally:
            served.kill()


def test_a_kill_after_the_commit_loses_nothing(tmp_path: Path) -> None:
    key = str(uuid4())
    killed = changed_source(
        {"    return JSONResponse(found, STATUS": "    os.kill(os.getpid(), 9)\n    return JSONResponse(found, STATUS"}
    )
    with process(tmp_path, killed) as (served, url):
        with pytest.raises(httpx.TransportError):
            book(url, key)
        assert served.wait(10) == -signal.SIGKILL
    with process(tmp_path, EXAMPLE.read_text()) as (_, url):
        assert ask(url, key)["state"] == "booked"
        answer = book(url, key)
        assert (answer.status_code, answer.json()["booking_id"]) == (200, 1)


def test_a_kill_before_the_commit_books_nothing(tmp_path: Path) -> None:
    key = str(uuid4())
    change = "found = find(ledger, idempotency_key)\n    return"
    killed = changed_source({change: f"os.kill(os.getpid(), 9)\n                {change}"})
    with process(tmp_path, killed) as (_, url), pytest.raises(httpx.TransportError):
        book(url, key)
    with process(tmp_path, EXAMPLE.read_text()) as (_, url):
        assert ask(url, key) == {"state": "not_booked"}
        assert book(url, key).json()["state"] == "booked"


def test_a_cancelled_class_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_example(tmp_path, monkeypatch) as url:
        answer = book(url, str(uuid4()), class_id="cancelled")
    assert (answer.status_code, answer.json()) == (422, {"state": "class_gone"})


def test_the_first_of_the_waiting_list_gets_a_place_that_was_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [str(uuid4()) for _ in range(3)]
    change = {"1, 0);": "1, 5);"}
    with serve_example(tmp_path, monkeypatch, change) as url:
        for number, key in enumerate(keys):
            book(url, key, member=f"{number}@example.com", class_id="last")
        assert [ask(url, key)["state"] for key in keys] == ["booked", "waitlisted", "waitlisted"]
        assert [ask(url, key)["position"] for key in keys[1:]] == [1, 2]
        for _ in range(2):
            httpx.delete(url, params={"prebooking_id": keys[0]}, headers=BEARER, timeout=10, trust_env=False)
        assert [ask(url, key)["state"] for key in keys] == ["not_booked", "booked", "waitlisted"]
        assert ask(url, keys[2])["position"] == 1


def test_a_delayed_call_cannot_book_what_was_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = str(uuid4())
    with serve_example(tmp_path, monkeypatch) as url:
        book(url, key)
        httpx.delete(url, params={"prebooking_id": key}, headers=BEARER, timeout=10, trust_env=False)
        assert book(url, key).status_code == 410
        assert ask(url, key) == {"state": "not_booked"}
