"""The database client of one invocation, with its own connections, headers and retries."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import httpx
from postgrest import APIError, AsyncPostgrestClient
from pydantic import TypeAdapter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_chain, wait_fixed

from prebooking.clock import Clock, Deadline
from prebooking.content_coding import Undecodable, decoded
from prebooking.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from prebooking.http import isolated_client
from prebooking.settings import DatabaseSettings

T = TypeVar("T")

read_bool = TypeAdapter(bool).validate_python  # of the many functions that answer yes or no

TRY_TIMEOUT = 2.0  # timeout of one try in seconds, or the time until the deadline if that is shorter
PAUSES = (0.1, 0.2)  # seconds before the second and the third try
ANSWER_LIMIT = 16_777_216  # most bytes of an answer that are read: 500 rows with the longest data need 15.4 million
LOCK_WAIT = 1.5  # seconds after which a function that waits for a lock answers "busy": lock_timeout in the migrations

# StoreError.code for answers without an error code and for calls without an answer. Otherwise httpx's exception name.
UNREADABLE = "unreadable"  # JSON that this version does not expect
NO_JSON = "no_json"  # a 2xx answer that is not from the database, but from a proxy or a login page
UNKNOWN_HOST, CERTIFICATE = "unknown_host", "certificate"

_LOCKED = "55P03"
_CODE = re.compile(r"[0-9A-Z]{5}|PGRST[0-9A-Z]{3}", re.ASCII)  # an SQLSTATE or a PostgREST code; other text is unsafe
# Errors that a retry cannot fix: bad input, wrong role, read-only, missing function, violated constraint.
_FINAL = re.compile(r"(22|23|25|42|P0|PT)\w{3}|PGRST[123]\w\w", re.ASCII)
_MAY_PASS = frozenset({408, 425, 429})
PROJECT_PAUSED = 540  # Supabase: project paused, https://supabase.com/docs/guides/platform/http-status-codes


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A function's return value, and the number of tries. A try without an answer may still be executed."""

    value: T
    tries: int


class IsolatedSupabase:
    """One invocation's Supabase client. It only calls database functions, by POST.

    ``client`` is what ``supabase.AsyncClient.postgrest`` would be. It is created without ``supabase``, because that
    also imports clients for auth, storage and realtime, which takes a fifth of a cold start.
    """

    def __init__(self, client: AsyncPostgrestClient, *, clock: Clock, timeout: float = TRY_TIMEOUT) -> None:
        self.client = client
        self._clock, self._timeout = clock, timeout

    async def call(
        self, function: str, params: dict[str, Any], read: Callable[[Any], T], *, until: Deadline
    ) -> Answer[T]:
        """Call a database function. Without a usable answer, call it again after 100 ms, and again after 200 ms.

        Each function can safely be called twice, as its updates check the current state. ``read`` parses the answer;
        if it raises a ValueError, the database has another version, and a retry would not help.

        Raises:
            StoreUnavailable: no usable answer, or no time left.
            StoreBusy: another invocation holds the lock, or one of its rows.
            StoreRefused: a retry cannot help.

        """
        tries = 0
        async for attempt in self._tries(until):
            with attempt:
                tries += 1
                return Answer(await self._once(function, params, read, until), tries)
        raise StoreUnavailable(function, "not_asked")  # pragma: no cover - the last try raises

    def _tries(self, until: Deadline) -> AsyncRetrying:
        def enough(state: RetryCallState) -> bool:
            busy = state.outcome and isinstance(state.outcome.exception(), StoreBusy)
            needs = state.upcoming_sleep + (LOCK_WAIT if busy else 0)
            return state.attempt_number > len(PAUSES) or until.remaining() <= needs

        return AsyncRetrying(
            retry=retry_if_exception_type((StoreUnavailable, StoreBusy)),
            stop=enough,
            wait=wait_chain(*map(wait_fixed, PAUSES)),
            sleep=self._clock.sleep,
            reraise=True,
        )

    async def _once(self, function: str, params: dict[str, Any], read: Callable[[Any], T], until: Deadline) -> T:
        try:
            async with asyncio.timeout(min(self._timeout, until.remaining())):
                data = (await self.client.rpc(function, params).execute()).data
        except _Refusal as exc:
            raise _meaning(function, exc) from None
        except (APIError, RecursionError):
            raise StoreUnavailable(function, NO_JSON) from None
        except (httpx.HTTPError, TimeoutError, ValueError) as exc:
            raise StoreUnavailable(function, _word_for(exc)) from None
        try:
            return read(data)
        except ValueError:  # not chained: its text may contain a whole row
            if isinstance(data, str) or data == []:  # the library's values for no JSON, and for no body
                raise StoreUnavailable(function, NO_JSON) from None
            raise StoreRefused(function, UNREADABLE) from None


class _Refusal(Exception):
    """An answer that is not 2xx: its HTTP status, and the database's error code if the body has one."""

    def __init__(self, status: int, code: str | None) -> None:
        self.status, self.code = status, code
        super().__init__()


def _meaning(function: str, refusal: _Refusal) -> StoreError:
    """Return the exception for a refusal, from its error code or, if it has none, from its HTTP status."""
    if refusal.code == _LOCKED:
        return StoreBusy(function, _LOCKED)
    final = _FINAL.fullmatch(refusal.code) if refusal.code else _is_final(refusal.status)
    return (StoreRefused if final else StoreUnavailable)(function, refusal.code or str(refusal.status))


def _is_final(status: int) -> bool:
    """Return whether a retry cannot help: true for a redirect, refusal or paused project, not for overload."""
    return (status < httpx.codes.INTERNAL_SERVER_ERROR and status not in _MAY_PASS) or status == PROJECT_PAUSED


def _word_for(exc: Exception) -> str:
    """Return the ``StoreError.code`` for a call without an answer."""
    cause: BaseException | None = exc
    while cause:
        if isinstance(cause, socket.gaierror):
            return UNKNOWN_HOST
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE
        cause = cause.__cause__ or cause.__context__  # httpcore raises its own errors without a cause
    return type(exc).__name__


class AnswerTooLong(httpx.ReadError):
    """The answer is longer than any answer of our functions."""


class _Capped(httpx.AsyncByteStream):
    """The decoded bytes of an answer, up to ANSWER_LIMIT, because the library has no limit of its own."""

    def __init__(self, stream: httpx.AsyncByteStream, content_encoding: str) -> None:
        self._stream, self._content_encoding = stream, content_encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = bytearray()
        async for chunk in self._stream:
            body += chunk
            if len(body) > ANSWER_LIMIT:
                raise AnswerTooLong("")
        try:
            whole = decoded(bytes(body), self._content_encoding, ANSWER_LIMIT)
        except Undecodable as exc:
            raise httpx.DecodingError(str(exc)) from None
        yield whole

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _cap(response: httpx.Response) -> None:
    """Limit how much of an answer is read, and raise _Refusal if its status is not 2xx."""
    content_encoding = response.headers.pop("content-encoding", "")  # httpx would decode without a limit
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Capped(response.stream, content_encoding)
    if not response.is_success:  # the library drops the status if the body has no code
        raise _Refusal(response.status_code, await _code(response))


async def _code(response: httpx.Response) -> str | None:
    try:
        body = json.loads(await response.aread())
    except (httpx.DecodingError, ValueError, RecursionError):
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


@asynccontextmanager
async def create_isolated_supabase(
    settings: DatabaseSettings,
    instance_id: UUID,
    *,
    clock: Clock,
    timeout: float = TRY_TIMEOUT,  # noqa: ASYNC109 - the timeout of each try, not of this function
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[IsolatedSupabase]:
    """Open a client for one invocation. Its connections are always closed at the end.

    It shares no pool, session or mutable state with other clients, because invocations can overlap in one process. It
    sends what a client of ``supabase`` sends. It has no session (the key identifies it), follows no redirect (that
    would send the key elsewhere), does not use the library's retries (they take seven seconds and only repeat reads),
    and reads at most ANSWER_LIMIT decoded bytes of an answer.
    """
    plain = {"Accept-Encoding": "identity"}
    async with isolated_client(
        headers=plain, connect_timeout=timeout, keep_connections=True, transport=transport
    ) as http:
        http.event_hooks = {"response": [_cap]}
        key = settings.supabase_service_role_key.get_secret_value()
        headers = {"apiKey": key, "Authorization": f"Bearer {key}", "x-instance-id": str(instance_id)}
        rest = f"{settings.supabase_url}/rest/v1"
        client = AsyncPostgrestClient(rest, headers=headers, http_client=http, retry_enabled=False)
        yield IsolatedSupabase(client, clock=clock, timeout=timeout)
