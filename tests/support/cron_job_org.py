"""cron-job.org's REST API as its documentation describes it: fields, defaults, errors and limits."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from prebooking.clock import Clock

KEY = "the-key-of-the-account"
DAILY, PER_SECOND, NEW_PER_SECOND, NEW_PER_MINUTE = 100, 5, 1, 5
LONGEST_TIMEOUT = 30  # seconds, for a free account
EVERY = [-1]
_SCHEDULE = {
    "timezone": "UTC",
    "expiresAt": 0,
    "hours": EVERY,
    "mdays": EVERY,
    "minutes": [0],
    "months": EVERY,
    "wdays": EVERY,
}
_NESTED: dict[str, dict[str, Any]] = {
    "auth": {"enable": False, "user": "", "password": ""},
    "notification": {"onFailure": False, "onSuccess": False, "onDisable": False},
    "extendedData": {"headers": {}, "body": ""},
    "schedule": _SCHEDULE,
}
_READ_ONLY = {"jobId": 0, "lastStatus": 0, "lastDuration": 0, "lastExecution": 0, "nextExecution": None, "type": 0}
_PLAIN: dict[str, Any] = {
    "enabled": False,
    "title": "",
    "saveResponses": False,
    "url": "",
    "requestTimeout": -1,
    "requestMethod": 0,
}
_ONLY_DETAILED = ("auth", "notification", "extendedData")


class StoppedClock(Clock):
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def a_minute_later(self) -> StoppedClock:
        """Move on by a minute, and return this clock."""
        self.seconds += 60
        return self

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class CronJobOrg:
    """An account with its jobs. It counts requests on the given clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.jobs: dict[int, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.some_failed = False
        self.fails: dict[str, tuple[int, bool]] = {}  # per method: a status, and whether the request is carried out
        self._times: dict[str, list[float]] = defaultdict(list)
        self.app = FastAPI(openapi_url=None)
        self.app.add_api_route("/{path:path}", self._respond, methods=["GET", "PUT", "PATCH", "DELETE"])

    def add(self, **settings: Any) -> int:
        """Add a job by hand, and return its id."""
        return self._create(settings)

    def find(self, title: str) -> dict[str, Any]:
        """Return the one job with this title."""
        [job] = [job for job in self.jobs.values() if job["title"] == title]
        return job

    async def _respond(self, request: Request, path: str) -> JSONResponse:
        self.requests.append(f"{request.method} /{path}")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({}, 401)
        if self._is_too_often(request.method):
            return JSONResponse({}, 429)
        status, carried_out = self.fails.pop(request.method, (200, True))
        content = await request.body() if request.headers.get("content-type") == "application/json" else b""
        body = json.loads(content or b"{}")
        answer = self._perform(request.method, path.split("/"), body) if carried_out else JSONResponse({})
        return answer if status == 200 else JSONResponse({"message": f"about {KEY}"}, status)

    def _is_too_often(self, method: str) -> bool:
        now = self.clock.monotonic()
        self._times[method].append(now)
        within = {span: sum(now - at < span for at in self._times[method]) for span in (1, 60)}
        is_new = method == "PUT"
        return (
            len(self.requests) > DAILY
            or within[1] > (NEW_PER_SECOND if is_new else PER_SECOND)
            or (is_new and within[60] > NEW_PER_MINUTE)
        )

    def _perform(self, method: str, path: list[str], body: Any) -> JSONResponse:
        if path == ["jobs"] and method == "GET":
            jobs = [{name: job[name] for name in job if name not in _ONLY_DETAILED} for job in self.jobs.values()]
            return JSONResponse({"jobs": jobs, "someFailed": self.some_failed})
        if path == ["jobs"] and method == "PUT":
            wrong = _is_wrong(body.get("job", {}), needs_url=True)
            return JSONResponse({}, 400) if wrong else JSONResponse({"jobId": self._create(body["job"])})
        job = self.jobs.get(int(path[1]))
        if job is None:
            return JSONResponse({}, 404)
        if method == "GET":
            return JSONResponse({"jobDetails": job})
        if method == "DELETE":
            del self.jobs[job["jobId"]]
        elif _is_wrong(body.get("job", {}), needs_url=False):
            return JSONResponse({}, 400)
        else:
            job |= _complete(body["job"])
        return JSONResponse({})

    def _create(self, settings: dict[str, Any]) -> int:
        number = max(self.jobs, default=100) + 1
        self.jobs[number] = _READ_ONLY | _PLAIN | _NESTED | _complete(settings) | {"jobId": number}
        return number


def _complete(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings in which the members of objects that are missing have their default."""
    return {name: _NESTED[name] | value if name in _NESTED else value for name, value in settings.items()}


def _is_wrong(settings: dict[str, Any], *, needs_url: bool) -> bool:
    known = _PLAIN | _NESTED
    return (
        not settings
        or (needs_url and not settings.get("url"))
        or any(name not in known or type(value) is not type(known[name]) for name, value in settings.items())
        or any(set(settings.get(name, {})) - set(_NESTED[name]) for name in _NESTED)
        or settings.get("requestTimeout", 0) > LONGEST_TIMEOUT
    )
