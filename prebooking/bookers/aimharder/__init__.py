"""Boxes at AimHarder, booked with the member's own login: see ``bookers.adapter``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from prebooking.bookers import Booker
from prebooking.bookers.adapter import Invocation
from prebooking.http import RewriteHostTransport, isolated_client
from prebooking.model import Venue
from prebooking.settings import AccountSettings


def transport(settings: AccountSettings) -> httpx.AsyncBaseTransport | None:
    """Return the way to AimHarder: the network, but on the local stack, which has a stand-in for it."""
    return RewriteHostTransport(settings.aimharder_twin_url) if settings.aimharder_twin_url else None


async def load() -> None:
    """Import what only these venues need, a little at a time."""
    import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401, PLC0415 - a cold start does without it

    import prebooking.database.sessions  # noqa: PLC0415 - as above

    await asyncio.sleep(0)
    import prebooking.bookers.aimharder.site  # noqa: PLC0415 - as above

    await asyncio.sleep(0)
    import prebooking.bookers.aimharder.booker  # noqa: F401, PLC0415 - as above


@asynccontextmanager
async def open_booker(invocation: Invocation, venue: Venue) -> AsyncIterator[Booker]:
    """Open a box, with a client of its own."""
    from prebooking.bookers.aimharder.booker import AimHarderBooker  # noqa: PLC0415 - see load
    from prebooking.bookers.aimharder.seal import Seal  # noqa: PLC0415 - as above
    from prebooking.database.sessions import SessionStore  # noqa: PLC0415 - as above

    settings, clock = invocation.settings, invocation.clock
    sessions = SessionStore(invocation.database, instance_id=invocation.instance_id, clock=clock)
    async with isolated_client(transport=invocation.to_venues or transport(settings)) as client:
        yield AimHarderBooker(client, venue=venue, seal=Seal.of(settings), sessions=sessions, clock=clock)


def host_problem(host: str | None) -> str | None:
    """Refuse what is no box of AimHarder's."""
    from prebooking.bookers.aimharder import site  # noqa: PLC0415 - as above

    return site.host_problem(host)
