"""One HTTP call to a venue: checks before the first byte, one timeout for the whole call, a limit for the answer."""

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

REPLY_LIMIT = 65_536  # most bytes of an answer that are read; the answer to a booking has about a hundred
FRESH = 1.0  # longest age in seconds of a connection at its first byte; some servers close an idle one after two
NEW = 0.002  # shortest age in seconds at the first byte; some servers close a connection right after accepting it
_LATIN = re.compile(r"charset\s*=\s*[\"']?(iso[-_]?8859|latin|windows-125)", re.IGNORECASE)
HEADERS = {
    "User-Agent": f"prebooking-scheduler/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A venue's answer. ``body`` is None if the body was too long or could not be decoded."""

    status: int
    body: bytes | None
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False, compare=False)

    def json_object(self) -> dict[str, Any] | None:
        """Return the JSON object in the body, {} if the body is empty, or None if the body is anything else."""
        if self.body is None:
            return None
        try:
            value = json.loads(self._text(self.body or b"{}"))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def _text(self, body: bytes) -> str:
        """Return the body as text. Invalid bytes are replaced, as servers may truncate names inside a character."""
        try:
            return body.decode(json.detect_encoding(body))
        except UnicodeDecodeError:
            is_latin = _LATIN.search(self.headers.get("content-type", ""))
            return body.decode("cp1252" if is_latin else "utf-8", errors="replace")


class _StaleConnection(Exception):
    """The connection can no longer be used to send the request."""


class _FirstByte:
    """Waits and checks before a call's first byte. ``left``: the first byte may have been sent."""

    def __init__(self, gate: Gate) -> None:
        self.left = False
        self._gate = gate
        self._stream: httpcore.AsyncNetworkStream | None = None  # None: the transport uses no network (tests)
        self._opened_at = 0.0

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Wait for the slot before the first byte. httpcore awaits this "trace" extension at each event."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream, self._opened_at = info["return_value"], asyncio.get_running_loop().time()
        elif event.endswith("send_request_headers.started"):
            await self._wait()
            self._gate.mark_sent()
            self.left = True

    async def _wait(self) -> None:
        """Wait for the call's slot.

        Raises:
            _StaleConnection: meanwhile the connection was closed, received data, or became older than FRESH.

        """
        await self._gate.wait()
        if self._stream is None:
            return
        await asyncio.sleep(max(0.0, NEW - self._age()))
        for _ in range(3):  # let the event loop deliver data that has already arrived
            await asyncio.sleep(0)
        if self._stream.get_extra_info("has_received") or self._age() > FRESH:
            raise _StaleConnection

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

    A failure before the gate's checks have passed is ``not_sent``, a failure after that is ``unsure``. If the
    connection became unusable before the slot, nothing was sent: STALE_CONNECTION.

    Raises:
        SendRefused: ``gate.mark_sent`` refused the call. Nothing was sent.

    """
    first_byte = _FirstByte(gate)
    request.extensions["trace"] = first_byte.trace
    try:
        async with asyncio.timeout(timeout):
            return classify(await exchange(client, request))
    except _StaleConnection:
        return STALE_CONNECTION
    except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
        return _without_answer(exc, sent=first_byte.left)
    except Exception as exc:
        if not first_byte.left:  # not caused by the venue: SendRefused, or a bug of ours
            raise
        return _without_answer(exc, sent=True)  # any answer of the venue may make a parser raise


def _without_answer(exc: Exception, *, sent: bool) -> Outcome:
    """Return the outcome of a call without an answer. If the first byte was sent, the venue may have processed it."""
    return Outcome(Kind.UNSURE if sent else Kind.NOT_SENT, detail=type(exc).__name__)


async def ask(
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    timeout: float,  # noqa: ASYNC109 - as above
    limit: int = REPLY_LIMIT,
) -> Reply | None:
    """Send a request that books nothing. Return the answer (body: at most ``limit`` bytes), or None without one."""
    try:
        async with asyncio.timeout(timeout):
            return await exchange(client, request, limit)
    except Exception:  # noqa: BLE001 - any answer may make a parser raise; every failure means: no answer
        return None


async def exchange(client: httpx.AsyncClient, request: httpx.Request, limit: int = REPLY_LIMIT) -> Reply:
    """Send a request, and return the answer. Has no timeout, and raises what the transport or a parser raises."""
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
