"""The FastAPI app around each function: it reads settings, checks the bearer secret and answers."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from prebooking import http, log
from prebooking.clock import Clock, Deadline, Reading
from prebooking.errors import SettingsError
from prebooking.function.auth import is_authorised
from prebooking.settings import BUFFER, Settings


class RunAnswer(Protocol):
    """The result of one run, for the HTTP answer and the log."""

    @property
    def success(self) -> bool:
        """Return whether the run worked without an error of its own. Failed prebookings do not matter."""
        ...

    @property
    def execution_time_ms(self) -> int:
        """Return the duration of the run in milliseconds."""
        ...

    @property
    def details(self) -> dict[str, int]:
        """Return the counts for the log."""
        ...

    def as_json(self) -> dict[str, object]:
        """Return the body of the HTTP answer, without personal data."""
        ...


@dataclass(frozen=True, slots=True)
class Trigger:
    """One authorised request."""

    settings: Settings
    instance_id: UUID
    started: Reading
    clock: Clock
    log: log.Log
    query: tuple[tuple[str, str], ...] = ()  # names and values after the "?" of the address

    def guard(self, seconds: float) -> Deadline:
        """Return the guard: ``seconds`` after the request, or BUFFER before the platform's deadline if that is earlier.

        The second is earlier after a cold start, or if this machine's clock is ahead. Then the time left can be zero or
        negative.
        """
        platform = _platform_deadline()
        left = (platform - self.started.wall).total_seconds() - BUFFER if platform else seconds
        return Deadline(self.clock, self.started, min(seconds, left))


def cron_app(
    name: str, run: Callable[[Trigger], Awaitable[RunAnswer]], failed: Callable[[Trigger], RunAnswer]
) -> FastAPI:
    """Return the app for ``/api/cron/<name>``. It calls ``run`` for authorised requests, and answers 200 or 500.

    ``failed`` returns the answer after an unexpected exception.
    """

    def respond(trigger: Trigger) -> Awaitable[Response]:
        return _run(trigger, run, failed)

    # The platform accepts the path with "_" and with "-". Vercel's cron can only send GET.
    paths = {f"/api/cron/{spelling}" for spelling in {name, name.replace("_", "-")}}
    return secured_app(paths, ["GET", "POST"], lambda settings: settings.cron_secrets, respond)


def secured_app(
    paths: Iterable[str],
    methods: list[str],
    secrets: Callable[[Settings], Sequence[str]],
    respond: Callable[[Trigger], Awaitable[Response]],
) -> FastAPI:
    """Return the app that responds to requests with one of the secrets as bearer token. Without any secret, it is off.

    ``secrets`` may raise a SettingsError, ``respond`` raises nothing.
    """
    log.set_up()
    http.preload_http()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    async def invoke(request: Request) -> Response:
        clock = Clock()
        started, instance_id = Reading.of(clock), uuid4()
        events = log.Log(instance_id=instance_id, vercel_id=_request_id(request))
        try:
            settings = Settings.from_environment(os.environ)
            settings.check_deployment(os.environ)
            accepted = secrets(settings)
            http.tls_context()
        except SettingsError as exc:
            events.error("server_not_configured", problems=exc.problems)
            return json_answer(500, {"success": False, "error": "server_not_configured"})
        if not accepted:
            return json_answer(404, {"success": False, "error": "not_found"})
        if not is_authorised(request.headers.getlist("authorization"), accepted):
            events.warning("unauthorized")
            return json_answer(401, {"success": False, "error": "unauthorized"}, {"WWW-Authenticate": "Bearer"})
        query = tuple(request.query_params.multi_items())
        return await respond(Trigger(settings, instance_id, started, clock, events, query))

    for path in paths:
        app.add_api_route(path, invoke, methods=methods, response_model=None)
    return app


async def _run(
    trigger: Trigger, run: Callable[[Trigger], Awaitable[RunAnswer]], failed: Callable[[Trigger], RunAnswer]
) -> Response:
    try:
        answer = await run(trigger)
    except Exception as exc:  # noqa: BLE001 - log it with the request id, which the platform would not do
        trigger.log.unexpected("unexpected", exc)
        answer = failed(trigger)
    trigger.log.info("answered", success=answer.success, ms=answer.execution_time_ms, **answer.details)
    return json_answer(200 if answer.success else 500, answer.as_json())


def _platform_deadline() -> datetime | None:
    try:
        from vercel_runtime import get_deadline  # noqa: PLC0415 - installed only on the platform
    except ImportError:
        return None
    try:
        deadline: datetime = get_deadline()
        return deadline.astimezone(UTC)
    except Exception:  # noqa: BLE001 - any failure of the platform's code means: no deadline
        return None


def _request_id(request: Request) -> str | None:
    """Return the platform's request id, to find the request in its logs. None if it is absent or malformed."""
    name = request.headers.get("x-vercel-id", "")
    return name if re.fullmatch(r"[\w:-]{1,100}", name, re.ASCII) else None


def json_answer(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    """Return an answer that no cache stores."""
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})
