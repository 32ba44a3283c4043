"""Upkeep's function and its former path: the same authorization as the scheduler, and their own response."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api.cron import session_keeper, upkeep
from tests.support.boxes import KEYS
from tests.support.database import Rest
from tests.support.functions import BEARER, client_of, logged, set_environment

pytestmark = pytest.mark.anyio

APPS = {
    "/api/cron/upkeep": upkeep.app,
    "/api/cron/session_keeper": session_keeper.app,
    "/api/cron/session-keeper": session_keeper.app,
}


@pytest.fixture(params=APPS)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def function(path: str, rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    set_environment(monkeypatch, rest, **KEYS)
    async with client_of(APPS[path]) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_authorized_request_returns_the_summary(function: httpx.AsyncClient, path: str, method: str) -> None:
    answer = await function.request(method, path, headers=BEARER)
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    if path == "/api/cron/upkeep":
        assert (body["message"], body["parts"]) == ("Nothing was due", {})
    else:
        nothing = {"refreshed": 0, "logged_in": 0, "expired": 0, "wrong_password": 0, "failed": 0}
        assert body["parts"] == {"logins": nothing}
    assert (body["success"], body["failed"], body["timed_out"], body["no_login"]) == (True, [], False, 0)
    assert 0 <= body["execution_time_ms"] < 8_000


async def test_unauthorized_requests_are_refused(function: httpx.AsyncClient, path: str) -> None:
    answer = await function.post(path, headers={"Authorization": "Bearer undefined"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"success": False, "error": "unauthorized"}
    assert (await function.delete(path, headers=BEARER)).status_code == 405


async def test_without_valid_settings_every_request_is_refused(
    function: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_ENCRYPTION_KEY", "canary")
    answer = await function.post(path, headers=BEARER)
    assert (answer.status_code, answer.json()["error"]) == (500, "server_not_configured")


async def test_a_refused_database_key_is_500_with_a_summary(
    function: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_another_project")
    answer = await function.post(path, headers=BEARER)
    assert (answer.status_code, answer.json()["success"]) == (500, False)


async def test_an_unexpected_error_is_500_without_its_text(
    function: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("canary")

    monkeypatch.setattr("prebooking.upkeep.run.create_isolated_supabase", fail)
    answer = await function.post(path, headers=BEARER)
    assert (answer.status_code, answer.json()["success"]) == (500, False)
    lines = logged(capsys)
    assert [line["event"] for line in lines] == ["unexpected", "answered"]
    assert "canary" not in answer.text + json.dumps(lines)
