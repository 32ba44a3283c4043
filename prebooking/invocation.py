"""One invocation, wired: whoever triggers it, this is what runs. Nothing of it is shared with any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import httpx

from prebooking.bookers import Booker, OpenBooker
from prebooking.bookers.webhook import WebhookBooker
from prebooking.clock import Clock, Deadline
from prebooking.http import RewriteHostTransport, isolated_client
from prebooking.log import Log
from prebooking.model import Provider, Summary, Venue
from prebooking.scheduler import PrebookingScheduler
from prebooking.settings import AccountSettings, Settings
from prebooking.store import PrebookingStore
from prebooking.supabase import IsolatedSupabase, create_isolated_supabase


async def run_once(
    settings: Settings,
    *,
    instance_id: UUID,
    guard: Deadline,
    clock: Clock,
    log: Log,
    by_hand: bool = False,
    to_database: httpx.AsyncBaseTransport | None = None,
    to_venues: httpx.AsyncBaseTransport | None = None,
) -> Summary:
    """Book what is due, once, and answer what was done. The transports are the network's, if nobody brings others.

    A run ``by_hand`` does not count as a tick of the trigger.
    """
    async with (
        create_isolated_supabase(settings, instance_id, clock=clock, transport=to_database) as database,
        _bookers(settings, database, instance_id, clock, to_venues) as bookers,
    ):
        scheduler = PrebookingScheduler(
            store=PrebookingStore(database, instance_id=instance_id, clock=clock, by_hand=by_hand),
            bookers=bookers,
            settings=settings,
            guard=guard,
            clock=clock,
            log=log,
        )
        return await scheduler.run()


def to_aimharder(settings: AccountSettings) -> httpx.AsyncBaseTransport | None:
    """Return the way to AimHarder: the network, but on the local stack, which has a stand-in for it."""
    return RewriteHostTransport(settings.aimharder_twin_url) if settings.aimharder_twin_url else None


@asynccontextmanager
async def _bookers(
    settings: Settings,
    database: IsolatedSupabase,
    instance_id: UUID,
    clock: Clock,
    to_venues: httpx.AsyncBaseTransport | None,
) -> AsyncIterator[dict[str, OpenBooker]]:
    """Open the venue systems that this deployment can book, by their names in the database.

    What they need and is known already is begun here, and goes on while the claim is under way.
    """
    ours: dict[str, OpenBooker] = {}
    async with AsyncExitStack() as begun:
        if Provider.WEBHOOK in settings.providers:
            ours[Provider.WEBHOOK] = _webhook(settings, to_venues)
        if Provider.AIMHARDER in settings.providers:
            loading = asyncio.create_task(_load_aimharder())
            begun.push_async_callback(asyncio.wait, [loading])
            ours[Provider.AIMHARDER] = _aimharder(
                settings, loading=loading, database=database, instance_id=instance_id, clock=clock, to_venues=to_venues
            )
        yield ours


def _webhook(settings: Settings, to_venues: httpx.AsyncBaseTransport | None) -> OpenBooker:
    @asynccontextmanager
    async def webhook(_venue: Venue) -> AsyncIterator[Booker]:
        async with isolated_client(transport=to_venues) as client:
            yield WebhookBooker(client, url=settings.booking_webhook_url or "", secret=_secret(settings))

    return webhook


def _aimharder(
    settings: Settings,
    *,
    loading: asyncio.Task[None],
    database: IsolatedSupabase,
    instance_id: UUID,
    clock: Clock,
    to_venues: httpx.AsyncBaseTransport | None,
) -> OpenBooker:
    @asynccontextmanager
    async def aimharder(venue: Venue) -> AsyncIterator[Booker]:
        await loading
        from prebooking.bookers.aimharder import AimHarderBooker  # noqa: PLC0415 - see _load_aimharder
        from prebooking.sessions import Seal, SessionStore  # noqa: PLC0415 - as above

        sessions = SessionStore(database, instance_id=instance_id, clock=clock)
        async with isolated_client(transport=to_venues or to_aimharder(settings)) as client:
            yield AimHarderBooker(client, venue=venue, seal=Seal.of(settings), sessions=sessions, clock=clock)

    return aimharder


async def _load_aimharder() -> None:
    """Import what only AimHarder's venues need, in steps between which the claim goes on."""
    import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401, PLC0415 - as said above

    import prebooking.sessions  # noqa: PLC0415 - as said above

    await asyncio.sleep(0)
    import prebooking.bookers.aimharder_site  # noqa: PLC0415 - as said above

    await asyncio.sleep(0)
    import prebooking.bookers.aimharder  # noqa: F401, PLC0415 - as said above


def _secret(settings: Settings) -> str:
    return settings.booking_webhook_secret.get_secret_value() if settings.booking_webhook_secret else ""
