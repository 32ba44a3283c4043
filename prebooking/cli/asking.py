"""``prebooking add``: a class by its day and hour, found at the venue, with the instant its booking opens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Annotated, Any
from uuid import uuid4

import typer

from prebooking.cli.choice import SHORT, by_name, the_venue
from prebooking.cli.classes import opening, session_at, yours
from prebooking.cli.desk import Desk, open_desk
from prebooking.cli.environment import environment
from prebooking.cli.options import Day, Member, VenueName, some_member
from prebooking.cli.perform import perform
from prebooking.cli.site import Offer, open_site, opened, timetable
from prebooking.cli.terminal import Impossible, say
from prebooking.cli.when import clock_of, read_day, read_instant, read_time, show_instant
from prebooking.errors import BadInput
from prebooking.foreign import read_id
from prebooking.operator import KnownSession, KnownVenue, WishVerdict
from prebooking.settings import AccountSettings
from prebooking.systems import Ability, can

Hour = Annotated[str, typer.Argument(metavar="HH:MM", help="When it begins.", show_default=False)]
ClassName = Annotated[
    str | None,
    typer.Option(
        "--class", metavar="NAME", help="Which, if several begin then: its name or number.", show_default=False
    ),
]
Opens = Annotated[
    str | None,
    typer.Option(
        "--opens",
        metavar="INSTANT",
        help='If you know better than the rule when booking opens: "2026-12-01 20:00".',
        show_default=False,
    ),
]
WaitingList = Annotated[bool, typer.Option("--waiting-list", help="Join the waiting list, if the class is full.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Although the venue shows the class as closed.")]
Again = Annotated[bool, typer.Option("--again", help="Although it was booked before: the place was given back.")]


def add(
    venue: VenueName,
    day: Day,
    hour: Hour,
    *,
    class_name: ClassName = None,
    member: Member = None,
    opens: Opens = None,
    waiting_list: WaitingList = False,
    again: Again = False,
    anyway: Anyway = False,
) -> None:
    """Ask for a class: it is booked the moment its booking opens."""
    perform(
        _add(
            venue,
            day,
            hour,
            class_name=class_name,
            member=member,
            opens=opens,
            insist=waiting_list,
            again=again,
            anyway=anyway,
        )
    )


async def _add(
    name: str,
    day_text: str,
    hour: str,
    *,
    class_name: str | None,
    member: str | None,
    opens: str | None,
    insist: bool,
    again: bool,
    anyway: bool,
) -> None:
    who, clock = some_member(member), read_time(hour)
    settings = AccountSettings.from_environment(environment())
    async with open_desk(settings) as desk:
        venue = the_venue(await desk.operator.venues(until=desk.soon()), name)
        now = desk.clock.now()
        day = read_day(day_text, now=now, zone=clock_of(venue))
        known = await _login_of(desk, venue, who)
        async with open_site(settings, venue) as site:
            found = await timetable(site, venue, day, opened(settings, known))
        offer = the_offer(found.offers, day, clock, class_name)
        _refuse_closed(offer, anyway=anyway)
        opens_at = _opening(offer, venue, opens, now)
        if yours(offer) == "booked" and not again:
            raise Impossible(f"{who} has a place in {offer.found.name} already.")
        verdict = await _ask(desk, venue, who, offer, opens_at, insist=insist, again=again)
    _refuse(verdict, offer, who)
    say(f"Asked for {offer.found.name} at {venue.name}, {show_instant(offer.begins, venue.timezone)}, for {who}.")
    ahead = f"opens {opening(opens_at, venue.timezone, now)}"
    say(f"Booking {ahead if opens_at > now else 'is open: the next run books it'}. Id {str(verdict.id)[:SHORT]}.")


async def _login_of(desk: Desk, venue: KnownVenue, who: str) -> KnownSession | None:
    known = await session_at(desk, venue, who)
    if can(venue.provider, Ability.LOGINS) and (known is None or known.expired_at):
        raise Impossible(f'{who} has no login here that works: prebooking login "{venue.name}" --member {who}')
    return known


def the_offer(found: Sequence[Offer], day: date, clock: time, name: str | None) -> Offer:
    """Return the class that is meant: by its name, a part of that, or its number.

    Raises:
        Impossible: it is none of those that begin then, or may be several; the message names them.

    """
    then = [offer for offer in found if offer.clock == clock]
    if not then:
        there = ", ".join(f"{offer.clock:%H:%M} {offer.found.name}" for offer in found) or "nothing"
        raise Impossible(f"No class begins at {clock:%H:%M} on {day:%a %d %b}: there is {there}.")
    left = _meant(then, name) if name else then
    if len(left) == 1:
        return left[0]
    if not left:
        raise Impossible(f'No class "{name}" begins at {clock:%H:%M} on {day:%a %d %b}: there is {_names(then)}.')
    raise Impossible(f"Several begin at {clock:%H:%M}: {_names(left)}. Say which with --class and its name or number.")


def _meant(then: Sequence[Offer], name: str) -> list[Offer]:
    names = by_name([offer.found.name for offer in then], name)
    numbered = [offer for offer in then if offer.found.class_id == read_id(name)]
    return numbered or [offer for offer in then if offer.found.name in names]


def _names(several: Sequence[Offer]) -> str:
    return ", ".join(f"{offer.found.name} ({offer.found.class_id})" for offer in several)


def _refuse_closed(offer: Offer, *, anyway: bool) -> None:
    if offer.found.cancelled:
        raise Impossible(f"{offer.found.name} is cancelled at the venue.")
    if offer.found.closed and not anyway:
        raise Impossible(f"{offer.found.name} is closed for bookings at the venue: say --anyway if it will be opened.")


def _opening(offer: Offer, venue: KnownVenue, given: str | None, now: datetime) -> datetime:
    """Return when booking opens: as the member says, or else by the venue's rule."""
    if offer.begins <= now:
        raise BadInput(f"{offer.found.name} has begun: {show_instant(offer.begins, venue.timezone)} is over.")
    opens = read_instant(given, clock_of(venue)) if given else offer.opens
    if opens is None:
        raise BadInput(f'{venue.name} has no rule when booking opens: say --opens "2026-12-01 20:00".')
    if opens >= offer.begins:
        raise BadInput("Booking cannot open when the class has begun already: look at --opens.")
    return opens


async def _ask(
    desk: Desk,
    venue: KnownVenue,
    who: str,
    offer: Offer,
    opens_at: datetime,
    *,
    insist: bool,
    again: bool,
) -> WishVerdict:
    data: dict[str, Any] = {
        "class_id": offer.found.class_id,
        "day": f"{offer.day:%Y%m%d}",
        "class_name": offer.found.name,
        "starts_at": offer.begins.isoformat(),
    }
    return await desk.operator.add_prebooking(
        uuid4(),
        venue_id=venue.id,
        user_email=who,
        booking_data=data | ({"insist": 1} if insist else {}),
        available_at=opens_at,
        expires_at=offer.begins,
        again=again,
        anyway=True,
        until=desk.soon(),
    )


def _refuse(verdict: WishVerdict, offer: Offer, who: str) -> None:
    short = str(verdict.id)[:SHORT]
    reasons = {
        "waiting": f"{who} waits for this class already ({short}): cancel it first to ask in another way.",
        "booked": f"This class is booked for {who} already ({short}): say --again if the place was given back.",
        "begun": f"{offer.found.name} has begun, by the database's clock.",
        "no_venue": "The venue is gone.",
    }
    if verdict.verdict != "added":
        raise Impossible(reasons[verdict.verdict])
