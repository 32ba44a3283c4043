"""``prebooking repeat add``: ask for a class every week.

At an AimHarder venue the class is looked up in the timetable of each week, at a webhook venue ``--data`` is a template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import combinations
from typing import Annotated, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import typer

from prebooking.cli.add import Else, Hour, WaitingList
from prebooking.cli.choices import Choice, parse_choices
from prebooking.cli.classes import find_session, format_opening
from prebooking.cli.database import open_database
from prebooking.cli.dates import find_weekday, parse_day, parse_time, timezone_of
from prebooking.cli.environment import environment
from prebooking.cli.lookup import ID_LENGTH, find_venue
from prebooking.cli.offers import find_offer
from prebooking.cli.options import Member, VenueName, require_member
from prebooking.cli.requested import DATA_LIMIT, format_add, parse_data, refuse_template
from prebooking.cli.runner import run_command
from prebooking.cli.site import open_site, read_timetable
from prebooking.cli.terminal import say
from prebooking.database.operator import VenueView
from prebooking.database.repeats import LaterChoice, NewRepeat, RepeatResult
from prebooking.errors import BadInput, CommandFailed
from prebooking.foreign import NAME_LIMIT, name_key
from prebooking.local_time import format_instant
from prebooking.opening import OpeningRule, instant
from prebooking.settings import AccountSettings
from prebooking.systems import Ability, can

_WEEK = timedelta(days=7)
_NEAR = 3  # days between the first choice and a later one, at most
_ADDED = 60  # bytes of the day and the hour, which are added to a template
_EXAMPLE = '{"class_id": "wod-{day}-{starts_at}"}'

Weekday = Annotated[str, typer.Argument(metavar="WEEKDAY", help="Its weekday: tuesday, or tue.", show_default=False)]
ClassName = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="Its name; without it, any class at that hour.", show_default=False),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="The last day: 2026-12-04.", show_default=False)
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="JSON",
        help=f"For a webhook venue: what your endpoint needs to know, like '{_EXAMPLE}'. {{day}} and {{starts_at}} are"
        " replaced by those of each class.",
        show_default=False,
    ),
]
Anyway = Annotated[bool, typer.Option("--anyway", help="Also if the timetable does not have the class now.")]


@dataclass(frozen=True, slots=True)
class _RepeatOptions:
    """The options of ``prebooking repeat add``."""

    who: str
    weekday: int
    clock: time
    class_name: str | None
    later: Sequence[str]
    until: str | None
    data: str | None
    insist: bool
    anyway: bool


def add(
    venue: VenueName,
    weekday: Weekday,
    hour: Hour,
    *,
    class_name: ClassName = None,
    later: Else = None,
    until: Until = None,
    member: Member = None,
    data: Data = None,
    waiting_list: WaitingList = False,
    anyway: Anyway = False,
) -> None:
    """Ask for a class every week: each one is booked the moment its booking opens."""

    async def parse_and_add() -> None:
        who, day, clock = require_member(member), _parse_weekday(weekday), parse_time(hour)
        more = (_parse_class_name(class_name), later or [], until, data, waiting_list, anyway)
        await _add(venue, _RepeatOptions(who, day, clock, *more))

    run_command(parse_and_add())


async def _add(name: str, options: _RepeatOptions) -> None:
    settings = AccountSettings.from_environment(environment())
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        now, zone, rule = database.clock.now(), timezone_of(venue), _rule_of(venue)
        last_day = parse_day(options.until, now=now, zone=zone) if options.until else None
        *open_days, day = _days(options, rule, zone, now)
        choices = _parse_choices(options, day, now=now, zone=zone)
        _refuse_useless_choices(choices, rule, zone)
        if can(venue.provider, Ability.TIMETABLE):
            choices, data = await _looked_up(settings, venue, choices, [*open_days, day][0], options)
        else:
            choices, data = _from_template(venue, choices, options)
        new = _new_repeat(venue, options, choices, data, last_day)
        result = await database.repeats.add(new, until=database.deadline())
        _refuse(result, venue, options)
        logged_in = not can(venue.provider, Ability.LOGINS) or await find_session(database, venue, options.who)
    _report(venue, options, choices, result, now)
    for is_open in open_days:
        if not last_day or is_open <= last_day:
            ask = format_add(venue, options.who, is_open, options.clock, data)
            say(f"Booking of {is_open:%a %d %b} is open already, so the repeat leaves it out: {ask}")
    if not logged_in:
        say(f'{options.who} has no login here yet: prebooking login "{venue.name}" --member {options.who} --remember')


def _parse_weekday(text: str) -> int:
    if (found := find_weekday(text)) is None:
        raise BadInput(f'"{text}" is not a weekday: write it like tuesday or tue.')
    return found


def _parse_class_name(text: str | None) -> str | None:
    """Return the name of ``--class``. Raises BadInput if no class can have it."""
    if text is None:
        return None
    name = " ".join(text.split())
    if not name_key(name) or len(name) > NAME_LIMIT:
        raise BadInput(f"--class is the name of a class, 1 to {NAME_LIMIT} characters: leave it out for any class.")
    return name


def _rule_of(venue: VenueView) -> OpeningRule:
    if not venue.opening_rule:
        raise CommandFailed(
            f"{venue.name} has no rule when booking opens, which a repeat needs: prebooking venue edit"
            f' "{venue.name}" --opens "4 days before".'
        )
    return OpeningRule.parse(venue.opening_rule)


def _days(options: _RepeatOptions, rule: OpeningRule, zone: ZoneInfo, now: datetime) -> list[date]:
    """Return the days of the next classes until the first one whose booking is not open yet."""
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=(options.weekday - today.weekday()) % 7)]
    while rule.opening(datetime.combine(days[-1], options.clock), zone) <= now:
        days.append(days[-1] + _WEEK)
    return [day for day in days if instant(datetime.combine(day, options.clock), zone) > now]


def _parse_choices(options: _RepeatOptions, day: date, *, now: datetime, zone: ZoneInfo) -> list[Choice]:
    """Return the choices, for a week in which none is over. Raises BadInput."""
    first = Choice(day + _WEEK, options.clock, options.class_name)
    choices = parse_choices(first, options.later, now=now, zone=zone)
    dated = any(re.match(r"\s*\d{4}-", text) for text in options.later)
    if dated or any(abs((choice.day - first.day).days) > _NEAR for choice in choices):
        raise BadInput('The --else of a repeat is in each week: write it like "19:30" or "wed 07:00", without a date.')
    return choices


def _refuse_useless_choices(choices: Sequence[Choice], rule: OpeningRule, zone: ZoneInfo) -> None:
    """Raise an error if two choices are one class, or if a later one begins before booking of an earlier one opens."""
    for earlier, later in combinations(choices, 2):
        chosen = f"{later.day:%A} {later.clock:%H:%M}"
        same_name = name_key(earlier.class_name or "") == name_key(later.class_name or "")
        if (earlier.day, earlier.clock) == (later.day, later.clock) and same_name:
            raise BadInput(f"{chosen} is chosen twice: leave one of the two out.")
        if instant(_begins(later), zone) <= rule.opening(_begins(earlier), zone):
            raise CommandFailed(
                f"{chosen} begins before booking opens for {earlier.day:%A} {earlier.clock:%H:%M}: choose it first, or"
                " in a repeat of its own."
            )


def _begins(choice: Choice) -> datetime:
    return datetime.combine(choice.day, choice.clock)


async def _looked_up(
    settings: AccountSettings, venue: VenueView, choices: Sequence[Choice], soon: date, options: _RepeatOptions
) -> tuple[list[Choice], dict[str, Any]]:
    """Return the choices with the names of the timetable, and the data. Raises BadInput or CommandFailed.

    ``soon`` is the day of the next class. A day without any class is taken as not published yet.
    """
    if options.data is not None:
        raise BadInput("--data is for venues that your own endpoint books: leave it out.")
    found = list(choices) if options.anyway else await _named(settings, venue, choices, soon)
    if any((choice.class_name or "").isdecimal() for choice in found):
        raise BadInput("The number of a class is that of one day: give its name in a repeat.")
    name = {"class_name": found[0].class_name} if found[0].class_name else {}
    return found, name | ({"insist": 1} if options.insist else {})


async def _named(settings: AccountSettings, venue: VenueView, choices: Sequence[Choice], soon: date) -> list[Choice]:
    shift = choices[0].day - soon
    found, offers = list[Choice](), {}
    async with open_site(settings, venue) as site:
        for number, choice in enumerate(choices):
            day = choice.day - shift
            if day not in offers:
                offers[day] = await read_timetable(site, venue, day, None)
            if not offers[day].offers:
                found.append(choice)
                continue
            option = "--else" if number else "--class"
            offer = find_offer(offers[day].offers, day, choice.clock, choice.class_name, option=option)
            found.append(Choice(choice.day, choice.clock, choice.class_name and offer.found.name))
    return found


def _from_template(
    venue: VenueView, choices: Sequence[Choice], options: _RepeatOptions
) -> tuple[list[Choice], dict[str, Any]]:
    """Return the choices and the template that ``--data`` describes. Raises BadInput or CommandFailed."""
    if options.data is None:
        raise CommandFailed(
            f"{venue.name} is booked by your own endpoint, which has no timetable to ask: say which class it is with"
            f" --data '{_EXAMPLE}'."
        )
    if options.insist:
        raise BadInput("--waiting-list is for AimHarder: leave it out, and write what your endpoint needs into --data.")
    data = parse_data(options.data, example=_EXAMPLE, needs_class_id=False)
    class_id = str(data.get("class_id", "{day} {starts_at}"))
    same_day = len({choice.day for choice in choices}) < len(choices)
    refuse_template(class_id, ["{day}", *(["{starts_at}"] if same_day else [])], example=_EXAMPLE)
    if options.class_name:
        data["class_name"] = options.class_name
    if len(str(data).replace("{day}", "2026-12-01").encode()) > DATA_LIMIT - _ADDED:
        raise BadInput(f"--data is too long: at most {DATA_LIMIT} bytes with its day and hour.")
    name = data.get("class_name")
    named = name if isinstance(name, str) else None
    return [Choice(choice.day, choice.clock, choice.class_name or named) for choice in choices], data


def _new_repeat(
    venue: VenueView, options: _RepeatOptions, choices: Sequence[Choice], data: dict[str, Any], last_day: date | None
) -> NewRepeat:
    first, *others = choices
    return NewRepeat(
        id=uuid4(),
        venue_id=venue.id,
        user_email=options.who,
        weekday=options.weekday + 1,
        clock=options.clock,
        data=data,
        later=[LaterChoice((each.day - first.day).days, each.clock, each.class_name) for each in others],
        last_day=last_day,
    )


def _refuse(result: RepeatResult, venue: VenueView, options: _RepeatOptions) -> None:
    """Raise CommandFailed if the repeat was not added."""
    short = str(result.id)[:ID_LENGTH]
    if result.verdict != "added":
        raise CommandFailed(
            {
                "exists": f"{options.who} has a repeat at {venue.name} at that weekday and hour already ({short}): to"
                f" ask in another way, remove it first: prebooking repeat remove {short}",
                "over": f"No class of it opens for booking until {options.until}: choose a later --until, or ask for it"
                " with `prebooking add`.",
            }.get(result.verdict, f"{venue.name} was changed just now: try again.")
        )


def _report(
    venue: VenueView, options: _RepeatOptions, choices: Sequence[Choice], result: RepeatResult, now: datetime
) -> None:
    first, *others = choices
    end = f" until {options.until}" if options.until else ""
    what = first.class_name or "the class"
    say(f"Asked for {what} at {venue.name} every {first.day:%A} at {first.clock:%H:%M}{end}, for {options.who}.")
    say(*_lines(others))
    for made in result.made:
        opens = format_opening(made.available_at, venue.timezone, now)
        say(f"{format_instant(made.expires_at, venue.timezone)}: booking opens {opens}.")
    if result.problem:
        say(result.problem)
    say(f"Id {str(result.id)[:ID_LENGTH]}.")


def _lines(others: Sequence[Choice]) -> Iterator[str]:
    for choice in others:
        yield f"Else {choice.day:%A} at {choice.clock:%H:%M}: {choice.class_name or 'the class'}."
