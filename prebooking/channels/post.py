"""One HTTP call of a channel: it is sent once, follows no redirect, and reads a limited answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from prebooking.bookers.call import HEADERS, Reply, ask
from prebooking.channels import Delivery, SendResult


async def post(
    client: httpx.AsyncClient,
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109 - of the call as a whole, as in bookers.call
) -> Reply | Delivery:
    """POST once. Return the answer, or what is known without one: ``not_sent`` if the first byte was not sent."""
    started = False

    async def trace(event: str, _: dict[str, Any]) -> None:
        nonlocal started
        started |= event.endswith("send_request_headers.started")

    request = client.build_request(
        "POST", url, content=body, headers={**HEADERS, **headers}, extensions={"trace": trace}
    )
    reply = await ask(client, request, timeout=timeout)
    if reply is not None:
        return reply
    return Delivery(SendResult.UNSURE, "no_answer") if started else Delivery(SendResult.NOT_SENT, "not_connected")


def classify(reply: Reply | Delivery) -> Delivery:
    """Return the meaning of an answer by its status: 2xx is taken, 410 is gone, and any other is not taken."""
    if isinstance(reply, Delivery):
        return reply
    if httpx.codes.is_success(reply.status):
        return Delivery(SendResult.SENT)
    return Delivery(
        SendResult.GONE if reply.status == httpx.codes.GONE else SendResult.NOT_SENT, f"http_{reply.status}"
    )
