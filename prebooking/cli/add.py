"""``prebooking add``: prebook a class by its day and time, and up to three others in case it is refused.

At an AimHarder venue the classes come from the timetable, at a webhook venue from ``--data``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from prebooking.cli.choices import Choice, ordinal, parse_choices, refuse_useless
from prebooking.cli.classes import find_session, format_opening, member_place
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.dates import parse_day, parse_instant, parse_time, timezone_of
from prebooking.cli.environment import environment
from prebooking.cli.lookup import find_venue
from prebooking.cli.offers import find_offer, refuse_closed
from prebooking.cli.options import Day, Member, VenueName, require_member
from prebooking.cli.requested import RequestedClass, add_prebookings, choose_opening, parse_data
from prebooking.cli.runner import run_command
from prebooking.cli.site import Offer, open_session, open_site, read_timetable
from prebooking.cli.terminal import say
from prebooking.database.operator import SessionView, VenueView
from prebooking.errors import BadInput, CommandFailed
from prebooking.local_time import format_instant
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
Else = Annotated[
    list[str] | None,
    typer.Option(
        "--else",
        metavar="[DAY] HH:MM [CLASS]",
        help='The next choice, if this class is full or gone, like "19:30" or "wed 07:00". At most three times.',
        show_default=False,
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="JSON",
        help='For a webhook venue: what your endpoint needs to know, like \'{"class_id": "4711"}\'. With --else: once'
        " per choice, in their order.",
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
    later: Sequence[str]
    opens: str | None
    data: Sequence[str]
    insist: bool
    again: bool
    anyway: bool


def add(
    venue: VenueName,
    day: Day,
    hour: Hour,
    *,
    class_name: ClassName = None,
    later: Else = None,
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
        more = (later or [], opens, data or [], waiting_list, again, anyway)
        await _add(venue, _Options(who, day, clock, class_name, *more))

    run_command(parse_and_add())


async def _add(name: str, options: _Options) -> None:
    settings = AccountSettings.from_environment(environment())
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        now, zone = database.clock.now(), timezone_of(venue)
        first = Choice(parse_day(options.day, now=now, zone=zone), options.clock, options.class_name)
        choices = parse_choices(first, options.later, now=now, zone=zone)
        _refuse_opens(venue, options, zone)
        if can(venue.provider, Ability.TIMETABLE):
            requested = await _from_timetable(database, settings, venue, choices, options)
        else:
            requested = _from_data(venue, choices, options)
        opens = [choose_opening(each, venue, options.opens, now) for each in requested]
        refuse_useless(requested, opens, venue)
        ids = await add_prebookings(
            database, venue, options.who, requested, opens, again=options.again, anyway=options.anyway
        )
    _report(venue, options.who, requested, opens, ids, now)


def _report(  # noqa: PLR0917 - what was added
    venue: VenueView,
    who: str,
    choices: Sequence[RequestedClass],
    opens: Sequence[datetime],
    ids: Sequence[str],
    now: datetime,
) -> None:
    begins = [format_instant(choice.begins, venue.timezone) for choice in choices]
    ahead = [f"opens {format_opening(each, venue.timezone, now)}" if each > now else "is open" for each in opens]
    say(f"Asked for {choices[0].name} at {venue.name}, {begins[0]}, for {who}.")
    say(f"Booking {ahead[0]}{'' if opens[0] > now else ': the next run books it'}. Id {ids[0]}.")
    for number, choice in enumerate(choices[1:], 1):
        say(f"{ordinal(number + 1)}: {choice.name}, {begins[number]}. Booking {ahead[number]}. Id {ids[number]}.")
    if len(choices) > 1:
        say("A later choice is called only if the venue refuses the one before because that class is full or gone.")


def _refuse_opens(venue: VenueView, options: _Options, zone: ZoneInfo) -> None:
    """Raise BadInput if ``--opens`` is unreadable or given with ``--else``, or if ``--else`` has no opening rule."""
    if options.later and (options.opens or not venue.opening_rule):
        raise BadInput(
            "With --else each choice opens by the venue's rule, and --opens is for one class: leave it out, and set the"
            f' rule with `prebooking venue edit "{venue.name}" --opens "4 days before"`.'
        )
    if options.opens:
        parse_instant(options.opens, zone)


def _from_data(venue: VenueView, choices: Sequence[Choice], options: _Options) -> list[RequestedClass]:
    """Return the classes that ``--data`` describes. Raises BadInput or CommandFailed."""
    if not options.data:
        raise CommandFailed(
            f"{venue.name} is booked by your own endpoint, which has no timetable to ask: say which class it is with"
            ' --data \'{"class_id": "4711"}\'.'
        )
    if options.insist:
        raise BadInput("--waiting-list is for AimHarder: leave it out, and write what your endpoint needs into --data.")
    if len(options.data) != len(choices):
        raise BadInput(
            f"--data is needed once per choice, in their order: there are {len(choices)} choices, and"
            f" {len(options.data)} of it."
        )
    return [_described(venue, choice, data) for choice, data in zip(choices, options.data, strict=True)]


def _described(venue: VenueView, choice: Choice, text: str) -> RequestedClass:
    data = parse_data(text)
    if choice.class_name:
        data["class_name"] = choice.class_name
    zone, starts = timezone_of(venue), datetime.combine(choice.day, choice.clock)
    rule = OpeningRule.parse(venue.opening_rule) if venue.opening_rule else None
    opens = rule.opening(starts, zone) if rule else None
    return RequestedClass(
        str(data.get("class_name") or f"class {data['class_id']}"), data, instant(starts, zone), opens
    )


async def _from_timetable(
    database: AdminDatabase, settings: AccountSettings, venue: VenueView, choices: Sequence[Choice], options: _Options
) -> list[RequestedClass]:
    """Return the classes at these times in the venue's timetable. Raises BadInput or CommandFailed."""
    if options.data:
        raise BadInput("--data is for venues that your own endpoint books: leave it out.")
    session = await _find_login(database, venue, options.who)
    offers: dict[date, Sequence[Offer]] = {}
    async with open_site(settings, venue) as site:
        for choice in choices:
            if choice.day not in offers:
                timetable = await read_timetable(site, venue, choice.day, open_session(settings, session))
                offers[choice.day] = timetable.offers
    cures = ["--class", *["--else"] * len(options.later)]
    found = [
        find_offer(offers[choice.day], choice.day, choice.clock, choice.class_name, option=option)
        for choice, option in zip(choices, cures, strict=True)
    ]
    now = database.clock.now()
    return [_offered(offer, options, now) for offer in found]


def _offered(offer: Offer, options: _Options, now: datetime) -> RequestedClass:
    refuse_closed(offer, anyway=options.anyway)
    if member_place(offer) == "booked" and not options.again and offer.begins > now:
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
