"""``prebooking skip``, ``away`` and ``absence``: days on which nothing is asked for."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import uuid4
from zoneinfo import ZoneInfo

import typer

from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.dates import read_day
from prebooking.cli.lookup import ID_LENGTH, find_row
from prebooking.cli.options import AsJson, Member, optional_member, require_member
from prebooking.cli.repeats import show_briefs, show_left
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import refuse_unreadable, say, show_json, show_table
from prebooking.database.repeats import AbsenceResult, AbsenceView
from prebooking.errors import BadInput, CommandFailed
from prebooking.local_time import find_timezone

app = typer.Typer(help="Days on which a member is away.", no_args_is_help=True, rich_markup_mode=None)

_DAY = "2026-12-04, today or tomorrow."


def skip(
    day: Annotated[str, typer.Argument(metavar="DAY", help=f"The day: {_DAY}", show_default=False)],
    *,
    member: Member = None,
) -> None:
    """Skip a day: its prebookings are cancelled, and no repeat makes new ones."""
    run_command(_add(day, day, member))


def away(
    first: Annotated[str, typer.Argument(metavar="FROM", help=f"The first day away: {_DAY}", show_default=False)],
    last: Annotated[str, typer.Argument(metavar="TO", help="The last day away.", show_default=False)],
    *,
    member: Member = None,
) -> None:
    """Be away on several days: their prebookings are cancelled, and no repeat makes new ones."""
    run_command(_add(first, last, member))


async def _add(from_: str, to: str, member: str | None) -> None:
    who, id_ = require_member(member), uuid4()
    async with open_database() as database:
        today = await _today(database)
        first, last = read_day(from_, today), read_day(to, today)
        if last < first:
            raise BadInput(f"{_days(first, first)} is after {_days(last, last)}: write the first day away first.")
        if last < today:
            raise BadInput(f"{_days(first, last)} is over: today is {today.isoformat()} where the gym is.")
        result = await database.repeats.add_absence(id_, who, first, last, until=database.deadline())
    _refuse(result, who)
    say(f"{who} is away on {_days(first, last)}: nothing is asked for by a repeat.")
    show_briefs("Cancelled", result.cancelled)
    show_left(result.left)
    show_briefs("Still booked. To give it back", result.booked, "give-back")
    say(f"To undo this: prebooking absence remove {str(id_)[:ID_LENGTH]}")


def _refuse(result: AbsenceResult, who: str) -> None:
    """Raise CommandFailed if the absence was not added."""
    if result.verdict == "exists" and result.first_day and result.last_day:
        raise CommandFailed(
            f"{who} is away then already, on {_days(result.first_day, result.last_day)}"
            f" ({str(result.id)[:ID_LENGTH]}): `prebooking absence list` shows all days away."
        )
    if result.verdict == "over":
        raise CommandFailed("These days are over, by the database's clock.")


@app.command("list")
def list_absences(*, member: Member = None, as_json: AsJson = False) -> None:
    """Show the days on which members are away."""
    run_command(_list(member, as_json=as_json))


async def _list(member: str | None, *, as_json: bool) -> None:
    whose = optional_member(member)
    async with open_database() as database:
        absences = await database.repeats.absences(whose, until=database.deadline())
    if as_json:
        show_json(absences)
    elif absences:
        show_table(("Id", "First day", "Last day", "Member"), [_row(absence) for absence in absences])
    elif not absences.unreadable:
        say(f"{whose + ' is not away' if whose else 'Nobody is away'}: add days with `prebooking away` or `skip`.")
    refuse_unreadable(absences.unreadable)


@app.command()
def remove(
    absence: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.", show_default=False)],
    *,
    member: Member = None,
) -> None:
    """Undo skip or away: repeats ask for the classes of these days again, if their booking is not open yet."""
    run_command(_remove(absence, member))


async def _remove(start: str, member: str | None) -> None:
    async with open_database() as database:
        absences = await database.repeats.absences(optional_member(member), until=database.deadline())
        absence = find_row(absences, start, "absence")
        result = await database.repeats.remove_absence(absence.id, until=database.deadline())
    say(f"{absence.user_email} is not away on {_days(absence.first_day, absence.last_day)} any more.")
    show_briefs("Asked for", result.made)
    say("Prebookings that were cancelled and are of no repeat stay cancelled: ask again with `prebooking add`.")


async def _today(database: AdminDatabase) -> date:
    """Return today's date where the venues are; if it differs between them, the earlier one."""
    venues = await database.operator.venues(until=database.deadline())
    zones = [zone for venue in venues if (zone := find_timezone(venue.timezone))]
    return min(database.clock.now().astimezone(zone).date() for zone in zones or [ZoneInfo("UTC")])


def _days(first: date, last: date) -> str:
    return f"{first:%a %d %b %Y}" + (f" to {last:%a %d %b %Y}" if last != first else "")


def _row(absence: AbsenceView) -> tuple[str, ...]:
    days = (f"{absence.first_day:%a %d %b %Y}", f"{absence.last_day:%a %d %b %Y}")
    return (str(absence.id)[:ID_LENGTH], *days, absence.user_email)
