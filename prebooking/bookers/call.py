"""One HTTP call to a venue: a gate before its first byte, one timeout for the whole call, a limit for the answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from prebooking import __version__
from prebooking.bookers import STALE_CONNECTION, Gate
from prebooking.content_coding import Undecodable, decoded
from prebooking.model import Kind, Outcome

REPLY_LIMIT = 65_536  # bytes of an answer that are read; a booking needs a hundred
FRESH = 1.0  # seconds for which a connection may be open before its first byte; some servers close it after two
NEW = 0.002  # seconds for which a connection is watched at least; some servers close it right after accepting it
_LATIN = re.compile(r"charset\s*=\s*[\"']?(iso[-_]?8859|latin|windows-125)", re.IGNORECASE)
HEADERS = {
    "User-Agent": f"prebooking-scheduler/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A venue's answer. ``body`` is None if it was too long or could not be decoded."""

    status: int
    body: bytes | None
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False, compare=False)

    def json_object(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, an empty one if there is no body, or None if it is anything else."""
        if self.body is None:
            return None
        try:
            value = json.loads(self._text(self.body or b"{}"))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def _text(self, body: bytes) -> str:
        """Return the body as text. Bytes that are no text are replaced, because names can be cut within a character."""
        try:
            return body.decode(json.detect_encoding(body))
        except UnicodeDecodeError:
            is_latin = _LATIN.search(self.headers.get("content-type", ""))
            return body.decode("cp1252" if is_latin else "utf-8", errors="replace")


class _StaleConnection(Exception):
    """The connection cannot be used for the first byte any more."""


class _FirstByte:
    """A call's first byte: its connection, and whether it was sent (``left``)."""

    def __init__(self, gate: Gate) -> None:
        self.left = False
        self._gate = gate
        self._stream: httpcore.AsyncNetworkStream | None = None  # None: a transport without a network
        self._opened_at = 0.0

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Wait for the slot before the first byte. This is httpcore's trace extension, which httpcore awaits there."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream, self._opened_at = info["return_value"], asyncio.get_running_loop().time()
        elif event.endswith("send_request_headers.started"):
            await self._wait()
            self._gate.mark_sent()
            self.left = True

    async def _wait(self) -> None:
        """Wait for the call's slot.

        Raises:
            _StaleConnection: meanwhile the connection was closed, something was said on it, or it has grown old.

        """
        if self._stream is None:
            return await self._gate.wait()
        # A read sees what a look at the socket cannot: over TLS 1.3 servers send tickets, which mean nothing.
        said = asyncio.create_task(self._stream.read(1))
        try:
            await self._gate.wait()
            await asyncio.wait([said], timeout=max(0.0, NEW - self._age()))
            for _ in range(3):  # what has arrived by now is read now
                await asyncio.sleep(0)
            if said.done() or self._age() > FRESH:
                raise _StaleConnection
        finally:
            said.cancel()
            await asyncio.gather(said, return_exceptions=True)

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._opened_at


async def call(
    client: httpx.AsyncClient,
    request: httpx.Request,
    classify: Callable[[Reply], Outcome],
    *,
    timeout: float,  # noqa: ASYNC109 - of the call as a whole: httpx's read timeout restarts with every byte
    gate: Gate,
) -> Outcome:
    """Send the request once, and return its outcome in at most ``timeout`` seconds.

    Whether a failure is ``not_sent`` or ``unsure`` is decided by one fact, whether the gate was passed. If the
    connection did not outlast the wait for the slot, nothing was sent: STALE_CONNECTION.

    Raises:
        SendRefused: the gate did not open.

    """
    first_byte = _FirstByte(gate)
    request.extensions["trace"] = first_byte.trace
    try:
        async with asyncio.timeout(timeout):
            return classify(await _exchange(client, request))
    except _StaleConnection:
        return STALE_CONNECTION
    except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
        return _without_answer(exc, sent=first_byte.left)
    except Exception as exc:
        if not first_byte.left:  # no fault of the venue's: the gate has refused, or the mistake is ours
            raise
        return _without_answer(exc, sent=True)  # an answer can break any parser


def _without_answer(exc: Exception, *, sent: bool) -> Outcome:
    """Return the outcome of a call without an answer: once the first byte was sent, the venue may have acted."""
    return Outcome(Kind.UNSURE if sent else Kind.NOT_SENT, detail=type(exc).__name__)


async def ask(
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    timeout: float,  # noqa: ASYNC109 - as above
    limit: int = REPLY_LIMIT,
) -> Reply | None:
    """Send a request that books nothing. Return the answer, at most ``limit`` bytes of it, or None without one."""
    try:
        async with asyncio.timeout(timeout):
            return await _exchange(client, request, limit)
    except Exception:  # noqa: BLE001 - an answer can break any parser; whatever it was, it is no answer
        return None


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, limit: int = REPLY_LIMIT) -> Reply:
    response = await client.send(request, stream=True)
    try:
        return Reply(response.status_code, await _body(response, limit), response.headers)
    finally:
        await response.aclose()


async def _body(response: httpx.Response, limit: int) -> bytes | None:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            return None
    try:
        return decoded(bytes(body), response.headers.get("content-encoding", ""), limit)
    except Undecodable:
        return None
