"""``prebooking logout`` and ``forget``: remove a member's login, or all of a member's data."""

from __future__ import annotations

from typing import Annotated

import typer

from prebooking.cli.database import open_database
from prebooking.cli.lookup import find_venue
from prebooking.cli.options import Member, VenueName, optional_member, require_member
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import counted, say
from prebooking.database.accounts import Forgotten
from prebooking.errors import BadInput, CommandFailed

Email = Annotated[str, typer.Argument(metavar="MEMBER", help="The member's e-mail address.", show_default=False)]


def logout(venue: VenueName, *, member: Member = None) -> None:
    """Remove a member's login at a venue. Prebookings there need a new login to be booked."""
    run_command(_logout(venue, member))


async def _logout(name: str, member: str | None) -> None:
    who = require_member(member)
    async with open_database() as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        if not await database.accounts.logout(venue.id, who, until=database.deadline()):
            raise CommandFailed(f"{who} has no login at {venue.name}.")
    say(f"{who} is logged out at {venue.name}: the login is removed, and a remembered password with it.")


def forget(member: Email) -> None:
    """Remove a member's logins, repeats, absences and channels, cancel what is pending, and anonymise what ended."""
    run_command(_forget(member))


async def _forget(member: str) -> None:
    if not (who := optional_member(member)) or not member.strip():
        raise BadInput("Who is to be forgotten? Give the member's e-mail address.")
    async with open_database() as database:
        done = await database.accounts.forget(who, until=database.deadline())
    if not any(done.model_dump().values()):
        raise CommandFailed(f"Nothing is kept of {who}.")
    say(
        f"Removed of {who}: {counted(done.logins, 'login')}, {counted(done.repeats, 'repeat')},"
        f" {counted(done.absences, 'absence')}, {counted(done.channels, 'channel')},"
        f" {counted(done.cancelled, 'prebooking')} that waited;"
        f" {counted(done.anonymised, 'prebooking')} without a name are left."
    )
    if done.being_booked:
        say(_explain_kept(done))


def _explain_kept(done: Forgotten) -> str:
    kept = counted(done.being_booked, "prebooking")
    return f"Kept until it ends, because it may be at the venue already: {kept}. Repeat this command then."
