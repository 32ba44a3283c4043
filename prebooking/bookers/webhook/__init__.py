"""The venue system "webhook": bookings at the operator's own HTTPS endpoint. Implements ``bookers.adapter.Adapter``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prebooking.bookers import Booker
from prebooking.bookers.adapter import Invocation
from prebooking.bookers.webhook.booker import WebhookBooker
from prebooking.http import isolated_client
from prebooking.model import Venue
from prebooking.settings import AccountSettings


def transport(settings: AccountSettings) -> None:
    """Return None: use the network."""


async def load() -> None:
    """Do nothing: the booker is small, so it is imported with this module."""


@asynccontextmanager
async def open_booker(invocation: Invocation, venue: Venue) -> AsyncIterator[Booker]:  # noqa: ARG001 - see Adapter
    """Open a booker for the operator's endpoint, which is the same for every venue."""
    settings = invocation.settings
    secret = settings.booking_webhook_secret.get_secret_value() if settings.booking_webhook_secret else ""
    async with isolated_client(transport=invocation.to_venues) as client:
        yield WebhookBooker(client, url=settings.booking_webhook_url or "", secret=secret)


def host_problem(host: str | None) -> str | None:
    """Return an error message if a host is given, because all webhook venues use one address."""
    return "A webhook venue has no host: it is booked at BOOKING_WEBHOOK_URL." if host else None
