"""The function that the cron calls: who is asking, one run, one answer. It imports with an empty environment."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from prebooking import http, log
from prebooking.auth import is_authorised
from prebooking.bookers import Booker, OpenBooker
from prebooking.bookers.webhook import WebhookBooker
from prebooking.clock import Clock, Deadline, Reading
from prebooking.errors import SettingsError
from prebooking.model import Summary, Venue
from prebooking.report import Report
from prebooking.scheduler import PrebookingScheduler
from prebooking.settings import BUFFER, Settings
from prebooking.store import PrebookingStore
from prebooking.supabase import create_isolated_supabase

log.set_up()
http.prime()

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)


# The platform passes the path on as the caller wrote it, so both spellings arrive. Its own cron can only GET.
@app.api_route("/api/cron/prebooking_scheduler", methods=["GET", "POST"])
@app.api_route("/api/cron/prebooking-scheduler", methods=["GET", "POST"])
async def prebooking_scheduler(request: Request) -> JSONResponse:
    """Book what is due, and answer 200 if the scheduler did its work, 500 if it could not."""
    clock = Clock()
    started, instance_id = Reading.of(clock), uuid4()
    events = log.Log(instance_id=instance_id, vercel_id=_request_id(request))
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as exc:
        events.error("server_not_configured", problems=exc.problems)
        return _answer(500, {"success": False, "error": "server_not_configured"})
    if not is_authorised(request.headers.getlist("authorization"), settings.cron_secrets):
        events.warning("unauthorized")
        return _answer(401, {"success": False, "error": "unauthorized"}, {"WWW-Authenticate": "Bearer"})
    try:
        summary = await _run(settings, instance_id, clock, started, events)
    except Exception as exc:  # noqa: BLE001 - the platform would log it without the request's id
        events.unexpected("unexpected", exc)
        report = Report(instance_id, broken=True)
        summary = report.summary(now=clock.now(), execution_time=started.elapsed(clock))
    events.info("answered", success=summary.success, ms=summary.execution_time_ms, **summary.details)
    return _answer(200 if summary.success else 500, summary.as_json())


async def _run(settings: Settings, instance_id: UUID, clock: Clock, started: Reading, events: log.Log) -> Summary:
    guard = Deadline(clock, started, _guard_seconds(settings, started))
    async with create_isolated_supabase(settings, instance_id, clock=clock) as database:
        scheduler = PrebookingScheduler(
            store=PrebookingStore(database, instance_id=instance_id, clock=clock),
            bookers=_bookers(settings),
            settings=settings,
            guard=guard,
            clock=clock,
            log=events,
        )
        return await scheduler.run()


def _bookers(settings: Settings) -> dict[str, OpenBooker]:
    """Return the venue systems that this deployment can book, by their names in the database."""

    @asynccontextmanager
    async def webhook(_venue: Venue) -> AsyncIterator[Booker]:
        secret = settings.booking_webhook_secret.get_secret_value()
        async with http.isolated_client() as client:
            yield WebhookBooker(client, url=settings.booking_webhook_url, secret=secret)

    return {"webhook": webhook}


def _guard_seconds(settings: Settings, started: Reading) -> float:
    """Return the guard, in seconds from the request; sooner if the platform's deadline is (a cold start eats of it)."""
    deadline = _platform_deadline()
    if deadline is None:
        return settings.execution_timeout_seconds
    return min(settings.execution_timeout_seconds, (deadline - started.wall).total_seconds() - BUFFER)


def _platform_deadline() -> datetime | None:
    try:
        from vercel_runtime import get_deadline  # noqa: PLC0415 - there only while the platform runs us
    except ImportError:
        return None
    deadline = get_deadline()
    return deadline.astimezone(UTC) if isinstance(deadline, datetime) else None


def _request_id(request: Request) -> str | None:
    """Return the platform's name for the request, by which its own logs can be found, if it looks like one."""
    name = request.headers.get("x-vercel-id", "")
    return name if re.fullmatch(r"[\w:-]{1,100}", name, re.ASCII) else None


def _answer(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})
