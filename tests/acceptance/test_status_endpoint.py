"""GET /api/status: what the operator's page asks, for its own secret alone, without whole addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api import status
from tests.support.boxes import KEYS
from tests.support.database import Rest
from tests.support.functions import client_of, set_environment

pytestmark = pytest.mark.anyio

SECRET = "the-secret-of-the-page"
ASKED = {"authorization": f"Bearer {SECRET}"}


@pytest.fixture
async def function(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    set_environment(monkeypatch, rest, STATUS_SECRET=SECRET, **KEYS)
    async with client_of(status.app) as client:
        yield client


async def ask(function: httpx.AsyncClient, question: str = "") -> dict[str, Any]:
    answer = await function.get(f"/api/status{question}", headers=ASKED)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    read: dict[str, Any] = answer.json()
    return read


async def test_an_empty_database_has_every_section(function: httpx.AsyncClient) -> None:
    page = await ask(function)
    assert page["state"]["ok"] is False
    assert [problem["code"] for problem in page["state"]["problems"]] == ["trigger_never", "watchdog_none"]
    assert page["lateness"] == {
        "venues": [],
        "dots": [],
        "calls": 0,
        "shown": 0,
        "p50": None,
        "p95": None,
        "max": None,
    }
    days = page["outcomes"]
    assert (len(days), {(day["completed"], day["failed"], day["cancelled"]) for day in days}) == (30, {(0, 0, 0)})
    lists = ("openings", "failures", "in_doubt", "logins", "repeats")
    assert [page[name] for name in lists] == [[]] * len(lists)
    assert page["messages"] == {"waiting": 0, "dead": [], "failing": []}
    assert (page["runs"]["gaps"], page["runs"]["triggers"], page["runs"]["runs"]) == ([], [], [])
