"""What the doctor looks at at the venues: are they there, do their clocks agree, do they know the members."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from prebooking.bookers.call import HEADERS, Reply, ask
from prebooking.cli.checks import Check, look_at_clock
from prebooking.cli.site import open_site, opened
from prebooking.cli.when import NO_ZONE, known_zone
from prebooking.clock import Clock, Reading
from prebooking.errors import SealBroken
from prebooking.http import isolated_client
from prebooking.invocation import to_aimharder
from prebooking.model import Kind, Provider
from prebooking.operator import KnownSession, KnownVenue
from prebooking.settings import AccountSettings

PATIENCE = 10.0  # seconds for one answer
SOON = timedelta(hours=24)  # logins are kept alive for prebookings that open within that
SECOND = timedelta(seconds=1)  # how coarse a Date header is

_BLOCKED = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)


async def look_at_venues(
    venues: Iterable[KnownVenue], settings: AccountSettings, endpoint: str | None, clock: Clock
) -> AsyncIterator[Check]:
    """Visit each venue once, and say whether its time zone is known, whether it answers and what time it has."""
    for venue in venues:
        if not known_zone(venue.timezone):
            yield Check("venue", ok=False, said=f"{venue.name} {NO_ZONE}")
        url = f"https://{venue.host}/" if venue.provider == Provider.AIMHARDER else endpoint
        if not venue.enabled:
            yield Check("venue", ok=True, said=f"{venue.name} is paused: not looked at")
        elif not url:
            yield Check("venue", ok=False, said=f"{venue.name} is booked at BOOKING_WEBHOOK_URL, which is not set")
        else:
            async for check in _visit(venue, url, settings, clock):
                yield check


async def _visit(venue: KnownVenue, url: str, settings: AccountSettings, clock: Clock) -> AsyncIterator[Check]:
    theirs = venue.provider == Provider.AIMHARDER
    asked = Reading.of(clock)
    async with isolated_client(connect_timeout=5, transport=to_aimharder(settings) if theirs else None) as client:
        request = client.build_request("GET" if theirs else "HEAD", url, headers=HEADERS)
        reply = await ask(client, request, timeout=PATIENCE)
    if reply is None:
        yield Check("venue", ok=False, said=f"{venue.name} does not answer from here: look at its host and the network")
    elif reply.status in _BLOCKED:
        cure = "wait, or ask from a European connection"
        yield Check("venue", ok=False, said=f"{venue.name} blocks this address (HTTP {reply.status}): {cure}")
    else:
        yield Check("venue", ok=True, said=f"{venue.name} answers from here (HTTP {reply.status})")
        if at := _date(reply):
            yield look_at_clock(f"clock of {venue.name}", at, asked, clock, grain=SECOND)


async def look_at_sessions(
    sessions: Iterable[KnownSession], settings: AccountSettings, now: datetime
) -> AsyncIterator[Check]:
    """Ask about the logins that are needed within a day; others may rest, and are renewed when their day comes."""
    needed = [one for one in sessions if one.next_opening and one.next_opening <= now + SOON]
    for known in needed:
        cure = f'prebooking login "{known.venue.name}" --member {known.user_email}'
        problem = await _problem(known, settings)
        whose = f"{known.user_email} at {known.venue.name}"
        said = f"{whose}: {problem}: {cure}" if problem else f"{whose} is logged in"
        yield Check("session", ok=not problem, said=said)
    if not needed:
        yield Check("session", ok=True, said="no prebooking that opens within a day needs one")


async def _problem(known: KnownSession, settings: AccountSettings) -> str | None:
    if known.expired_at:
        return "the venue asks for a new login"
    try:
        session = opened(settings, known)
    except SealBroken:
        return "no key here opens the login"
    if session is None:
        return "SESSION_ENCRYPTION_KEY is missing"
    async with open_site(settings, known.venue) as site:
        no = await site.whoami(session, timeout=PATIENCE)
    if no is None:
        return None
    return "the venue does not know the login" if no.kind is Kind.SESSION_EXPIRED else f"cannot tell ({no.detail})"


def _date(reply: Reply) -> datetime | None:
    try:
        return parsedate_to_datetime(reply.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return None
