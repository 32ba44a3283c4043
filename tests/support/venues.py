"""A venue twin, and two transports to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx

from prebooking.local.venue.server import TwinTransport, serve
from prebooking.local.venue.twin import Ledger, VenueTwin
from tests.support.doubles import EPOCH, run_virtual

T = TypeVar("T")

SECRET = "the secret of the twin"
BEARER = {"Authorization": f"Bearer {SECRET}"}


def venue(*, ledger: Ledger | None = None, **how: Any) -> VenueTwin:
    """A venue with one class, open since the epoch, with two places and one on the waiting list."""
    options: dict[str, Any] = {"now": lambda: EPOCH, "secret": SECRET}
    twin = VenueTwin(**options | how)
    twin.ledger = ledger or twin.ledger
    twin.open_class("wod", opens_at=EPOCH, capacity=2, waiting_list=1)
    return twin


async def book(client: httpx.AsyncClient, who: str, class_id: str = "wod", **more: Any) -> httpx.Response:
    prebooking = {
        "prebooking_id": f"id of {who}",
        "user_email": who,
        "venue_id": "gym",
        "booking_data": {"class_id": class_id},
    }
    headers = BEARER | {"Idempotency-Key": f"id of {who}"} | more.pop("headers", {})
    return await client.post("/book", json=prebooking, headers=headers, **more)


async def confirm(client: httpx.AsyncClient, who: str) -> httpx.Response:
    return await client.get("/book", params={"prebooking_id": f"id of {who}"}, headers=BEARER)


def on_virtual_time(twin: VenueTwin, scenario: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]], **how: Any) -> T:
    """Run a scenario against the twin without sockets, until the venue has finished every call."""

    async def run() -> T:
        transport = TwinTransport(twin, **how)
        async with httpx.AsyncClient(transport=transport, base_url="http://venue.test", timeout=3_600) as client:
            result = await scenario(client)
        await transport.drain()
        return result

    return run_virtual(run())


def over_sockets(twin: VenueTwin, scenario: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario against the twin over sockets of this machine."""

    async def run() -> T:
        async with serve(twin) as url, httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
            return await scenario(client)

    return asyncio.run(run())
