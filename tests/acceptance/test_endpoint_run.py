"""The scheduler's function: its responses and logs, and the platform's own deadline."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.cron import prebooking_scheduler
from api.cron.prebooking_scheduler import app
from prebooking.clock import Clock, Reading
from prebooking.function.endpoint import Trigger, cron_app
from prebooking.http import tls_context
from prebooking.log import Log
from prebooking.settings import BUFFER, Settings
from tests.support.calls import prebooking
from tests.support.database import Database, Rest
from tests.support.factories import add_prebooking, add_venue
from tests.support.functions import BEARER, client_of, logged, set_environment
from tests.support.peers import Server, answers, serve
from tests.support.world import ENVIRONMENT

pytestmark = pytest.mark.anyio

PATH, HYPHENS = "/api/cron/prebooking_scheduler", "/api/cron/prebooking-scheduler"
BOOKED = b'HTTP/1.1 201 Created\r\nContent-Length: 20\r\n\r\n{"booking_id":"b-1"}'


@pytest.fixture
async def venue(anyio_backend: str) -> AsyncIterator[Server]:
    async with serve(answers(BOOKED)) as server:
        yield server


@pytest.fixture
def environment(rest: Rest, venue: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return set_environment(monkeypatch, rest, BOOKING_WEBHOOK_URL=f"{venue.url}/book")


@pytest.fixture
async def function(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


def is_ours(task: asyncio.Task[Any]) -> bool:
    """Return whether a task belongs to the function, not to a server of the test."""
    return "/tests/" not in repr(task) and "aiohttp" not in repr(task)


@pytest.mark.parametrize("path", [PATH, HYPHENS])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_run_with_nothing_due_returns_an_empty_summary(
    function: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await function.request(method, path, headers=BEARER)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    body = answer.json()
    UUID(body.pop("instance_id"))
    assert abs(datetime.now(UTC) - datetime.fromisoformat(body.pop("timestamp"))) < timedelta(minutes=1)
    assert 0 <= body.pop("execution_time_ms") < 8000
    assert body == {
        "success": True,
        "message": "No prebookings ready",
        "timed_out": False,
        "details": {"total": 0, "completed": 0, "failed": 0, "released": 0, "unsure": 0, "lost": 0},
        "lateness_ms": {"p50": None, "p95": None, "max": None},
        "outcomes": {},
        "errors": [],
    }


async def test_a_due_row_is_booked_and_nothing_stays_open(
    database: Database, function: httpx.AsyncClient, venue: Server
) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection))
    before = asyncio.all_tasks()
    body = (await function.post(PATH, headers=BEARER)).json()
    assert (body["message"], body["outcomes"]) == ("Processed 1 prebooking", {"booked": 1})
    assert prebooking(database.connection, row)["booking_id"] == "b-1"
    await venue.left()
    assert len(venue.requests()) == 1
    assert [task for task in asyncio.all_tasks() - before if is_ours(task)] == []


async def test_a_refused_booking_is_a_200(
    database: Database, function: httpx.AsyncClient, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection))
    full = b'HTTP/1.1 410 Gone\r\nContent-Length: 16\r\n\r\n{"state":"full"}'
    async with serve(answers(full)) as venue:
        monkeypatch.setenv("BOOKING_WEBHOOK_URL", venue.url)
        answer = await function.post(PATH, headers=BEARER)
    assert answer.status_code == 200
    assert answer.json()["errors"] == [{"id": str(row), "outcome": "full"}]


async def test_responses_and_logs_contain_no_member_and_no_secret(
    database: Database,
    function: httpx.AsyncClient,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = add_venue(database.connection)
    add_prebooking(database.connection, where, user_email="canary@example.com", booking_data={"note": "canary"})
    answer = await function.post(PATH, headers=BEARER | {"x-vercel-id": "cdg1::q7xv9-1701269265416-8d4f4bb3f4b1"})
    lines = logged(capsys)
    assert {line["instance_id"] for line in lines} == {answer.json()["instance_id"]}
    assert {line["vercel_id"] for line in lines} == {"cdg1::q7xv9-1701269265416-8d4f4bb3f4b1"}
    for text in (answer.text, json.dumps(lines)):
        assert not [value for value in ["canary", *environment.values()] if value in text]


@pytest.mark.parametrize("name", ["no name at all", "<script>", "x" * 101, "a\tb", "sb_secret_x=", ""])
async def test_an_invalid_request_id_is_not_logged(
    function: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    await function.post(PATH, headers=[*BEARER.items(), ("x-vercel-id", name)])
    assert {line["vercel_id"] for line in logged(capsys)} == {None}


# The platform's own deadline.


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that replaces the platform's ``get_deadline``."""

    def offer(get_deadline: Callable[[], object]) -> None:
        runtime = types.ModuleType("vercel_runtime")
        runtime.get_deadline = get_deadline  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "vercel_runtime", runtime)

    return offer


def fail() -> None:
    raise LookupError


@pytest.mark.parametrize(
    "get_deadline",
    [
        lambda: None,
        lambda: 1_900_000_000.0,
        lambda: float("nan"),
        lambda: "soon",
        lambda: datetime.max.replace(tzinfo=UTC),
        fail,
    ],
    ids=["none", "far", "nan", "text", "latest", "raises"],
)
async def test_an_unusable_platform_deadline_does_not_change_the_guard(
    database: Database, function: httpx.AsyncClient, platform: Callable[..., None], get_deadline: Callable[[], object]
) -> None:
    add_prebooking(database.connection, add_venue(database.connection))
    platform(get_deadline)
    assert (await function.post(PATH, headers=BEARER)).json()["details"]["completed"] == 1


@pytest.mark.parametrize("platform_seconds", [-3600.0, 2.0, 5.0, 12.0, 3600.0])
@pytest.mark.parametrize("setting", [3.0, 8.0])
def test_the_guard_is_never_later_than_the_setting(
    platform: Callable[..., None], setting: float, platform_seconds: float
) -> None:
    started = Reading.of(Clock())
    platform(lambda: started.wall + timedelta(seconds=platform_seconds))
    settings, instance_id = Settings.from_environment(ENVIRONMENT), uuid4()
    trigger = Trigger(settings, instance_id, started, Clock(), Log(instance_id=instance_id))
    assert trigger.guard(setting).seconds == pytest.approx(min(setting, platform_seconds - BUFFER))


async def test_nothing_is_started_shortly_before_the_platform_s_deadline(
    database: Database, function: httpx.AsyncClient, platform: Callable[..., None], venue: Server
) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection))
    platform(lambda: datetime.now(UTC) + timedelta(seconds=3))
    await function.post(PATH, headers=BEARER)
    assert venue.peers == []
    assert prebooking(database.connection, row)["claimed_by"] is None


async def test_an_unexpected_error_is_500_with_a_summary_and_without_its_text(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("canary")

    monkeypatch.setattr(prebooking_scheduler, "run_once", fail)
    answer = await function.post(PATH, headers=BEARER)
    assert answer.status_code == 500
    assert (answer.json()["success"], answer.json()["details"]["total"]) == (False, 0)
    unexpected, answered = logged(capsys)
    assert (unexpected["event"], unexpected["exception"]) == ("unexpected", "LookupError")
    assert answered["event"] == "answered"
    assert "canary" not in answer.text + json.dumps(unexpected)


# Certificates that the environment names.


@pytest.mark.parametrize(
    ("name", "content"), [("SSL_CERT_FILE", None), ("SSL_CERT_FILE", "none"), ("SSL_CERT_DIR", None)]
)
@pytest.mark.usefixtures("environment")
async def test_certificates_that_cannot_be_loaded_are_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None
) -> None:
    """The function starts, and logs the name of the variable at the first request."""
    path = tmp_path / "authorities"
    if content:
        path.write_text(content)
    monkeypatch.setenv(name, str(path))
    tls_context.cache_clear()
    app = cron_app("anew", prebooking_scheduler.run, prebooking_scheduler.failed)
    async with client_of(app) as client:
        answer = await client.post("/api/cron/anew", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]) == (500, "server_not_configured")
    [logged_problem] = logged(capsys)
    assert list(logged_problem["problems"]) == [name]
    assert str(path) not in json.dumps(logged_problem)
