"""``prebooking login``: log a member in and store the sealed session; with ``--remember`` the sealed password too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from prebooking.bookers.aimharder.seal import SEALED_LIMIT, Purpose, Seal, sealed_size
from prebooking.bookers.aimharder.site import Box, Login
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.environment import environment
from prebooking.cli.lookup import find_venue
from prebooking.cli.options import Member, VenueName, require_member
from prebooking.cli.runner import report_errors, run_command
from prebooking.cli.site import TIMEOUT, open_site
from prebooking.cli.terminal import say
from prebooking.database.operator import SetBoxResult, VenueView
from prebooking.errors import BadInput, CommandFailed, SettingsError
from prebooking.settings import AccountSettings

_REMEMBERED = (
    "and so is the password: it is used to log in once before each opening, until `prebooking logout"
    ' "{venue}" --member {who}` or a login without --remember removes it'
)
_FORGOTTEN = "and the remembered password is removed"

NewKey = Annotated[
    bool, typer.Option("--new-key", help="Use a new key, although the stored logins were encrypted with another one.")
]
Remember = Annotated[
    bool,
    typer.Option(
        "--remember",
        help="Keep the password, encrypted, to log in once before each opening. To undo it, log in without it.",
    ),
]


def login(venue: VenueName, *, member: Member = None, remember: Remember = False, new_key: NewKey = False) -> None:
    """Log a member in. The password is prompted for, or read from standard input, and kept only with --remember."""
    with report_errors():
        who, settings = require_member(member), AccountSettings.from_environment(environment())
        if not settings.session_encryption_key:
            cure = (
                "is missing: it encrypts the login; make one with `openssl rand -base64 32`, the same for the function"
            )
            raise SettingsError({"SESSION_ENCRYPTION_KEY": cure})
        password = _read_password(who, remember=remember)  # outside the event loop, so that Ctrl-C works at once
    run_command(_login(venue, who, password, settings, remember=remember, new_key=new_key))


async def _login(
    name: str, who: str, password: str, settings: AccountSettings, *, remember: bool, new_key: bool
) -> None:
    seal = Seal.of(settings)
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        if not new_key:
            _refuse_other_key(seal, await database.sessions.key_ids(until=database.deadline()))
        async with open_site(settings, venue) as site:
            done = await site.login(who, password, timeout=TIMEOUT)
        if box_id := _box_at(venue, done.boxes):
            _refuse_conflict(await database.operator.set_box(venue.id, box_id, until=database.deadline()), venue, who)
        forgets = not remember and await _is_remembered(database, venue, who)
        await _save(database, seal, venue, who, done, password=password if remember else None)
    kept = _REMEMBERED if remember else _FORGOTTEN if forgets else "the password is not kept"
    say(f"{who} is logged in at {venue.name}. The login is stored encrypted, {kept.format(venue=venue.name, who=who)}.")


async def _is_remembered(database: AdminDatabase, venue: VenueView, who: str) -> bool:
    stored = await database.operator.sessions(who, until=database.deadline())
    return any(one.remembered for one in stored if one.venue.id == venue.id)


async def _save(
    database: AdminDatabase, seal: Seal, venue: VenueView, who: str, done: Login, *, password: str | None
) -> None:
    """Store the session, and the password to remember. Without one, a remembered password is removed."""
    sealed = seal.seal(done.session.as_json(), venue_id=venue.id, member=who)
    kept = None
    if password is not None:
        kept = seal.seal(_credentials(who, password), venue_id=venue.id, member=who, purpose=Purpose.PASSWORD)
    within = database.deadline().remaining()
    await database.sessions.save(
        venue.id, who, sealed, key_id=seal.key_ids[0], version=None, within=within, password=kept
    )


def _credentials(who: str, password: str) -> dict[str, str]:
    """Return what is sealed to log in again, with the address as it was typed."""
    return {"username": who, "password": password}


def _refuse_other_key(seal: Seal, stored: Sequence[str]) -> None:
    """Refuse a key that no stored login was sealed with, because the function has another one.

    Raises:
        CommandFailed: all stored logins were sealed with other keys.

    """
    if stored and not set(stored) & set(seal.key_ids):
        raise CommandFailed(
            "SESSION_ENCRYPTION_KEY is not the key that encrypted the stored logins: set the function's key here too,"
            " or say --new-key if you have replaced it there (everybody logs in again then)."
        )


def _read_password(who: str, *, remember: bool) -> str:
    """Prompt for the password without echo, or read the first line of standard input if that is not a terminal.

    Raises:
        BadInput: there is none, or it is too long to be remembered.

    """
    if sys.stdin.isatty():
        password = str(typer.prompt(f"Password of {who} at the venue", hide_input=True, err=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise BadInput("There is no password: type it, or give it on standard input.")
    if remember and sealed_size(_credentials(who, password)) > SEALED_LIMIT:
        raise BadInput("The password is too long to be remembered: log in without --remember.")
    return password


def _refuse_conflict(result: SetBoxResult, venue: VenueView, who: str) -> None:
    if result.verdict == "box_taken":
        cure = f'prebooking login "{result.name}" --member {who}'
        raise CommandFailed(f'{venue.name} is the same box as "{result.name}": pause {venue.name}, and {cure}')
    if result.verdict == "other_box":
        raise CommandFailed(
            f"{venue.name} was given another box at the same time: look at `prebooking venue list --json`."
        )


def _box_at(venue: VenueView, boxes: Sequence[Box]) -> str | None:
    """Return the number of the venue's box among the member's boxes; None if the venue needs no change.

    Raises:
        CommandFailed: the member is at other boxes, or at several boxes of this host.

    """
    here = [box.box_id for box in boxes if box.host == venue.host and box.box_id]
    if boxes and not here:
        there = ", ".join(f"{box.name} ({box.host})" for box in boxes)
        raise CommandFailed(f"This account is not a member at {venue.host}, but at {there}.")
    if venue.provider_box_id is None and len(here) == 1:
        return here[0]
    if venue.provider_box_id is None or (here and venue.provider_box_id not in here):
        raise CommandFailed(
            f"Which box of {venue.host} is it? Add the venue with --box and one of {', '.join(here) or 'its numbers'}."
        )
    return None
