"""``prebooking list`` and ``cancel``: what waits, what became of it, and thinking better of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from prebooking.cli.database import open_database
from prebooking.cli.dates import format_instant
from prebooking.cli.lookup import ID_LENGTH, find_prebooking
from prebooking.cli.options import AsJson, Member, member_of
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import at_terminal, refuse_unreadable, say, show_json, show_table
from prebooking.errors import CommandFailed
from prebooking.operator import Wish

LIMIT = 200  # rows shown
SEARCHED = 1000  # rows among which one is found by its id
A_MONTH, A_WEEK = 30, 7  # days
_SHRINK = {"Class": 12, "Venue": 10, "Begins": 10, "Booking opens": 10, "State": 8}

_NOT_CANCELLED = {
    "being_booked": "It is being booked just now, or may have been: look again when its run is over.",
    "settled": "It has ended already: look at `prebooking list`.",
    "not_found": "It is gone.",
}


def list_prebookings(
    *,
    member: Member = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what ended in the last 30 days, not 7.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what waits, and what ended lately."""
    run_command(_list(member, days=A_MONTH if everything else A_WEEK, as_json=as_json))


async def _list(member: str | None, *, days: int, as_json: bool) -> None:
    whose = member_of(member)
    async with open_database() as database:
        wishes = await database.operator.prebookings(whose, settled_days=days, limit=LIMIT, until=database.deadline())
        now = database.clock.now()
    if as_json:
        show_json(wishes)
    elif wishes:
        _show(wishes, now)
        if len(wishes) + len(wishes.unreadable) == LIMIT:
            say(f"These are the nearest {LIMIT}: say --member for all of one.")
    elif not wishes.unreadable:
        say(f"No prebookings{' for ' + whose if whose else ''}: ask for a class with `prebooking add`.")
    refuse_unreadable(wishes.unreadable)


def cancel(
    prebooking: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, or enough of its beginning.", show_default=False)
    ],
    *,
    member: Member = None,
) -> None:
    """Take a prebooking back that has not been sent."""
    run_command(_cancel(prebooking, member))


async def _cancel(start: str, member: str | None) -> None:
    async with open_database() as database:
        wishes = await database.operator.prebookings(
            member_of(member), settled_days=A_MONTH, limit=SEARCHED, until=database.deadline()
        )
        wish = find_prebooking(wishes, start)
        answer = await database.prebookings.cancel(wish.id, wish.user_email, until=database.deadline())
    if answer != "cancelled":
        raise CommandFailed(_NOT_CANCELLED[answer])
    say(f"Cancelled {_what(wish)} at {wish.venue}, {format_instant(wish.expires_at, wish.timezone)}.")


def _show(wishes: Sequence[Wish], now: datetime) -> None:
    """Show them; on a terminal, which is narrow, what is the same in all rows is said once, above them."""
    cells = {
        "Id": [str(wish.id)[:ID_LENGTH] for wish in wishes],
        "Class": [_what(wish) for wish in wishes],
        "Venue": [wish.venue for wish in wishes],
        "Begins": [format_instant(wish.expires_at, wish.timezone) for wish in wishes],
        "Booking opens": [format_instant(wish.available_at, wish.timezone) for wish in wishes],
        "Member": [wish.user_email for wish in wishes],
        "State": [_state(wish, now) for wish in wishes],
    }
    same = [column for column in ("Member", "Venue") if at_terminal() and len(set(cells[column])) == 1]
    if same:
        say(" at ".join(cells.pop(column)[0] for column in same))
    show_table(list(cells), zip(*cells.values(), strict=True), shrink=_SHRINK)
    _say_more(wishes)


def _state(wish: Wish, now: datetime) -> str:
    if wish.status != "pending":
        return wish.outcome or wish.status
    if wish.being_booked:
        return "being booked"
    if not wish.venue_enabled:
        return "venue paused"
    return "due" if wish.available_at <= now else "waiting"


def _say_more(wishes: Sequence[Wish]) -> None:
    """Say in sentences what a word in the table does not."""
    for wish in wishes:
        if more := wish.warning if wish.status == "pending" else wish.error_message:
            say(f"{str(wish.id)[:ID_LENGTH]}: {more}")


def _what(wish: Wish) -> str:
    return wish.class_name or f"class {wish.class_id or '?'}"
