"""The function that keeps logins alive: the same authorization as the scheduler, and its own response."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api.cron.session_keeper import app
from tests.support.boxes import KEYS
from tests.support.database import Rest
from tests.support.functions import BEARER, client_of, logged, set_environment

pytestmark = pytest.mark.anyio

PATHS = ["/api/cron/session_keeper", "/api/cron/session-keeper"]


@pytest.fixture
async def function(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    set_environment(monkeypatch, rest, **KEYS)
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_authorized_request_returns_the_summary(function: httpx.AsyncClient, path: str, method: str) -> None:
    answer = await function.request(method, path, headers=BEARER)
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (body["success"], body["message"], body["timed_out"]) == (True, "Refreshed 0 sessions", False)
    assert body["details"] == {"refreshed": 0, "expired": 0, "failed": 0}
    assert 0 <= body["execution_time_ms"] < 8_000


@pytest.mark.parametrize("path", PATHS)
async def test_unauthorized_requests_are_refused(function: httpx.AsyncClient, path: str) -> None:
    answer = await function.post(path, headers={"Authorization": "Bearer undefined"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"success": False, "error": "unauthorized"}
    assert (await function.delete(path, headers=BEARER)).status_code == 405


async def test_without_valid_settings_every_request_is_refused(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_ENCRYPTION_KEY", "canary")
    answer = await function.post(PATHS[0], headers=BEARER)
    assert (answer.status_code, answer.json()["error"]) == (500, "server_not_configured")


async def test_a_refused_database_key_is_500_with_a_summary(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_another_project")
    answer = await function.post(PATHS[0], headers=BEARER)
    assert (answer.status_code, answer.json()["success"]) == (500, False)


async def test_an_unexpected_error_is_500_without_its_text(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("canary")

    monkeypatch.setattr("prebooking.bookers.aimharder.keeper.create_isolated_supabase", fail)
    answer = await function.post(PATHS[0], headers=BEARER)
    assert (answer.status_code, answer.json()["success"]) == (500, False)
    lines = logged(capsys)
    assert [line["event"] for line in lines] == ["unexpected", "answered"]
    assert "canary" not in answer.text + json.dumps(lines)
