"""cron-job.org's REST API. No key, header or text of an answer is in an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from prebooking.bookers.call import exchange
from prebooking.cli.cronjob.job import DetailedJob, ListedJob
from prebooking.clock import Clock
from prebooking.errors import CommandFailed
from prebooking.http import isolated_client

API = "https://api.cron-job.org"
_TIMEOUT = 20.0  # seconds for an answer
_PAUSE = 0.25  # seconds between two requests: at most 5 a second are allowed
_PAUSE_BEFORE_NEW = 1.1  # seconds between two new jobs: at most 1 a second is allowed
_LIMIT = 4_000_000  # bytes of an answer: an account may have thousands of jobs

_AGAIN = "Run this again: it looks first at what is there."
_CURES = {
    400: "cron-job.org refuses the settings of the job (HTTP 400): create it by hand, as docs/deploy.md says, and"
    " please report this.",
    401: "cron-job.org refuses the key: make one in Settings at console.cron-job.org, and set it as CRONJOB_API_KEY.",
    403: "cron-job.org does not accept the key from this address: allow this address, or all, in the key's settings at"
    " console.cron-job.org.",
    404: f"A job was removed meanwhile. {_AGAIN}",
    409: f"cron-job.org reports a conflict, perhaps with another change at the same time. {_AGAIN}",
    429: "A limit of cron-job.org is reached: 100 requests per day for a free account, 5 new jobs per minute, or the"
    f" number of jobs. Wait a minute, and if that does not help, a day. {_AGAIN}",
}
_TROUBLE = f"cron-job.org has trouble (HTTP {{status}}): wait some minutes. {_AGAIN}"
_NO_ANSWER = f"cron-job.org gave no answer: look at the network and at status.cron-job.org. {_AGAIN}"
_UNREADABLE = "api.cron-job.org answers something that cannot be read, perhaps a proxy's page: look at the network."
_INCOMPLETE = f"cron-job.org could not list all jobs of the account. Wait some minutes. {_AGAIN}"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, alias_generator=to_camel)


class _JobList(_Answer):
    jobs: list[ListedJob]
    some_failed: bool = False


class _OneJob(_Answer):
    job_details: DetailedJob


class _NewJob(_Answer):
    job_id: int


AnswerT = TypeVar("AnswerT", bound=_Answer)


class CronJobAccount:
    """One account at cron-job.org."""

    def __init__(self, client: httpx.AsyncClient, key: SecretStr, clock: Clock) -> None:
        self._client, self._key, self._clock = client, key, clock
        self._next = self._next_new = clock.monotonic()  # when the next request, and the next new job, may be sent

    async def jobs(self) -> list[ListedJob]:
        """Return all jobs. Raises CommandFailed if the list is incomplete."""
        found = _read(_JobList, await self._request("GET", "/jobs"))
        if found.some_failed:
            raise CommandFailed(_INCOMPLETE)
        return found.jobs

    async def details(self, job_id: int) -> DetailedJob:
        """Return one job with all its settings."""
        return _read(_OneJob, await self._request("GET", f"/jobs/{job_id}")).job_details

    async def create(self, job: dict[str, Any]) -> int:
        """Create a job, and return its id."""
        await self._sleep_until(self._next_new)
        created = _read(_NewJob, await self._request("PUT", "/jobs", {"job": job}))
        self._next_new = self._clock.monotonic() + _PAUSE_BEFORE_NEW
        return created.job_id

    async def change(self, job_id: int, delta: dict[str, Any]) -> None:
        """Change some settings of a job."""
        await self._request("PATCH", f"/jobs/{job_id}", {"job": delta})

    async def remove(self, job_id: int) -> None:
        """Remove a job."""
        await self._request("DELETE", f"/jobs/{job_id}")

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request, without a retry. Raises CommandFailed with the cure for every other answer than 200."""
        await self._sleep_until(self._next)
        self._next = self._clock.monotonic() + _PAUSE
        headers = {
            "Authorization": f"Bearer {self._key.get_secret_value()}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        content = None if body is None else json.dumps(body)
        request = self._client.build_request(method, f"{API}{path}", headers=headers, content=content)
        try:
            async with asyncio.timeout(_TIMEOUT):
                reply = await exchange(self._client, request, _LIMIT)
        except (httpx.HTTPError, httpx.StreamError, OSError):  # includes TimeoutError
            raise CommandFailed(_NO_ANSWER) from None
        if reply.status != httpx.codes.OK:
            raise CommandFailed(_CURES.get(reply.status, _TROUBLE.format(status=reply.status)))
        if (found := reply.json_object()) is None:
            raise CommandFailed(_UNREADABLE)
        return found

    async def _sleep_until(self, instant: float) -> None:
        if (left := instant - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)


@asynccontextmanager
async def open_account(key: SecretStr, clock: Clock) -> AsyncIterator[CronJobAccount]:
    """Open the account that a key belongs to."""
    async with isolated_client(connect_timeout=5) as client:
        yield CronJobAccount(client, key, clock)


def _read(kind: type[AnswerT], found: dict[str, Any]) -> AnswerT:
    try:
        return kind.model_validate(found)
    except ValidationError:
        raise CommandFailed(_UNREADABLE) from None
