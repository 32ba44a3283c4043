"""``prebooking login``: a member's password is used for one call, and what it brings is sealed and kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from prebooking.bookers.aimharder.site import Box
from prebooking.cli.database import open_database
from prebooking.cli.environment import environment
from prebooking.cli.lookup import find_venue
from prebooking.cli.options import Member, VenueName, some_member
from prebooking.cli.runner import report_errors, run_command
from prebooking.cli.site import PATIENCE, open_site
from prebooking.cli.terminal import say
from prebooking.errors import BadInput, CommandFailed, SettingsError
from prebooking.operator import SetBoxResult, VenueView
from prebooking.sessions import Seal
from prebooking.settings import AccountSettings

NewKey = Annotated[
    bool, typer.Option("--new-key", help="Although the stored logins were sealed with another key, which is lost.")
]


def login(venue: VenueName, *, member: Member = None, new_key: NewKey = False) -> None:
    """Log a member in. The password is asked for, or read from standard input, and never kept."""
    with report_errors():
        who, settings = some_member(member), AccountSettings.from_environment(environment())
        if not settings.session_encryption_key:
            cure = "is missing: it seals the login; make one with `openssl rand -base64 32`, the same for the function"
            raise SettingsError({"SESSION_ENCRYPTION_KEY": cure})
        password = _password(who)  # before there is an event loop, which would not let go at the first Ctrl-C
    run_command(_login(venue, who, password, settings, new_key=new_key))


async def _login(name: str, who: str, password: str, settings: AccountSettings, *, new_key: bool) -> None:
    seal = Seal.of(settings)
    async with open_database(settings) as database:
        venue = find_venue(await database.operator.venues(until=database.deadline()), name)
        if not new_key:
            _refuse_other_key(seal, await database.sessions.key_ids(until=database.deadline()))
        async with open_site(settings, venue) as site:
            done = await site.login(who, password, timeout=PATIENCE)
        if box_id := _box_at(venue, done.boxes):
            _refuse(await database.operator.set_box(venue.id, box_id, until=database.deadline()), venue, who)
        sealed, key_id = seal.seal(done.session.as_json(), venue_id=venue.id, member=who), seal.key_ids[0]
        within = database.deadline().remaining()
        await database.sessions.save(venue.id, who, sealed, key_id=key_id, version=None, within=within)
    say(f"{who} is logged in at {venue.name}. The login is kept sealed, the password is not kept.")


def _refuse_other_key(seal: Seal, stored: Sequence[str]) -> None:
    """Refuse a key that none of the stored logins was sealed with: the function would not have it either.

    Raises:
        CommandFailed: another key has sealed them.

    """
    if stored and not set(stored) & set(seal.key_ids):
        raise CommandFailed(
            "SESSION_ENCRYPTION_KEY is not the key that sealed the stored logins: set the function's key here too, or"
            " say --new-key if you have replaced it there (everybody logs in again then)."
        )


def _password(who: str) -> str:
    """Return the password: asked for without an echo on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        password = str(typer.prompt(f"Password of {who} at the venue", hide_input=True, err=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise BadInput("There is no password: type it, or give it on standard input.")
    return password


def _refuse(answer: SetBoxResult, venue: VenueView, who: str) -> None:
    if answer.verdict == "box_taken":
        cure = f'prebooking login "{answer.name}" --member {who}'
        raise CommandFailed(f'{venue.name} is the same box as "{answer.name}": pause {venue.name}, and {cure}')
    if answer.verdict == "other_box":
        raise CommandFailed(f"{venue.name} has got another box meanwhile: look at `prebooking venue list --json`.")


def _box_at(venue: VenueView, boxes: Sequence[Box]) -> str | None:
    """Return the number of the venue's box, by what the login says of the member's boxes; None: it says nothing.

    Raises:
        CommandFailed: the member is at other boxes, or at several of this host.

    """
    here = [box.box_id for box in boxes if box.host == venue.host and box.box_id]
    if boxes and not here:
        there = ", ".join(f"{box.name} ({box.host})" for box in boxes)
        raise CommandFailed(f"This account is no member at {venue.host}, but at {there}.")
    if venue.provider_box_id is None and len(here) == 1:
        return here[0]
    if venue.provider_box_id is None or (here and venue.provider_box_id not in here):
        raise CommandFailed(
            f"Which box of {venue.host} is it? Add the venue with --box and one of {', '.join(here) or 'its numbers'}."
        )
    return None
