"""Gathers the doctor's observations from the environment, the database and the venues, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from prebooking.bookers.adapter import adapter
from prebooking.bookers.call import HEADERS, Reply, ask
from prebooking.channels.settings import NotificationSettings
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.doctor.observations import ClockOffset, EndpointVisit, Observations, SessionVisit, Visit
from prebooking.cli.doctor.setup import FUNCTIONS
from prebooking.cli.doctor.venues import NO_PREBOOKING
from prebooking.cli.runner import sentences
from prebooking.cli.site import open_session, open_site
from prebooking.clock import Clock, Reading
from prebooking.database.operator import SessionView, VenueView
from prebooking.errors import CommandFailed, SealBroken, SettingsError, StoreError
from prebooking.http import isolated_client
from prebooking.model import Kind, Outcome
from prebooking.settings import AccountSettings, Settings, WatchSettings
from prebooking.systems import SYSTEMS

T = TypeVar("T")

TIMEOUT = 10.0  # seconds for one answer of a venue
SOON = timedelta(hours=24)  # logins are kept alive for prebookings that open within this time
_DATE_GRAIN = 1.0  # seconds: the resolution of a Date header


async def gather(environment: Mapping[str, str]) -> Observations:
    """Return all observations that can be made with these settings."""
    found = Observations(environment)
    for kind in (Settings, NotificationSettings, WatchSettings):
        try:
            kind.from_environment(environment)
        except SettingsError as exc:
            found.problems = exc.problems | found.problems
    try:
        found.settings = AccountSettings.from_environment(environment)
    except SettingsError:
        return found
    async with open_database(found.settings) as database:
        await _gather_from_database(found, database)
        for venue in found.venues or []:
            system = SYSTEMS.get(venue.provider)
            if venue.enabled and system and system.page:
                page = system.page.format(host=venue.host)
                found.visits.append(await _visit_page(venue, page, found.settings, database.clock))
        found.endpoint = await _visit_endpoint(found, database.clock)
        await _gather_sessions(found, database, found.settings)
    return found


async def _gather_from_database(found: Observations, database: AdminDatabase) -> None:
    asked = Reading.of(database.clock)
    found.caller = await _or_error(found, database.operator.access(FUNCTIONS, until=database.deadline()))
    if found.caller is None:
        return
    found.clock = ClockOffset.of("the database's clock", found.caller.now, asked, database.clock, grain=0)
    found.health = await _or_error(found, database.operator.health(until=database.deadline()))
    found.bell = await _or_error(found, database.bell.state(until=database.deadline()))
    found.venues = await _or_error(found, database.operator.venues(until=database.deadline()))


async def _or_error(found: Observations, answer: Awaitable[T]) -> T | None:
    """Return the database's answer; on a StoreError record its message and return None."""
    try:
        return await answer
    except StoreError as exc:
        found.database_errors += sentences(exc)
        return None


async def _visit_page(venue: VenueView, page: str, settings: AccountSettings, clock: Clock) -> Visit:
    transport = adapter(venue.provider).transport(settings)
    async with isolated_client(connect_timeout=5, transport=transport) as client:
        return await _visit(venue.name, client, client.build_request("GET", page), clock)


async def _visit_endpoint(found: Observations, clock: Clock) -> EndpointVisit | None:
    """Query the endpoint about a prebooking that does not exist, as the scheduler queries one in doubt."""
    venues = [venue for venue in found.venues or [] if venue.enabled and venue.provider == "webhook"]
    variables = SYSTEMS["webhook"].variables
    url, secret = (found.environment.get(name, "").strip() for name in variables)
    if not venues or not url or set(variables) & found.problems.keys():
        return None
    headers = {"Authorization": f"Bearer {secret}"}
    async with isolated_client(connect_timeout=5) as client:
        address = httpx.URL(url).copy_merge_params({"prebooking_id": str(NO_PREBOOKING)})
        visit = await _visit("the endpoint", client, client.build_request("GET", address, headers=headers), clock)
        options = await ask(client, client.build_request("OPTIONS", url, headers=headers), timeout=TIMEOUT)
    needed = not all(venue.idempotent for venue in venues)
    return EndpointVisit(visit, takes_posts=_takes_posts(options), question_needed=needed)


def _takes_posts(options: Reply | None) -> bool:
    """Return whether the URL accepts POST. Express answers 404 to a GET there, and 200 to OPTIONS."""
    if options is None:
        return False
    exists = httpx.codes.is_success(options.status) or options.status == httpx.codes.METHOD_NOT_ALLOWED
    return exists or "POST" in options.headers.get("allow", "").upper()


async def _visit(name: str, client: httpx.AsyncClient, request: httpx.Request, clock: Clock) -> Visit:
    request.headers.update(HEADERS)
    asked = Reading.of(clock)
    reply = await ask(client, request, timeout=TIMEOUT)
    at = _parse_date(reply)
    offset = ClockOffset.of(f"{name}'s clock", at, asked, clock, grain=_DATE_GRAIN) if at else None
    return Visit(name, reply, offset)


def _parse_date(reply: Reply | None) -> datetime | None:
    try:
        return parsedate_to_datetime(reply.headers.get("date", "")).astimezone(UTC) if reply else None
    except ValueError:
        return None


async def _gather_sessions(found: Observations, database: AdminDatabase, settings: AccountSettings) -> None:
    """Check the logins that are needed within a day."""
    if found.caller is None:
        return
    stored = await _or_error(found, database.operator.sessions(None, until=database.deadline()))
    if stored is None:
        return
    until = found.caller.now + SOON
    found.unreadable_sessions = stored.unreadable
    needed = [known for known in stored if known.next_opening and known.next_opening <= until]
    found.sessions = [await _visit_session(known, settings) for known in needed]


async def _visit_session(known: SessionView, settings: AccountSettings) -> SessionVisit:
    try:
        session = open_session(settings, known)
    except SealBroken:
        session = None
    if session is None or known.expired_at:
        return SessionVisit(known, opens=session is not None)
    try:
        async with open_site(settings, known.venue) as site:
            return SessionVisit(known, opens=True, answer=await site.whoami(session, timeout=TIMEOUT))
    except CommandFailed as exc:
        return SessionVisit(known, opens=True, answer=Outcome(Kind.UNKNOWN, detail=str(exc)))
