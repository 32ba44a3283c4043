"""What several commands take, and who is meant if nobody is named."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from prebooking.cli.environment import environment
from prebooking.errors import BadInput

VenueName = Annotated[
    str, typer.Argument(metavar="VENUE", help="The venue's name, or enough of its beginning.", show_default=False)
]
Day = Annotated[
    str, typer.Argument(metavar="DAY", help="The class's day: 2026-12-04, today or tomorrow.", show_default=False)
]
Member = Annotated[
    str | None,
    typer.Option("--member", "-m", metavar="EMAIL", help="The member (or PREBOOKING_MEMBER).", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def member_of(named: str | None) -> str | None:
    """Return the member that is named, here or in the environment; None: nobody is.

    Only ASCII is taken, because other characters can look like an address of somebody else's, or become one in lower
    case. Case is the database's to fold.

    Raises:
        BadInput: it is no e-mail address.

    """
    member = (named or environment().get("PREBOOKING_MEMBER", "")).strip()
    if member and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", member):
        plain = "" if member.isascii() else " in plain ASCII characters"
        raise BadInput(f"The member is no e-mail address{plain}: give the one they log in with at the venue.")
    return member or None


def some_member(named: str | None) -> str:
    """Return the member, who must be named."""
    if not (member := member_of(named)):
        raise BadInput("Whose is it? Say --member EMAIL, or set PREBOOKING_MEMBER.")
    return member
