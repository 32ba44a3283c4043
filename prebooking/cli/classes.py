"""``prebooking classes``: the classes of a day, and when their booking opens."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from prebooking.bookers.aimharder.classes import GymClass
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.dates import parse_day, timezone_of
from prebooking.cli.environment import environment
from prebooking.cli.lookup import find_venue
from prebooking.cli.options import AsJson, Day, Member, VenueName, optional_member
from prebooking.cli.runner import run_command
from prebooking.cli.site import Offer, open_session, open_site, read_timetable
from prebooking.cli.terminal import say, show_json, show_table
from prebooking.database.operator import SessionView, VenueView
from prebooking.local_time import format_duration, format_instant
from prebooking.model import Kind
from prebooking.settings import AccountSettings

_YOURS = {Kind.BOOKED: "booked", Kind.WAITLISTED: "waiting list"}


def classes(venue: VenueName, day: Day, *, member: Member = None, as_json: AsJson = False) -> None:
    """Show a day's classes, their places, and when booking opens."""
    run_command(_classes(venue, day, member=member, as_json=as_json))


async def _classes(name: str, day: str, *, member: str | None, as_json: bool) -> None:
    settings = AccountSettings.from_environment(environment())
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        now = database.clock.now()
        wanted = parse_day(day, now=now, zone=timezone_of(venue))
        who = optional_member(member)
        session = open_session(settings, await find_session(database, venue, who))
        waiting = await _prebooked_classes(database, venue, who)
        async with open_site(settings, venue) as site:
            timetable = await read_timetable(site, venue, wanted, session)
    if as_json:
        show_json(
            [_as_json(offer, now, waiting) for offer in timetable.offers]
            + [_unreadable_as_json(one) for one in timetable.unread]
        )
        return
    if timetable.offers:
        say(f"{venue.name}, {wanted:%A %d %B %Y} ({venue.timezone})")
        _show(timetable.offers, venue, now, waiting)
    elif not timetable.unread:
        say(f"{venue.name} has no classes on {wanted:%A %d %B %Y}.")
    for one in timetable.unread:
        what = "time" if one.starts is None else "number"
        say(f'Its {what} cannot be read: "{one.name}" at "{one.hours}", number "{one.class_id}".')


async def find_session(database: AdminDatabase, venue: VenueView, member: str | None) -> SessionView | None:
    """Return a member's login at a venue, or None."""
    sessions = await database.operator.sessions(member, until=database.deadline()) if member else []
    return next((session for session in sessions if session.venue.id == venue.id), None)


async def _prebooked_classes(database: AdminDatabase, venue: VenueView, member: str | None) -> AbstractSet[str]:
    """Return the numbers of the classes that a member has prebooked at a venue."""
    if member is None:
        return frozenset()
    prebookings = await database.operator.prebookings(member, settled_days=0, limit=1000, until=database.deadline())
    return {
        row.class_id.strip()
        for row in prebookings
        if row.status == "pending" and row.venue == venue.name and row.class_id
    }


def member_place(offer: Offer) -> str:
    """Return the member's place in a class: "booked", "waiting list" or nothing."""
    return _YOURS.get(offer.found.place, "")


def places(offer: Offer) -> str:
    """Return the taken and the total places, like "7/10"."""
    taken, of = offer.found.taken, offer.found.places
    return f"{'?' if taken is None else taken}/{'?' if of is None else of}"


def format_opening(opens: datetime | None, zone: str, now: datetime) -> str:
    """Return when booking opens, in the gym's local time, and how long that is from now."""
    if opens is None:
        return "no rule"
    return "is open" if opens <= now else f"{format_instant(opens, zone)} (in {format_duration(opens - now)})"


def _when(offer: Offer, venue: VenueView, now: datetime) -> str:
    if offer.found.cancelled or offer.found.closed:
        return "cancelled" if offer.found.cancelled else "closed"
    return "has begun" if offer.begins <= now else format_opening(offer.opens, venue.timezone, now)


def _show(found: Sequence[Offer], venue: VenueView, now: datetime, waiting: AbstractSet[str]) -> None:
    cells = {
        "Time": [f"{offer.clock:%H:%M}" for offer in found],
        "Class": [offer.found.name for offer in found],
        "Places": [places(offer) for offer in found],
        "Booking opens": [_when(offer, venue, now) for offer in found],
        "You": [member_place(offer) or ("asked for" if offer.found.class_id in waiting else "") for offer in found],
    }
    if not any(cells["You"]):
        del cells["You"]
    show_table(
        list(cells), zip(*cells.values(), strict=True), right=["Places"], shrink={"Class": 12, "Booking opens": 16}
    )


def _as_json(offer: Offer, now: datetime, waiting: AbstractSet[str]) -> dict[str, Any]:
    return {
        "class_id": offer.found.class_id,
        "name": offer.found.name,
        "starts_at": offer.begins.isoformat(),
        "opens_at": offer.opens.isoformat() if offer.opens else None,
        "is_open": bool(offer.opens and offer.opens <= now < offer.begins and not offer.found.is_unavailable),
        "closed": offer.found.closed,
        "cancelled": offer.found.cancelled,
        "taken": offer.found.taken,
        "places": offer.found.places,
        "yours": member_place(offer) or None,
        "asked_for": offer.found.class_id in waiting,
    }


def _unreadable_as_json(one: GymClass) -> dict[str, Any]:
    return {"class_id": one.class_id, "name": one.name, "starts_at": None, "time_as_written": one.hours}
