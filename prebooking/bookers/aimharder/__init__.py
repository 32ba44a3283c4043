"""The adapter of AimHarder, whose boxes are booked with the member's own login; see ``bookers.adapter``."""

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
    """Return the transport to AimHarder's twin in the local stack; elsewhere None, which means the network."""
    return RewriteHostTransport(settings.aimharder_twin_url) if settings.aimharder_twin_url else None


async def load() -> None:
    """Import what only these venues need, with pauses for the event loop."""
    import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401, PLC0415 - not needed at a cold start

    import prebooking.database.sessions  # noqa: PLC0415 - as above

    await asyncio.sleep(0)
    import prebooking.bookers.aimharder.site  # noqa: PLC0415 - as above

    await asyncio.sleep(0)
    import prebooking.bookers.aimharder.booker  # noqa: F401, PLC0415 - as above


@asynccontextmanager
async def open_booker(invocation: Invocation, venue: Venue) -> AsyncIterator[Booker]:
    """Open a box with its own HTTP client."""
    from prebooking.bookers.aimharder.booker import AimHarderBooker  # noqa: PLC0415 - see load
    from prebooking.bookers.aimharder.seal import Seal  # noqa: PLC0415 - as above
    from prebooking.database.sessions import SessionStore  # noqa: PLC0415 - as above

    settings, clock = invocation.settings, invocation.clock
    sessions = SessionStore(invocation.database, instance_id=invocation.instance_id, clock=clock)
    async with isolated_client(transport=invocation.to_venues or transport(settings)) as client:
        yield AimHarderBooker(client, venue=venue, seal=Seal.of(settings), sessions=sessions, clock=clock)


def host_problem(host: str | None) -> str | None:
    """Return what is wrong with a box's host, or None."""
    from prebooking.bookers.aimharder import site  # noqa: PLC0415 - as above

    return site.host_problem(host)
