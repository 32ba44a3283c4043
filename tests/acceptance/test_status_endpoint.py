"""GET /api/status: what the operator's page asks, for its own secret alone, without whole addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api import status
from prebooking.errors import NOT_MIGRATED
from tests.support.boxes import KEYS
from tests.support.database import Database, Rest
from tests.support.factories import add_prebooking, add_venue
from tests.support.functions import BEARER, client_of, logged, set_environment
from tests.support.terminal import now

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


async def test_only_the_secret_of_the_page_is_accepted(function: httpx.AsyncClient) -> None:
    for headers in ({}, BEARER, {"authorization": "Bearer wrong"}):
        answer = await function.get("/api/status", headers=headers)
        assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")
    assert (await function.post("/api/status", headers=ASKED)).status_code == 405


async def test_without_the_setting_the_page_is_off(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATUS_SECRET")
    assert (await function.get("/api/status", headers=ASKED)).status_code == 404


@pytest.mark.parametrize("name", ["CRON_SECRET", "CRON_SECRET_PREVIOUS"])
async def test_the_secret_of_the_cron_is_not_that_of_the_page(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    answer = await function.get("/api/status", headers=ASKED)
    assert (answer.status_code, answer.json()["error"]) == (500, "server_not_configured")
    ((event, problems),) = [(line["event"], line["problems"]) for line in logged(capsys)]
    assert (event, list(problems)) == ("server_not_configured", ["STATUS_SECRET"])
    assert SECRET not in str(problems)


async def test_a_secret_in_the_address_is_refused_and_in_no_log(
    function: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for headers in ({}, ASKED):
        answer = await function.get(f"/api/status?token={SECRET}", headers=headers)
        assert (answer.status_code, SECRET in answer.text) == (400 if headers else 401, False)
    twice = [("authorization", f"Bearer {SECRET}"), ("authorization", "Bearer wrong")]
    assert (await function.get("/api/status", headers=twice)).status_code == 401
    assert SECRET not in capsys.readouterr().out


async def test_no_other_site_may_read_the_answer(function: httpx.AsyncClient) -> None:
    other = {"origin": "https://other.example"}
    asked = await function.options("/api/status", headers=other | {"access-control-request-method": "GET"})
    answer = await function.get("/api/status", headers=ASKED | other)
    assert (asked.status_code, answer.status_code) == (405, 200)
    assert [name for one in (asked, answer) for name in one.headers if name.startswith("access-control")] == []


async def test_a_database_without_the_migration_of_the_page_has_a_cure_in_the_log(
    function: httpx.AsyncClient, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.connection.execute("drop function page_status_v1()")
    answer = await function.get("/api/status", headers=ASKED)
    assert (answer.status_code, answer.json()["error"]) == (500, "database_not_migrated")
    (line,) = logged(capsys)
    assert line["event"] == "status_failed"
    assert line["code"] in NOT_MIGRATED
    assert "prebooking init" in line["cure"]


@pytest.mark.parametrize("question", ["?member=x", "?prebooking=", "?other=1", "?member=%00", "?prebooking=1&member=2"])
async def test_a_bad_question_has_a_clear_answer(function: httpx.AsyncClient, question: str) -> None:
    answer = await function.get(f"/api/status{question}", headers=ASKED)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_question")


async def test_an_address_is_shown_to_a_question_and_logged_without_it(
    function: httpx.AsyncClient, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    venue = add_venue(database.connection, name='<script>"x"')
    row = add_prebooking(
        database.connection, venue, user_email="anna@example.com", available_at=now(600), expires_at=now(900)
    )
    assert (await ask(function))["openings"][0]["venue"] == '<script>"x"'
    assert (await ask(function, f"?prebooking={row}"))["venue"] == '<script>"x"'
    capsys.readouterr()
    assert await ask(function, f"?member={row}") == {"member": "anna@example.com"}
    lines = logged(capsys)
    assert [(line["event"], line["prebooking"]) for line in lines] == [("address_shown", str(row))]
    assert "anna" not in str(lines)
    assert (await function.get(f"/api/status?member={uuid4()}", headers=ASKED)).status_code == 404
