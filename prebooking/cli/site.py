"""A venue's website for a command: its timetable and the member's session. No request is repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from prebooking.bookers.adapter import adapter
from prebooking.bookers.aimharder.classes import GymClass
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import AimHarderSite, Session
from prebooking.cli.dates import timezone_of
from prebooking.database.operator import SessionView, VenueView
from prebooking.errors import CommandFailed
from prebooking.http import isolated_client
from prebooking.model import Kind, Outcome, Venue
from prebooking.opening import OpeningRule, instant
from prebooking.settings import AccountSettings
from prebooking.systems import Ability, can

TIMEOUT = 15.0  # seconds: under load AimHarder's pages take up to 13


@dataclass(frozen=True, slots=True)
class Offer:
    """One class of a day; ``opens`` is None if the venue has no opening rule."""

    found: GymClass
    day: date
    clock: time
    begins: datetime
    opens: datetime | None


@asynccontextmanager
async def open_site(settings: AccountSettings, venue: Venue) -> AsyncIterator[AimHarderSite]:
    """Open a client for a venue's website. Raises CommandFailed if the venue has no readable one."""
    if not can(venue.provider, Ability.TIMETABLE):
        raise CommandFailed(
            f"{venue.name} is booked by your own endpoint, which has no timetable to ask: use `prebooking add --data`."
        )
    async with isolated_client(connect_timeout=5, transport=adapter(venue.provider).transport(settings)) as client:
        site = AimHarderSite(client, host=venue.host, box_id=venue.provider_box_id)
        if site.problem:
            raise CommandFailed(site.problem)
        yield site


def open_session(settings: AccountSettings, stored: SessionView | None) -> Session | None:
    """Decrypt a stored session, expired or not; None without a session or without a key. Raises SealBroken."""
    if stored is None or not settings.session_encryption_key:
        return None
    text = Seal.of(settings).open(stored.session.sealed, venue_id=stored.venue.id, member=stored.user_email)
    return Session.from_json(text)


@dataclass(frozen=True, slots=True)
class Timetable:
    """A day's classes ordered by time, and those whose time or number cannot be read."""

    offers: Sequence[Offer]
    unread: Sequence[GymClass]


async def read_timetable(site: AimHarderSite, venue: VenueView, day: date, session: Session | None) -> Timetable:
    """Return a day's classes. Raises CommandFailed if the venue's list cannot be read."""
    if venue.provider_box_id is None:
        raise CommandFailed(f'The box of {venue.name} is not known yet: prebooking login "{venue.name}" finds it.')
    found = await site.classes(session, day, timeout=TIMEOUT)
    if isinstance(found, Outcome):
        raise CommandFailed(_explain_failure(venue, found))
    zone = timezone_of(venue)
    rule = OpeningRule.parse(venue.opening_rule) if venue.opening_rule else None
    offers = [_offer(one, day, one.starts, zone, rule) for one in found if one.starts and one.class_id.isdecimal()]
    unread = [one for one in found if one.starts is None or not one.class_id.isdecimal()]
    return Timetable(sorted(offers, key=lambda offer: (offer.clock, offer.found.name)), unread)


def _offer(found: GymClass, day: date, clock: time, zone: ZoneInfo, rule: OpeningRule | None) -> Offer:
    starts = datetime.combine(day, clock)
    return Offer(found, day, clock, instant(starts, zone), rule.opening(starts, zone) if rule else None)


def _explain_failure(venue: Venue, outcome: Outcome) -> str:
    if outcome.kind is Kind.BLOCKED:
        return (
            f"AimHarder blocks this address ({outcome.detail}): wait some minutes, or ask from a European connection."
        )
    if outcome.kind is Kind.SESSION_EXPIRED:
        return f'AimHarder asks for a new login: prebooking login "{venue.name}".'
    return f"The timetable of {venue.name} cannot be read ({outcome.detail}): try again in a minute."
