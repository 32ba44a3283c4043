"""``prebooking add``: prebook a class by its day and time.

At an AimHarder venue the class comes from the timetable, at a webhook venue from ``--data``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any

import typer

from prebooking.cli.classes import find_session, format_opening, member_place
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.dates import format_instant, parse_day, parse_time, timezone_of
from prebooking.cli.environment import environment
from prebooking.cli.lookup import find_venue
from prebooking.cli.offers import find_offer, refuse_closed
from prebooking.cli.options import Day, Member, VenueName, require_member
from prebooking.cli.requested import RequestedClass, add_prebooking, choose_opening, parse_data
from prebooking.cli.runner import run_command
from prebooking.cli.site import open_session, open_site, read_timetable
from prebooking.cli.terminal import say
from prebooking.database.operator import SessionView, VenueView
from prebooking.errors import BadInput, CommandFailed
from prebooking.opening import OpeningRule, instant
from prebooking.settings import AccountSettings
from prebooking.systems import Ability, can

Hour = Annotated[str, typer.Argument(metavar="HH:MM", help="The time at which it begins.", show_default=False)]
ClassName = Annotated[
    str | None,
    typer.Option(
        "--class", metavar="NAME", help="Its name or number, if several classes begin then.", show_default=False
    ),
]
Opens = Annotated[
    str | None,
    typer.Option(
        "--opens",
        metavar="INSTANT",
        help='When booking opens, instead of by the rule: "2026-12-01 20:00".',
        show_default=False,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="JSON",
        help='For a webhook venue: what your endpoint needs to know, like \'{"class_id": "4711"}\'.',
        show_default=False,
    ),
]
WaitingList = Annotated[bool, typer.Option("--waiting-list", help="Join the waiting list, if the class is full.")]
Again = Annotated[bool, typer.Option("--again", help="Book a class again after its place was cancelled at the venue.")]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Also if the member has a class at that hour, or the venue shows it as closed."),
]


@dataclass(frozen=True, slots=True)
class _Options:
    """The parsed options of ``prebooking add``."""

    who: str
    day: str
    clock: time
    class_name: str | None
    data: str | None
    insist: bool
    again: bool
    anyway: bool


def add(
    venue: VenueName,
    day: Day,
    hour: Hour,
    *,
    class_name: ClassName = None,
    member: Member = None,
    opens: Opens = None,
    data: Data = None,
    waiting_list: WaitingList = False,
    again: Again = False,
    anyway: Anyway = False,
) -> None:
    """Prebook a class: it is booked the moment its booking opens."""

    async def parse_and_add() -> None:
        who, clock = require_member(member), parse_time(hour)
        await _add(venue, opens, _Options(who, day, clock, class_name, data, waiting_list, again, anyway))

    run_command(parse_and_add())


async def _add(name: str, opens: str | None, options: _Options) -> None:
    settings = AccountSettings.from_environment(environment())
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        now = database.clock.now()
        day = parse_day(options.day, now=now, zone=timezone_of(venue))
        if can(venue.provider, Ability.TIMETABLE):
            requested = await _from_timetable(database, settings, venue, day, options)
        else:
            requested = _from_data(venue, day, options)
        opens_at = choose_opening(requested, venue, opens, now)
        short = await add_prebooking(
            database, venue, options.who, requested, opens_at, again=options.again, anyway=options.anyway
        )
    begins = format_instant(requested.begins, venue.timezone)
    say(f"Asked for {requested.name} at {venue.name}, {begins}, for {options.who}.")
    ahead = f"opens {format_opening(opens_at, venue.timezone, now)}"
    say(f"Booking {ahead if opens_at > now else 'is open: the next run books it'}. Id {short}.")


def _from_data(venue: VenueView, day: date, options: _Options) -> RequestedClass:
    """Return the class that ``--data`` describes. Raises BadInput or CommandFailed."""
    if options.data is None:
        raise CommandFailed(
            f"{venue.name} is booked by your own endpoint, which has no timetable to ask: say which class it is with"
            ' --data \'{"class_id": "4711"}\'.'
        )
    if options.insist:
        raise BadInput("--waiting-list is for AimHarder: leave it out, and write what your endpoint needs into --data.")
    data = parse_data(options.data)
    if options.class_name:
        data["class_name"] = options.class_name
    zone, starts = timezone_of(venue), datetime.combine(day, options.clock)
    rule = OpeningRule.parse(venue.opening_rule) if venue.opening_rule else None
    opens = rule.opening(starts, zone) if rule else None
    return RequestedClass(
        str(data.get("class_name") or f"class {data['class_id']}"), data, instant(starts, zone), opens
    )


async def _from_timetable(
    database: AdminDatabase, settings: AccountSettings, venue: VenueView, day: date, options: _Options
) -> RequestedClass:
    """Return the class at this time in the venue's timetable. Raises BadInput or CommandFailed."""
    if options.data is not None:
        raise BadInput("--data is for venues that your own endpoint books: leave it out.")
    session = await _find_login(database, venue, options.who)
    async with open_site(settings, venue) as site:
        timetable = await read_timetable(site, venue, day, open_session(settings, session))
    offer = find_offer(timetable.offers, day, options.clock, options.class_name)
    refuse_closed(offer, anyway=options.anyway)
    if member_place(offer) == "booked" and not options.again and offer.begins > database.clock.now():
        raise CommandFailed(f"{options.who} has a place in {offer.found.name} already.")
    data: dict[str, Any] = {
        "class_id": offer.found.class_id,
        "day": f"{offer.day:%Y%m%d}",
        "class_name": offer.found.name,
        "starts_at": offer.begins.isoformat(),
    }
    return RequestedClass(offer.found.name, data | ({"insist": 1} if options.insist else {}), offer.begins, offer.opens)


async def _find_login(database: AdminDatabase, venue: VenueView, who: str) -> SessionView | None:
    session = await find_session(database, venue, who)
    if can(venue.provider, Ability.LOGINS) and (session is None or session.expired_at):
        raise CommandFailed(f'{who} has no login here that works: prebooking login "{venue.name}" --member {who}')
    return session
