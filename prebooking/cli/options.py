"""Options that several commands share, and the default member."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from prebooking.cli.environment import environment
from prebooking.errors import BadInput

VenueName = Annotated[str, typer.Argument(metavar="VENUE", help="The venue's name or id.", show_default=False)]
Day = Annotated[
    str, typer.Argument(metavar="DAY", help="The class's day: 2026-12-04, today or tomorrow.", show_default=False)
]
Member = Annotated[
    str | None,
    typer.Option("--member", "-m", metavar="EMAIL", help="The member (or PREBOOKING_MEMBER).", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def optional_member(named: str | None) -> str | None:
    """Return the member given by ``--member`` or PREBOOKING_MEMBER, or None.

    Only ASCII is accepted, because other characters can look like another member's address, or become it in lower
    case. The database converts to lower case.

    Raises:
        BadInput: the member is not an e-mail address.

    """
    member = (named or environment().get("PREBOOKING_MEMBER", "")).strip()
    if member and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", member):
        plain = "" if member.isascii() else " in plain ASCII characters"
        raise BadInput(f"The member is not an e-mail address{plain}: give the one they log in with at the venue.")
    return member or None


def require_member(named: str | None) -> str:
    """Return the member given by ``--member`` or PREBOOKING_MEMBER. Raises BadInput without one."""
    if not (member := optional_member(named)):
        raise BadInput("Whose is it? Say --member EMAIL, or set PREBOOKING_MEMBER.")
    return member
