"""``prebooking add``: a class by its day and hour, with the instant its booking opens.

At AimHarder the class is found in the venue's timetable. For a webhook venue ``--data`` says which class it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any

import typer

from prebooking.cli.classes import opening, session_at, yours
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.dates import format_instant, parse_day, parse_time, timezone_of
from prebooking.cli.environment import environment
from prebooking.cli.lookup import find_venue
from prebooking.cli.offers import find_offer, refuse_closed
from prebooking.cli.options import Day, Member, VenueName, some_member
from prebooking.cli.requested import RequestedClass, ask, choose_opening, parse_data
from prebooking.cli.runner import run_command
from prebooking.cli.site import open_site, opened, timetable
from prebooking.cli.terminal import say
from prebooking.errors import BadInput, CommandFailed
from prebooking.opening import OpeningRule, instant
from prebooking.operator import SessionView, VenueView
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
Again = Annotated[bool, typer.Option("--again", help="Although it was booked before: the place was given back.")]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Although the member has a class at that hour, or the venue shows it as closed."),
]


@dataclass(frozen=True, slots=True)
class _Typed:
    """What was typed: for whom, and which class."""

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
    """Ask for a class: it is booked the moment its booking opens."""

    async def _read_and_add() -> None:
        who, clock = some_member(member), parse_time(hour)
        await _add(venue, opens, _Typed(who, day, clock, class_name, data, waiting_list, again, anyway))

    run_command(_read_and_add())


async def _add(name: str, opens: str | None, typed: _Typed) -> None:
    settings = AccountSettings.from_environment(environment())
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        now = database.clock.now()
        day = parse_day(typed.day, now=now, zone=timezone_of(venue))
        if can(venue.provider, Ability.TIMETABLE):
            asked = await _from_timetable(database, settings, venue, day, typed)
        else:
            asked = _from_data(venue, day, typed)
        opens_at = choose_opening(asked, venue, opens, now)
        short = await ask(database, venue, typed.who, asked, opens_at, again=typed.again, anyway=typed.anyway)
    say(f"Asked for {asked.name} at {venue.name}, {format_instant(asked.begins, venue.timezone)}, for {typed.who}.")
    ahead = f"opens {opening(opens_at, venue.timezone, now)}"
    say(f"Booking {ahead if opens_at > now else 'is open: the next run books it'}. Id {short}.")


def _from_data(venue: VenueView, day: date, typed: _Typed) -> RequestedClass:
    """Return the class that ``--data`` describes."""
    if typed.data is None:
        raise CommandFailed(
            f"{venue.name} is booked by your own endpoint, which has no timetable to ask: say which class it is with"
            ' --data \'{"class_id": "4711"}\'.'
        )
    if typed.insist:
        raise BadInput("--waiting-list is for AimHarder: leave it out, and write what your endpoint needs into --data.")
    data = parse_data(typed.data)
    if typed.class_name:
        data["class_name"] = typed.class_name
    zone, starts = timezone_of(venue), datetime.combine(day, typed.clock)
    rule = OpeningRule.parse(venue.opening_rule) if venue.opening_rule else None
    opens = rule.opening(starts, zone) if rule else None
    return RequestedClass(
        str(data.get("class_name") or f"class {data['class_id']}"), data, instant(starts, zone), opens
    )


async def _from_timetable(
    database: AdminDatabase, settings: AccountSettings, venue: VenueView, day: date, typed: _Typed
) -> RequestedClass:
    """Return the class that the venue's timetable has at that hour."""
    if typed.data is not None:
        raise BadInput("--data is for venues that your own endpoint books: leave it out.")
    known = await _login_of(database, venue, typed.who)
    async with open_site(settings, venue) as site:
        found = await timetable(site, venue, day, opened(settings, known))
    offer = find_offer(found.offers, day, typed.clock, typed.class_name)
    refuse_closed(offer, anyway=typed.anyway)
    if yours(offer) == "booked" and not typed.again and offer.begins > database.clock.now():
        raise CommandFailed(f"{typed.who} has a place in {offer.found.name} already.")
    data: dict[str, Any] = {
        "class_id": offer.found.class_id,
        "day": f"{offer.day:%Y%m%d}",
        "class_name": offer.found.name,
        "starts_at": offer.begins.isoformat(),
    }
    return RequestedClass(offer.found.name, data | ({"insist": 1} if typed.insist else {}), offer.begins, offer.opens)


async def _login_of(database: AdminDatabase, venue: VenueView, who: str) -> SessionView | None:
    known = await session_at(database, venue, who)
    if can(venue.provider, Ability.LOGINS) and (known is None or known.expired_at):
        raise CommandFailed(f'{who} has no login here that works: prebooking login "{venue.name}" --member {who}')
    return known
