"""The database client of one invocation: its own pool, its own headers, and the policy for asking again."""

from __future__ import annotations

import asyncio
import re
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
from prebooking.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from prebooking.http import isolated_client
from prebooking.settings import DatabaseSettings
from supabase import AsyncClient

T = TypeVar("T")

TRY_TIMEOUT = 2.0  # seconds a try may take; nearer to a deadline, what is left
PAUSES = (0.1, 0.2)  # seconds before the second and the third try
ANSWER_LIMIT = 12_582_912  # bytes of an answer that are read: 500 rows with the longest data need 11.3 million
LOCK_WAIT = 1.5  # seconds a function waits for a lock before it answers "busy": lock_timeout in the migrations

_LOCKED = "55P03"
# Nothing a second try could change: bad input, wrong role, missing function, broken rule.
_FINAL = re.compile(r"(22|23|25|42|P0|PT)\w{3}|PGRST[123]\w\w", re.ASCII)
_FINAL_STATUS = frozenset(str(status) for status in range(400, 500) if status not in (408, 425, 429))


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a function returned, and after how many tries: with more than one, an earlier try may yet be carried out."""

    value: T
    tries: int


class IsolatedSupabase:
    """One invocation's Supabase client, asked through POSTed functions only."""

    def __init__(self, client: AsyncClient, *, clock: Clock, timeout: float = TRY_TIMEOUT) -> None:
        self.client = client
        self._clock, self._timeout = clock, timeout

    async def call(
        self, function: str, params: dict[str, Any], read: Callable[[Any], T], *, until: Deadline
    ) -> Answer[T]:
        """Call a database function, and again after 100 ms and 200 ms if there was no usable answer.

        Every function of ours may be asked twice: each says what must still be true. ``read`` turns the answer into
        what it means; what it refuses as a ValueError is no usable answer.

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
                return read((await self.client.rpc(function, params).execute()).data)
        except APIError as exc:
            raise _meaning(function, exc.code) from None  # its text may hold a whole row
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as exc:
            raise StoreUnavailable(function, type(exc).__name__) from None


def _meaning(function: str, code: str | None) -> StoreError:
    code = code if code and re.fullmatch(r"[0-9A-Z]{3,10}", code) else None  # or else it is somebody's text
    if code == _LOCKED:
        return StoreBusy(function, code)
    if code and (_FINAL.fullmatch(code) or code in _FINAL_STATUS):
        return StoreRefused(function, code)
    return StoreUnavailable(function, code or "no_code")


class AnswerTooLong(httpx.ReadError):
    """More came than any of our functions can have to say."""


class _Capped(httpx.AsyncByteStream):
    """An answer's bytes, up to the limit: the library reads everything there is, and there may be no end to it."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream, self._left = stream, ANSWER_LIMIT

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise AnswerTooLong("")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _cap(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise httpx.DecodingError("compressed unasked", request=response.request)
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Capped(response.stream)


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
    retries to us (the library's own take seven seconds, and only for reads), and reads no answer that is compressed
    (a few hundred bytes can become 200 MB) or has no end.
    """
    plain = {"Accept-Encoding": "identity"}
    async with isolated_client(headers=plain, connect_timeout=timeout, transport=transport) as http:
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
