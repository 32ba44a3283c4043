"""One call to a venue: gated at its first byte, timed as a whole, its answer capped; venues are not trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from prebooking import __version__
from prebooking.bookers import Gate
from prebooking.model import Kind, Outcome

REPLY_LIMIT = 65_536  # bytes of an answer that are read; a booking needs a hundred
HEADERS = {
    "User-Agent": f"prebooking-scheduler/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # 272 compressed bytes can become 200 MB
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A venue's answer. ``body`` is None when it was longer than we read, or compressed unasked."""

    status: int
    body: bytes | None
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False, compare=False)

    def json_object(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, an empty one for no body at all; None if it is anything else."""
        if self.body is None:
            return None
        try:
            value = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


async def call(
    client: httpx.AsyncClient,
    request: httpx.Request,
    classify: Callable[[Reply], Outcome],
    *,
    timeout: float,  # noqa: ASYNC109 - of the call as a whole: a read's own never fires on an answer that drips
    gate: Gate,
) -> Outcome:
    """Send the request once and say what came of it, in at most ``timeout`` seconds.

    Whether a failure is ``not_sent`` or ``unsure`` is decided by one fact, whether the first byte was let go.

    Raises:
        SendRefused: the gate did not open.

    """
    left = False

    async def trace(event: str, _info: dict[str, Any]) -> None:
        nonlocal left
        if event.endswith("send_request_headers.started"):
            await gate()
            left = True

    request.extensions["trace"] = trace
    try:
        async with asyncio.timeout(timeout):
            return classify(await _exchange(client, request))
    except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
        return Outcome(Kind.UNSURE if left else Kind.NOT_SENT, detail=type(exc).__name__)
    except Exception as exc:
        if not left:  # no fault of the venue's: the gate has refused, or the mistake is ours
            raise
        return Outcome(Kind.UNSURE, detail=type(exc).__name__)  # an answer can break any parser


async def ask(
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    timeout: float,  # noqa: ASYNC109 - as above
    limit: int = REPLY_LIMIT,
) -> Reply | None:
    """Send a request that books nothing, and return its answer, at most ``limit`` bytes of it; None if none came."""
    try:
        async with asyncio.timeout(timeout):
            return await _exchange(client, request, limit)
    except Exception:  # noqa: BLE001 - an answer can break any parser; whatever it was, it is no answer
        return None


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, limit: int = REPLY_LIMIT) -> Reply:
    response = await client.send(request, stream=True)
    try:
        return Reply(response.status_code, await _capped(response, limit), response.headers)
    finally:
        if _said_more(response):
            await response.extensions["network_stream"].aclose()
        await response.aclose()


def _said_more(response: httpx.Response) -> bool:
    """Say whether bytes came after the answer: the next call on this connection would take them for its own."""
    stream: Any = response.stream
    while stream is not None and not hasattr(stream, "_connection"):
        stream = getattr(stream, "_stream", None) or getattr(stream, "_httpcore_stream", None)
    state = getattr(getattr(stream, "_connection", None), "_h11_state", None)
    return state is not None and bool(state.trailing_data[0])


async def _capped(response: httpx.Response, limit: int) -> bytes | None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return None
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
