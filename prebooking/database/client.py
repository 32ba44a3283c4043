"""The database client of one invocation: its own connections and headers, and the retries."""

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
from postgrest.exceptions import APIError
from supabase.lib.client_options import AsyncClientOptions
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_chain, wait_fixed

from prebooking.clock import Clock, Deadline
from prebooking.content_coding import Undecodable, decoded
from prebooking.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from prebooking.http import isolated_client
from prebooking.settings import DatabaseSettings
from supabase import AsyncClient

T = TypeVar("T")

TRY_TIMEOUT = 2.0  # seconds a try may take; nearer to a deadline, what is left
PAUSES = (0.1, 0.2)  # seconds before the second and the third try
ANSWER_LIMIT = 16_777_216  # bytes of an answer that are read: 500 rows with the longest data need 15.4 million
LOCK_WAIT = 1.5  # seconds a function waits for a lock before it answers "busy": lock_timeout in the migrations

# Words for answers without a code, and for calls without an answer. Any other is the name of httpx's exception.
UNREADABLE = "unreadable"  # JSON, but not what this version expects
NO_JSON = "no_json"  # a success that is not the database's: a proxy, a login page
UNKNOWN_HOST, CERTIFICATE = "unknown_host", "certificate"

_LOCKED = "55P03"
_CODE = re.compile(r"[0-9A-Z]{5}|PGRST[0-9A-Z]{3}", re.ASCII)  # an SQLSTATE or PostgREST's; anything else is a text
# Nothing a second try could change: bad input, wrong role, read-only, missing function, broken rule.
_FINAL = re.compile(r"(22|23|25|42|P0|PT)\w{3}|PGRST[123]\w\w", re.ASCII)
_MAY_PASS = frozenset({408, 425, 429})
PROJECT_PAUSED = 540  # Supabase's own: https://supabase.com/docs/guides/platform/http-status-codes


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The value that a function returned, and the number of tries. An unanswered try may still be carried out."""

    value: T
    tries: int


class IsolatedSupabase:
    """One invocation's Supabase client. It calls database functions by POST, and nothing else."""

    def __init__(self, client: AsyncClient, *, clock: Clock, timeout: float = TRY_TIMEOUT) -> None:
        self.client = client
        self._clock, self._timeout = clock, timeout

    async def call(
        self, function: str, params: dict[str, Any], read: Callable[[Any], T], *, until: Deadline
    ) -> Answer[T]:
        """Call a database function, and again after 100 ms and 200 ms if there was no usable answer.

        Every function of ours may be asked twice: each says what must still be true. ``read`` turns the answer into
        what it means; what it refuses as a ValueError is of another version, and not asked for again.

        Raises:
            StoreUnavailable: no usable answer, or no time left.
            StoreBusy: another invocation holds the lock, or one of its rows.
            StoreRefused: asking again cannot change the answer.

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
        except ValueError:  # its text may hold a whole row
            if isinstance(data, str) or data == []:  # the library's value for what is no JSON, and for no body
                raise StoreUnavailable(function, NO_JSON) from None
            raise StoreRefused(function, UNREADABLE) from None


class _Refusal(Exception):
    """An answer that is no success: its HTTP status, and the database's code if the body has one."""

    def __init__(self, status: int, code: str | None) -> None:
        self.status, self.code = status, code
        super().__init__()


def _meaning(function: str, refusal: _Refusal) -> StoreError:
    """Return the error for a refusal. If its body has no code, the HTTP status decides."""
    if refusal.code == _LOCKED:
        return StoreBusy(function, _LOCKED)
    final = _FINAL.fullmatch(refusal.code) if refusal.code else _is_final(refusal.status)
    return (StoreRefused if final else StoreUnavailable)(function, refusal.code or str(refusal.status))


def _is_final(status: int) -> bool:
    """Return whether a retry cannot help: after a redirect, a refusal or a paused project, not after an overload."""
    return (status < httpx.codes.INTERNAL_SERVER_ERROR and status not in _MAY_PASS) or status == PROJECT_PAUSED


def _word_for(exc: Exception) -> str:
    """Return a word for a call that ended without an answer."""
    cause: BaseException | None = exc
    while cause:
        if isinstance(cause, socket.gaierror):
            return UNKNOWN_HOST
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE
        cause = cause.__cause__
    return type(exc).__name__


class AnswerTooLong(httpx.ReadError):
    """The answer is longer than any answer of our functions."""


class _Capped(httpx.AsyncByteStream):
    """An answer's decoded bytes, up to the limit, because the library would read an endless answer."""

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
    """Limit the bytes that are read of an answer, and raise _Refusal if it is no success."""
    content_encoding = response.headers.pop("content-encoding", "")  # httpx would decode without a limit
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Capped(response.stream, content_encoding)
    if not response.is_success:  # the library would lose the status where the body has no code
        raise _Refusal(response.status_code, await _code(response))


async def _code(response: httpx.Response) -> str | None:
    try:
        said = json.loads(await response.aread())
    except (httpx.DecodingError, ValueError, RecursionError):
        return None
    code = said.get("code") if isinstance(said, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


@asynccontextmanager
async def create_isolated_supabase(
    settings: DatabaseSettings,
    instance_id: UUID,
    *,
    clock: Clock,
    timeout: float = TRY_TIMEOUT,  # noqa: ASYNC109 - of each try, not of this
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[IsolatedSupabase]:
    """Open a client for one invocation, and close its connections whatever happens.

    It shares no pool, session or mutable state with any other: overlapping invocations live in one process. It neither
    keeps nor refreshes a session (the key is the identity), follows no redirect (the key would go along), leaves
    retries to us (the library's own take seven seconds, and only for reads), and reads of an answer, decoded, no more
    than ANSWER_LIMIT.
    """
    plain = {"Accept-Encoding": "identity"}
    async with isolated_client(
        headers=plain, connect_timeout=timeout, keep_connections=True, transport=transport
    ) as http:
        http.event_hooks = {"response": [_cap]}
        options = AsyncClientOptions(
            httpx_client=http,
            headers={"x-instance-id": str(instance_id)},
            postgrest_client_retry=False,
            auto_refresh_token=False,
            persist_session=False,
        )
        client = AsyncClient(settings.supabase_url, settings.supabase_service_role_key.get_secret_value(), options)
        yield IsolatedSupabase(client, clock=clock, timeout=timeout)
