"""What every function that the cron calls does first and last: settings, who is asking, one answer."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from prebooking import http, log
from prebooking.auth import is_authorised
from prebooking.clock import Clock, Deadline, Reading
from prebooking.errors import SettingsError
from prebooking.settings import BUFFER, Settings


class RunAnswer(Protocol):
    """What a run answers: whether it did its work, and what it says of it."""

    @property
    def success(self) -> bool:
        """Say whether it did its work, however that ended for whom."""
        ...

    @property
    def execution_time_ms(self) -> int:
        """Return how long it took."""
        ...

    @property
    def details(self) -> dict[str, int]:
        """Return what it did, in counts."""
        ...

    def as_json(self) -> dict[str, object]:
        """Return the answer's body: small, and without personal data."""
        ...


@dataclass(frozen=True, slots=True)
class Trigger:
    """One request that was let in."""

    settings: Settings
    instance_id: UUID
    started: Reading
    clock: Clock
    log: log.Log

    def guard(self, seconds: float) -> Deadline:
        """Return when its calls are cut off: after ``seconds``, or sooner if the platform ends the function sooner.

        That is after a cold start, or when this machine's clock is ahead; then nothing may be left, or less.
        """
        platform = _platform_deadline()
        left = (platform - self.started.wall).total_seconds() - BUFFER if platform else seconds
        return Deadline(self.clock, self.started, min(seconds, left))


def cron_app(
    name: str, run: Callable[[Trigger], Awaitable[RunAnswer]], failed: Callable[[Trigger], RunAnswer]
) -> FastAPI:
    """Return the app of the function at ``/api/cron/<name>``: it runs for the cron alone, and answers 200 or 500.

    ``failed`` says what is answered when something happens that nobody foresaw.
    """
    log.set_up()
    http.preload_http()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    async def invoke(request: Request) -> JSONResponse:
        clock = Clock()
        started, instance_id = Reading.of(clock), uuid4()
        events = log.Log(instance_id=instance_id, vercel_id=_request_id(request))
        try:
            settings = Settings.from_environment(os.environ)
            http.tls_context()
        except SettingsError as exc:
            events.error("server_not_configured", problems=exc.problems)
            return _answer(500, {"success": False, "error": "server_not_configured"})
        if not is_authorised(request.headers.getlist("authorization"), settings.cron_secrets):
            events.warning("unauthorized")
            return _answer(401, {"success": False, "error": "unauthorized"}, {"WWW-Authenticate": "Bearer"})
        return await _ran(Trigger(settings, instance_id, started, clock, events), run, failed)

    # The platform passes the path on as the caller wrote it, so both spellings arrive. Its own cron can only GET.
    for spelling in {name, name.replace("_", "-")}:
        app.add_api_route(f"/api/cron/{spelling}", invoke, methods=["GET", "POST"], response_model=None)
    return app


async def _ran(
    trigger: Trigger, run: Callable[[Trigger], Awaitable[RunAnswer]], failed: Callable[[Trigger], RunAnswer]
) -> JSONResponse:
    try:
        answer = await run(trigger)
    except Exception as exc:  # noqa: BLE001 - the platform would log it without the request's id
        trigger.log.unexpected("unexpected", exc)
        answer = failed(trigger)
    trigger.log.info("answered", success=answer.success, ms=answer.execution_time_ms, **answer.details)
    return _answer(200 if answer.success else 500, answer.as_json())


def _platform_deadline() -> datetime | None:
    try:
        from vercel_runtime import get_deadline  # noqa: PLC0415 - there only while the platform runs us
    except ImportError:
        return None
    try:
        deadline = get_deadline()
        return deadline.astimezone(UTC) if isinstance(deadline, datetime) else None
    except Exception:  # noqa: BLE001 - the platform's own code; without its deadline the setting counts
        return None


def _request_id(request: Request) -> str | None:
    """Return the platform's name for the request, by which its own logs can be found, if it looks like one."""
    name = request.headers.get("x-vercel-id", "")
    return name if re.fullmatch(r"[\w:-]{1,100}", name, re.ASCII) else None


def _answer(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})
