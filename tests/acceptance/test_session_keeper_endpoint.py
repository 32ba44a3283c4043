"""The function that keeps logins alive, as the cron calls it: the same door, and an answer of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api.cron.session_keeper import app
from prebooking.settings import Settings
from tests.support.boxes import KEYS
from tests.support.database import Rest
from tests.support.world import ENVIRONMENT

pytestmark = pytest.mark.anyio

PATHS = ["/api/cron/session_keeper", "/api/cron/session-keeper"]
BEARER = {"Authorization": f"Bearer {ENVIRONMENT['CRON_SECRET']}"}


@pytest.fixture
async def function(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    there = {"SUPABASE_URL": rest.url, "SUPABASE_SERVICE_ROLE_KEY": rest.service_key}
    for name, value in (ENVIRONMENT | KEYS | there).items():
        monkeypatch.setenv(name, value)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://function.example") as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", PATHS)
async def test_the_cron_is_let_in_and_told_what_was_done(function: httpx.AsyncClient, path: str, method: str) -> None:
    answer = await function.request(method, path, headers=BEARER)
    said = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (said["success"], said["message"], said["timed_out"]) == (True, "Refreshed 0 sessions", False)
    assert said["details"] == {"refreshed": 0, "expired": 0, "failed": 0}
    assert 0 <= said["execution_time_ms"] < 8_000


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_else_is_let_in(function: httpx.AsyncClient, path: str) -> None:
    answer = await function.post(path, headers={"Authorization": "Bearer undefined"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"success": False, "error": "unauthorized"}
    assert (await function.delete(path, headers=BEARER)).status_code == 405


async def test_without_its_settings_it_lets_nobody_in(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_ENCRYPTION_KEY", "canary")
    answer = await function.post(PATHS[0], headers=BEARER)
    assert (answer.status_code, answer.json()["error"]) == (500, "server_not_configured")


async def test_a_database_out_of_reach_is_a_500_with_the_same_answer(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_another_project")
    answer = await function.post(PATHS[0], headers=BEARER)
    assert (answer.status_code, answer.json()["success"]) == (500, False)


async def test_what_nobody_foresaw_is_a_500_and_its_text_stays_inside(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("canary")

    monkeypatch.setattr("prebooking.bookers.aimharder.keeper.create_isolated_supabase", fail)
    answer = await function.post(PATHS[0], headers=BEARER)
    assert (answer.status_code, answer.json()["success"]) == (500, False)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["unexpected", "answered"]
    assert "canary" not in answer.text + json.dumps(lines)
