"""``prebooking list`` and ``cancel``: show prebookings with their outcomes, and cancel one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from prebooking.cli.choices import ordinal
from prebooking.cli.database import open_database
from prebooking.cli.lookup import ID_LENGTH, find_prebooking
from prebooking.cli.options import AsJson, Member, optional_member
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import at_terminal, refuse_unreadable, say, show_json, show_table
from prebooking.database.operator import PrebookingView
from prebooking.database.repeats import PrebookingBrief
from prebooking.errors import CommandFailed
from prebooking.local_time import format_instant

LIMIT = 200  # rows shown
SEARCHED = 1000  # rows searched for an id
A_MONTH, A_WEEK = 30, 7  # days
_SHRINK = {"Class": 12, "Venue": 10, "Begins": 10, "Booking opens": 10, "State": 9}

_NOT_CANCELLED = {
    "being_booked": "It is being booked just now, or may have been: look again when its run is over.",
    "settled": "It has ended already: look at `prebooking list`. `prebooking give-back` gives a place back.",
    "not_found": "It is gone.",
}


def list_prebookings(
    *,
    member: Member = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show those that ended in the last 30 days, not 7.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show pending prebookings, and those that ended recently."""
    run_command(_list(member, days=A_MONTH if everything else A_WEEK, as_json=as_json))


async def _list(member: str | None, *, days: int, as_json: bool) -> None:
    whose = optional_member(member)
    async with open_database() as database:
        prebookings = await database.operator.prebookings(
            whose, settled_days=days, limit=LIMIT, until=database.deadline()
        )
        now = database.clock.now()
    if as_json:
        show_json(prebookings)
    elif prebookings:
        _show(prebookings, now)
        if len(prebookings) + len(prebookings.unreadable) == LIMIT:
            say(f"These are the nearest {LIMIT}: say --member for all of one.")
    elif not prebookings.unreadable:
        say(f"No prebookings{' for ' + whose if whose else ''}: ask for a class with `prebooking add`.")
    refuse_unreadable(prebookings.unreadable)


def cancel(
    prebooking: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.", show_default=False)],
    *,
    member: Member = None,
) -> None:
    """Cancel a prebooking that has not been sent."""
    run_command(_cancel(prebooking, member))


async def _cancel(start: str, member: str | None) -> None:
    async with open_database() as database:
        prebookings = await database.operator.prebookings(
            optional_member(member), settled_days=A_MONTH, limit=SEARCHED, until=database.deadline()
        )
        prebooking = find_prebooking(prebookings, start)
        answer = await database.prebookings.cancel(prebooking.id, prebooking.user_email, until=database.deadline())
    if answer != "cancelled":
        raise CommandFailed(_NOT_CANCELLED[answer])
    begins = format_instant(prebooking.expires_at, prebooking.timezone)
    more = " Its later choices are cancelled too." if _has_later_choices(prebooking, prebookings) else ""
    say(f"Cancelled {describe(prebooking)} at {prebooking.venue}, {begins}.{more}")


def _has_later_choices(prebooking: PrebookingView, prebookings: Sequence[PrebookingView]) -> bool:
    first, number = prebooking.first_choice or prebooking.id, prebooking.choice or 1
    return any(
        each.first_choice == first and each.status == "pending" and (each.choice or 0) > number for each in prebookings
    )


def _show(prebookings: Sequence[PrebookingView], now: datetime) -> None:
    """Print the table. On a terminal, a member or venue that all rows share is printed once above the table."""
    cells = {
        "Id": [str(prebooking.id)[:ID_LENGTH] for prebooking in prebookings],
        "Class": [describe(prebooking) for prebooking in prebookings],
        "Venue": [prebooking.venue for prebooking in prebookings],
        "Begins": [format_instant(prebooking.expires_at, prebooking.timezone) for prebooking in prebookings],
        "Booking opens": [format_instant(prebooking.available_at, prebooking.timezone) for prebooking in prebookings],
        "Member": [prebooking.user_email for prebooking in prebookings],
        "State": [_state(prebooking, now) for prebooking in prebookings],
    }
    shared = [column for column in ("Member", "Venue") if at_terminal() and len(set(cells[column])) == 1]
    if shared:
        say(" at ".join(cells.pop(column)[0] for column in shared))
    show_table(list(cells), zip(*cells.values(), strict=True), shrink=_SHRINK)
    _show_messages(prebookings)


def _state(prebooking: PrebookingView, now: datetime) -> str:
    if prebooking.status != "pending":
        return _settled_state(prebooking)
    if prebooking.being_booked:
        return "being booked"
    if not prebooking.venue_enabled:
        return "venue paused"
    if prebooking.choice and not prebooking.promoted:
        return ordinal(prebooking.choice)
    if prebooking.class_unknown:
        return "class not found yet"
    return "due" if prebooking.available_at <= now else "waiting"


def _settled_state(prebooking: PrebookingView) -> str:
    if prebooking.given_back_at:
        return "given back"
    if prebooking.place == "booked" and prebooking.place_since:
        return f"booked since {format_instant(prebooking.place_since, prebooking.timezone)}"
    if prebooking.place == "lost":
        return "not on the waiting list any more"
    if prebooking.place == "waiting" and prebooking.position:
        return f"waiting list, place {prebooking.position}"
    return prebooking.outcome or prebooking.status


def _show_messages(prebookings: Sequence[PrebookingView]) -> None:
    """Print of each prebooking whose later choice it is, and its warnings or its error message."""
    for prebooking in prebookings:
        pending = prebooking.status == "pending"
        messages = (prebooking.warning, prebooking.class_warning) if pending else (prebooking.error_message,)
        if prebooking.choice and pending:
            messages = (f"{ordinal(prebooking.choice)} of {str(prebooking.first_choice)[:ID_LENGTH]}", *messages)
        for message in filter(None, messages):
            say(f"{str(prebooking.id)[:ID_LENGTH]}: {message}")


def describe(prebooking: PrebookingView | PrebookingBrief) -> str:
    """Return the name of the class, or its number; "any class" if the member named none and it is still to be found."""
    number = f"class {prebooking.class_id}" if prebooking.class_id else "any class"
    return prebooking.class_name or number
