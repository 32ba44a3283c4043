"""``prebooking login``: log in at a venue, or list the stored logins."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from prebooking.cli import login
from prebooking.cli.database import open_database
from prebooking.cli.options import AsJson, Member, optional_member
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import refuse_unreadable, say, show_json, show_table
from prebooking.database.operator import SessionView
from prebooking.local_time import format_duration, format_instant


class _VenueFirst(TyperGroup):
    """Reads a word that is not a command as a venue's name: ``login VENUE`` means ``login at VENUE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["at", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_VenueFirst,
    help="Log a member in at a venue (`prebooking login VENUE`), or list the logins.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("at")(login.login)


@app.command("list")
def list_logins(*, member: Member = None, as_json: AsJson = False) -> None:
    """Show the stored logins, and when each is needed next."""
    run_command(_list(member, as_json=as_json))


async def _list(member: str | None, *, as_json: bool) -> None:
    async with open_database() as database:
        logins = await database.operator.sessions(optional_member(member), until=database.deadline())
        now = database.clock.now()
    if as_json:
        show_json([_as_json(one) for one in logins])
    elif logins:
        rows = [
            (
                one.user_email,
                one.venue.name,
                _state(one),
                f"{format_duration(max(now, one.session.refreshed_at) - one.session.refreshed_at)} ago",
                format_instant(one.next_opening, one.venue.timezone) if one.next_opening else "-",
            )
            for one in logins
        ]
        columns = ("Member", "Venue", "State", "Refreshed", "Needed at")
        show_table(columns, rows, shrink={"Venue": 10, "State": 12, "Needed at": 10})
    elif not logins.unreadable:
        say("No login is kept: log in with `prebooking login VENUE --member EMAIL`.")
    refuse_unreadable(logins.unreadable)


def _state(one: SessionView) -> str:
    if one.remembered:
        return "password remembered"
    return "asks for a new login" if one.expired_at else "kept"


def _as_json(one: SessionView) -> dict[str, Any]:
    """Return a login for JSON output, without what is sealed."""
    shown = one.model_dump(mode="json", include={"user_email", "expired_at", "remembered", "next_opening"})
    return shown | {"venue": one.venue.name, "refreshed_at": one.session.refreshed_at.isoformat()}
