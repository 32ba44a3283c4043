"""``prebooking venue``: add, change, pause, list and remove venues."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from uuid import uuid4

import typer

from prebooking.bookers.adapter import adapter
from prebooking.cli.database import open_database
from prebooking.cli.lookup import find_venue
from prebooking.cli.options import AsJson, VenueName
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import counted, refuse_unreadable, say, show_json, show_table
from prebooking.database.operator import VenueView
from prebooking.errors import BadInput, CommandFailed
from prebooking.local_time import format_instant
from prebooking.model import Venue
from prebooking.opening import OpeningRule, parse_timezone
from prebooking.systems import SYSTEMS, Ability, VenueSystem

app = typer.Typer(help="The venues and their opening rules.", no_args_is_help=True, rich_markup_mode=None)

_SHRINK = {"State": 14, "Opens": 14, "Time zone": 13, "Where": 16, "Venue": 10}
_REFUSALS = {
    "name_taken": 'There is a venue "{name}" already: give this one another name.',
    "box_taken": 'That box is here already, as "{name}".',
    "no_venue": "The venue is gone.",
}
NAME_LENGTH = 60  # characters, so that it fits into a table
MOST_HOURS = 168  # of --late-cancel: a week


_ZONE = typer.Option("--zone", help="Its time zone, like Europe/Madrid.", show_default=False)
Rule = Annotated[
    str | None,
    typer.Option(
        "--opens",
        metavar="RULE",
        help='When booking opens: "4 days before", "72 hours before", "3 days before at 20:00".',
        show_default=False,
    ),
]
BoxNumber = Annotated[
    str | None,
    typer.Option("--box", help="AimHarder's number of the box; the first login finds it.", show_default=False),
]


@app.command("add")
def add(
    *,
    name: Annotated[str, typer.Argument(help="Its name in this command line.", show_default=False)],
    zone: Annotated[str, _ZONE],
    host: Annotated[
        str | None, typer.Option("--host", help="AimHarder: <box>.aimharder.com or .es.", show_default=False)
    ] = None,
    opens: Rule = None,
    box: BoxNumber = None,
    provider: Annotated[
        str, typer.Option("--provider", metavar="|".join(SYSTEMS), help="The venue's booking system.")
    ] = "aimharder",
) -> None:
    """Add a venue."""
    run_command(_add(name, zone=zone, host=host, opens=opens, box=box, provider=provider))


async def _add(name: str, *, zone: str, host: str | None, opens: str | None, box: str | None, provider: str) -> None:
    system = _find_system(provider)
    venue = Venue(
        id=uuid4(),
        name=_parse_name(name),
        provider=system.name,
        host=_parse_host(host, system),
        provider_box_id=_parse_box(box, system),
        timezone=parse_timezone(zone).key,
        idempotent=False,
    )
    rule = _parse_rule(opens, system)
    async with open_database() as database:
        result = await database.operator.add_venue(venue, str(rule) if rule else None, until=database.deadline())
    if result.verdict == "name_taken":
        raise CommandFailed(_REFUSALS[result.verdict].format(name=result.name))
    if result.verdict == "box_taken":
        raise CommandFailed(f'That box is here already, as "{result.name}"; if it is another of that host, say --box.')
    say(f"Added {venue.name}" + (f": booking opens {rule}, by the clock of {venue.timezone}." if rule else "."))
    if Ability.LOGINS in system.can:
        say(f'Next: prebooking login "{venue.name}" --member you@example.com')


@app.command()
def edit(
    venue: VenueName,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Its name in this command line.", show_default=False)
    ] = None,
    zone: Annotated[str | None, _ZONE] = None,
    opens: Rule = None,
    box: BoxNumber = None,
    idempotent: Annotated[
        bool | None,
        typer.Option(
            "--idempotent/--no-idempotent",
            help="Your endpoint books once per Idempotency-Key, also for repeated calls.",
            show_default=False,
        ),
    ] = None,
    late_cancel: Annotated[
        int | None,
        typer.Option(
            "--late-cancel",
            metavar="HOURS",
            help="Until how long before a class a place can be given back for free: for reminders. 0 removes it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Change a venue. The host cannot be changed: another host is another venue."""
    run_command(
        _edit(venue, name=name, zone=zone, opens=opens, box=box, idempotent=idempotent, late_cancel=late_cancel)
    )


async def _edit(
    venue_name: str,
    *,
    name: str | None,
    zone: str | None,
    opens: str | None,
    box: str | None,
    idempotent: bool | None,
    late_cancel: int | None,
) -> None:
    if all(one is None for one in (name, zone, opens, box, idempotent, late_cancel)):
        raise BadInput("Say what to change: --name, --zone, --opens, --box, --idempotent or --late-cancel.")
    if late_cancel is not None and not 0 <= late_cancel <= MOST_HOURS:
        raise BadInput(f"--late-cancel is a number of hours from 1 to {MOST_HOURS}, or 0 to remove it.")
    async with open_database() as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), venue_name)
        system = _find_system(venue.provider)
        if idempotent and Ability.IDEMPOTENCY not in system.can:
            raise BadInput(f"--idempotent is for venues that your own endpoint books: {system.title} knows no keys.")
        result = await database.operator.edit_venue(
            venue.id,
            name=None if name is None else _parse_name(name),
            timezone=None if zone is None else parse_timezone(zone).key,
            opening_rule=None if opens is None else str(OpeningRule.parse(opens)),
            box_id=_parse_box(box, system),
            idempotent=idempotent,
            late_cancel_hours=late_cancel,
            until=database.deadline(),
        )
    if result.verdict != "changed":
        raise CommandFailed(_REFUSALS[result.verdict].format(name=result.name))
    say(f"Changed {venue.name if name is None else _parse_name(name)}.")
    if venue.pending and (opens or zone):
        say(
            f"{venue.pending} waiting keep their openings, except those of repeats, which move within a minute: cancel"
            " and add again those that open at another time."
        )


@app.command()
def remove(venue: VenueName) -> None:
    """Remove a venue without pending prebookings, with its logins, repeats and ended prebookings."""
    run_command(_remove(venue))


async def _remove(name: str) -> None:
    async with open_database() as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        result = await database.operator.remove_venue(venue.id, until=database.deadline())
    if result.verdict == "waiting":
        cure = f'cancel them first, or pause the venue: prebooking venue pause "{venue.name}"'
        if result.repeats:
            cure = f"remove its {counted(result.repeats, 'repeat')} (`prebooking repeat list`) and {cure}"
        raise CommandFailed(f"{counted(result.pending, 'prebooking')} still to be booked at {venue.name}: {cure}")
    repeats = f", {counted(result.repeats, 'repeat')}" if result.repeats else ""
    with_it = f"{counted(result.logins, 'login')}{repeats} and {counted(result.settled, 'prebooking')}"
    say(f"Removed {venue.name}, with {with_it} that had ended.")


@app.command("list")
def list_venues(*, as_json: AsJson = False) -> None:
    """Show the venues."""
    run_command(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    async with open_database() as database:
        venues = await database.operator.venues(until=database.deadline())
    if as_json:
        show_json(venues)
    elif venues:
        columns = ("Venue", "Where", "Time zone", "Opens", "State", "Waiting")
        show_table(columns, [_row(venue) for venue in venues], right=["Waiting"], shrink=_SHRINK)
    elif not venues.unreadable:
        say("There is no venue yet: add one with `prebooking venue add`.")
    refuse_unreadable(venues.unreadable)


@app.command()
def pause(venue: VenueName) -> None:
    """Pause a venue: nothing is sent there until it is resumed."""
    run_command(_enable(venue, enabled=False))


@app.command()
def resume(venue: VenueName) -> None:
    """Resume a venue, also one that is paused because it blocked us."""
    run_command(_enable(venue, enabled=True))


async def _enable(name: str, *, enabled: bool) -> None:
    async with open_database() as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        if not await database.operator.enable_venue(venue.id, enabled=enabled, until=database.deadline()):
            raise CommandFailed(f"{venue.name} is gone.")
    if enabled:
        say(f"{venue.name} is booked again; {venue.pending} waiting.")
        return
    say(f"{venue.name} is paused: nothing is sent there until `prebooking venue resume`.")
    say(f"A run that is under way may still send for 8 s. {venue.pending} waiting; those whose class begins expire.")


def _row(venue: VenueView) -> tuple[str, ...]:
    return (
        venue.name,
        venue.host or "your endpoint",
        venue.timezone,
        venue.opening_rule or "-",
        _state(venue),
        str(venue.pending),
    )


def _state(venue: VenueView) -> str:
    if not venue.enabled:
        return "paused"
    return f"blocked until {format_instant(venue.paused_until, venue.timezone)}" if venue.paused_until else "open"


def _parse_name(text: str) -> str:
    name = " ".join(text.split())
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
        raise BadInput(f"A venue's name has 1 to {NAME_LENGTH} characters that can be printed.")
    return name


def _find_system(name: str) -> VenueSystem:
    """Return the venue system with this name. Raises BadInput."""
    if name not in SYSTEMS:
        raise BadInput(f'There is no venue system "{name}": say --provider {" or ".join(SYSTEMS)}.')
    return SYSTEMS[name]


def _parse_host(text: str | None, system: VenueSystem) -> str | None:
    host = re.sub(r"^https?://|/+$", "", (text or "").strip().lower()) or None
    problem = adapter(system.name).host_problem(host)
    if problem and system.page is None:
        raise BadInput(f"--host is for {_titles(lambda each: each.page is not None)}: {problem} Leave --host out.")
    if problem:
        own = "" if host else " For a venue that your own endpoint books, say --provider webhook."
        raise BadInput(f"{problem} Say it with --host.{own}")
    return host


def _titles(condition: Callable[[VenueSystem], bool]) -> str:
    return " and ".join(system.title for system in SYSTEMS.values() if condition(system))


def _parse_box(text: str | None, system: VenueSystem) -> str | None:
    if text is not None and Ability.LOGINS not in system.can:
        boxes = _titles(lambda each: Ability.LOGINS in each.can)
        raise BadInput(f"--box is for {boxes}: a venue of {system.title} has none. Leave --box out.")
    if text is not None and not re.fullmatch(r"\d{1,12}", text, re.ASCII):
        raise BadInput("AimHarder's number of a box is a number: leave --box out, and the first login finds it.")
    return text


def _parse_rule(text: str | None, system: VenueSystem) -> OpeningRule | None:
    if text:
        return OpeningRule.parse(text)
    if Ability.TIMETABLE in system.can:
        raise BadInput('When does booking open there? Say --opens "4 days before", "72 hours before" or the like.')
    return None
