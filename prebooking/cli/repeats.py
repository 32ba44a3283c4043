"""``prebooking repeat``: the classes that members want every week."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from typing import Annotated

import typer

from prebooking.cli import new_repeat
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.lookup import ID_LENGTH, find_row
from prebooking.cli.options import AsJson, Member, optional_member
from prebooking.cli.prebookings import describe
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import refuse_unreadable, say, show_json, show_table
from prebooking.database.repeats import PrebookingBrief, RepeatResult, RepeatView
from prebooking.errors import CommandFailed
from prebooking.local_time import format_instant

app = typer.Typer(help="Classes that a member wants every week.", no_args_is_help=True, rich_markup_mode=None)
app.command("add")(new_repeat.add)

_SHRINK = {"Class": 12, "Venue": 10, "Next": 10, "Booking opens": 10, "State": 8}

RepeatId = Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.", show_default=False)]


@app.command("list")
def list_repeats(*, member: Member = None, as_json: AsJson = False) -> None:
    """Show the repeats, with the next class of each."""
    run_command(_list(member, as_json=as_json))


async def _list(member: str | None, *, as_json: bool) -> None:
    whose = optional_member(member)
    async with open_database() as database:
        repeats = await database.repeats.all(whose, until=database.deadline())
    if as_json:
        show_json(repeats)
    elif repeats:
        columns = ("Id", "Class", "Venue", "Every", "Next", "Booking opens", "Member", "State")
        show_table(columns, [_row(repeat) for repeat in repeats], shrink=_SHRINK)
        for repeat in repeats:
            if repeat.problem:
                say(f"{str(repeat.id)[:ID_LENGTH]}: {repeat.problem}")
    elif not repeats.unreadable:
        say(f"No repeats{' for ' + whose if whose else ''}: add one with `prebooking repeat add`.")
    refuse_unreadable(repeats.unreadable)


@app.command()
def pause(repeat: RepeatId, *, member: Member = None) -> None:
    """Pause a repeat: its prebookings are cancelled, and none is made until it is resumed."""
    run_command(_pause(repeat, member, paused=True))


@app.command()
def resume(repeat: RepeatId, *, member: Member = None) -> None:
    """Resume a repeat."""
    run_command(_pause(repeat, member, paused=False))


async def _pause(start: str, member: str | None, *, paused: bool) -> None:
    async with open_database() as database:
        repeat = await _find(database, start, member)
        result = await database.repeats.pause(repeat.id, paused=paused, until=database.deadline())
    if result.verdict == "not_found":
        raise CommandFailed("The repeat is gone.")
    say(f"{'Paused' if paused else 'Resumed'}: {_describe(repeat)}.")
    show_briefs("Asked for", result.made)
    if result.problem:
        say(result.problem)
    _show_cancelled(result)
    if paused:
        say(f"None is asked for until `prebooking repeat resume {str(repeat.id)[:ID_LENGTH]}`.")


@app.command()
def remove(repeat: RepeatId, *, member: Member = None) -> None:
    """Remove a repeat, and cancel its prebookings. Booked classes stay booked."""
    run_command(_remove(repeat, member))


async def _remove(start: str, member: str | None) -> None:
    async with open_database() as database:
        repeat = await _find(database, start, member)
        result = await database.repeats.remove(repeat.id, until=database.deadline())
    say(f"Removed: {_describe(repeat)}.")  # if it is gone, another try of this call has removed it
    _show_cancelled(result)


async def _find(database: AdminDatabase, start: str, member: str | None) -> RepeatView:
    repeats = await database.repeats.all(optional_member(member), until=database.deadline())
    return find_row(repeats, start, "repeat")


def show_briefs(title: str, prebookings: Sequence[PrebookingBrief], command: str = "") -> None:
    """Print a line per prebooking, with the command that changes it."""
    for each in prebookings:
        cure = f": `prebooking {command} {str(each.id)[:ID_LENGTH]}`" if command else ""
        say(f"{title}: {describe(each)} at {each.venue}, {format_instant(each.expires_at, each.timezone)}{cure}")


def show_left(prebookings: Sequence[PrebookingBrief]) -> None:
    """Print the prebookings that a command had to leave."""
    show_briefs("Not cancelled, because it may be at the venue", prebookings)


def _show_cancelled(result: RepeatResult) -> None:
    show_briefs("Cancelled", result.cancelled)
    show_left(result.left)


def _describe(repeat: RepeatView) -> str:
    name = repeat.class_name or "the class"
    return f"{name} at {repeat.venue}, every {_weekday(repeat)} at {repeat.starts_at}, for {repeat.user_email}"


def _weekday(repeat: RepeatView) -> str:
    return calendar.day_name[repeat.weekday - 1]


def _row(repeat: RepeatView) -> tuple[str, ...]:
    following = [format_instant(each.expires_at, each.timezone) for each in repeat.next[:1]]
    opens = [format_instant(each.available_at, each.timezone) for each in repeat.next[:1]]
    return (
        str(repeat.id)[:ID_LENGTH],
        repeat.class_name or "any",
        repeat.venue,
        f"{_weekday(repeat)[:3]} {repeat.starts_at}",
        *(following or ["-"]),
        *(opens or ["-"]),
        repeat.user_email,
        _state(repeat),
    )


def _state(repeat: RepeatView) -> str:
    if repeat.paused or repeat.over:
        return "paused" if repeat.paused else "over"
    if repeat.problem:
        return "look below"
    return f"until {repeat.last_day}" if repeat.last_day else "active"
