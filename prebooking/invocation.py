"""One invocation, wired: whoever triggers it, this is what runs. Nothing of it is shared with any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

from prebooking.bookers import Booker, OpenBooker
from prebooking.bookers.aimharder import AimHarderBooker
from prebooking.bookers.webhook import WebhookBooker
from prebooking.clock import Clock, Deadline
from prebooking.http import CarriedTo, isolated_client
from prebooking.log import Log
from prebooking.model import Summary, Venue
from prebooking.scheduler import PrebookingScheduler
from prebooking.sessions import Seal, SessionStore
from prebooking.settings import AccountSettings, Settings
from prebooking.store import PrebookingStore
from prebooking.supabase import create_isolated_supabase


async def run_once(
    settings: Settings,
    *,
    instance_id: UUID,
    guard: Deadline,
    clock: Clock,
    log: Log,
    to_database: httpx.AsyncBaseTransport | None = None,
    to_venues: httpx.AsyncBaseTransport | None = None,
) -> Summary:
    """Book what is due, once, and answer what was done. The transports are the network's, if nobody brings others."""
    async with create_isolated_supabase(settings, instance_id, clock=clock, transport=to_database) as database:
        sessions = SessionStore(database, instance_id=instance_id, clock=clock)
        scheduler = PrebookingScheduler(
            store=PrebookingStore(database, instance_id=instance_id, clock=clock),
            bookers=_bookers(settings, sessions, clock, to_venues),
            settings=settings,
            guard=guard,
            clock=clock,
            log=log,
        )
        return await scheduler.run()


def to_aimharder(settings: AccountSettings) -> httpx.AsyncBaseTransport | None:
    """Return the way to AimHarder: the network, but on the local stack, which has a stand-in for it."""
    return CarriedTo(settings.aimharder_twin_url) if settings.aimharder_twin_url else None


def _bookers(
    settings: Settings, sessions: SessionStore, clock: Clock, to_venues: httpx.AsyncBaseTransport | None
) -> dict[str, OpenBooker]:
    """Return the venue systems that this deployment can book, by their names in the database."""

    @asynccontextmanager
    async def webhook(_venue: Venue) -> AsyncIterator[Booker]:
        async with isolated_client(transport=to_venues) as client:
            yield WebhookBooker(client, url=settings.booking_webhook_url or "", secret=_secret(settings))

    @asynccontextmanager
    async def aimharder(venue: Venue) -> AsyncIterator[Booker]:
        async with isolated_client(transport=to_venues or to_aimharder(settings)) as client:
            yield AimHarderBooker(client, venue=venue, seal=Seal.of(settings), sessions=sessions, clock=clock)

    ours = {
        "webhook": (webhook, settings.booking_webhook_url),
        "aimharder": (aimharder, settings.session_encryption_key),
    }
    return {name: opens for name, (opens, is_set_up) in ours.items() if is_set_up}


def _secret(settings: Settings) -> str:
    return settings.booking_webhook_secret.get_secret_value() if settings.booking_webhook_secret else ""
