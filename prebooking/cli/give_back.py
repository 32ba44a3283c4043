"""``prebooking give-back``: give the place of a booked class back at the venue, and record that."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from prebooking.bookers.give_back import GiveBack, give_back
from prebooking.bookers.places import PlaceAccess, open_places
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.environment import environment
from prebooking.cli.lookup import ID_LENGTH, find_prebooking
from prebooking.cli.options import Member, optional_member
from prebooking.cli.prebookings import SEARCHED, describe
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import say
from prebooking.database.operator import PrebookingView
from prebooking.database.places import PlaceRecord
from prebooking.errors import CommandFailed, SettingsError, StoreError
from prebooking.local_time import format_instant
from prebooking.model import Prebooking
from prebooking.settings import VenueSettings
from prebooking.systems import SYSTEMS, Ability, can

_KEPT = 400  # days for which settled prebookings are kept
_NEW = timedelta(minutes=1)  # a venue's list may not show a place that is younger

_NOT_GIVEN_BACK = {
    GiveBack.LATE: "It is so late that the credit for {it} is lost. Nothing was done: add --late to accept that.",
    GiveBack.REFUSED: "{venue} refuses to take {it} back: look at it on the venue's own page.",
    GiveBack.UNABLE: "{venue} cannot take places back by a call: give {it} back there, as you do by hand.",
    GiveBack.STILL_BOOKED: "{it} is not given back: {venue} gave no clear answer, and still shows the place. Run this"
    " again in a minute.",
    GiveBack.BLOCKED: "{venue} refuses calls from here: wait some minutes, and check BOOKING_WEBHOOK_SECRET if it is"
    " your own endpoint. Then run this again: it asks first whether {it} is still booked.",
    GiveBack.LOGGED_OUT: '{venue} asks for a new login: prebooking login "{venue}" --member {member}, then run this'
    " again.",
    GiveBack.GONE: "{venue} does not list {it} any more: look at the venue's own page.",
    GiveBack.CANNOT_TELL: "{venue} does not tell whether {it} is booked. Nothing was done: run this again in a minute.",
    GiveBack.UNCLEAR: "Whether {it} was given back is not clear: {venue} gave no clear answer. Look at the venue's own"
    " page, or run this again in a minute: it asks first.",
}  # fmt: skip


def give_back_place(
    prebooking: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.", show_default=False)],
    *,
    member: Member = None,
    late: Annotated[bool, typer.Option("--late", help="Also if it is so late that the credit is lost.")] = False,
) -> None:
    """Give the place of a booked class back at the venue."""
    run_command(_give_back(prebooking, member, late=late))


async def _give_back(start: str, member: str | None, *, late: bool) -> None:
    settings = VenueSettings.from_environment(environment())
    async with open_database(settings) as database:
        prebookings = await database.operator.prebookings(
            optional_member(member), settled_days=_KEPT, limit=SEARCHED, until=database.deadline()
        )
        view = find_prebooking(prebookings, start)
        record = await database.places.find(view.id, view.user_email, until=database.deadline())
        row = _row_to_give_back(view, record)
        _require_variables(row, settings)
        access = PlaceAccess(settings, database.sessions, database.clock)
        async with open_places(row.venue, access) as places:
            result = await give_back(places, row, booking_id=record.booking_id, late=late, clock=database.clock)
        _refuse(view, record, result)
        await _record(database, view)
    before = " It was not booked there any more." if result is GiveBack.NOT_BOOKED else ""
    say(f"Given back: {describe(view)} at {view.venue}, {_begins(view)}.{before}")


def _row_to_give_back(view: PrebookingView, record: PlaceRecord) -> Prebooking:
    """Return the prebooking with its session. Raises CommandFailed if its place cannot be given back."""
    short = str(view.id)[:ID_LENGTH]
    at = record.given_back_at or view.expires_at
    reasons = {
        "not_found": "It is gone: look at `prebooking list`.",
        "pending": f"It is not booked yet: cancel it with `prebooking cancel {short}`.",
        "failed": f"It is not booked: it ended as {view.outcome}.",
        "cancelled": "It is not booked: it was cancelled before.",
        "given_back": f"It was given back before, {format_instant(at, view.timezone)}: ask for the class again with"
        " `prebooking add`.",
        "begun": f"The class has begun, {format_instant(at, view.timezone)}: a place is given back before that.",
        "rebooked": f"The class was asked for again: give back {str(record.other)[:ID_LENGTH]} instead.",
    }
    if record.verdict in reasons or record.row is None:
        raise CommandFailed(reasons.get(record.verdict, reasons["not_found"]))
    if not can(record.row.venue.provider, Ability.GIVE_BACK):
        raise CommandFailed(f"{view.venue} takes no places back by a call: give it back there, as you do by hand.")
    return record.row


def _require_variables(row: Prebooking, settings: VenueSettings) -> None:
    """Raise a SettingsError if a variable of the venue's system is missing."""
    if row.venue.provider not in settings.systems:
        missing = SYSTEMS[row.venue.provider].missing(environment())
        raise SettingsError(dict.fromkeys(missing, "is missing: set it here as for the function"))


def _refuse(view: PrebookingView, record: PlaceRecord, result: GiveBack) -> None:
    """Raise CommandFailed if the place may still be there."""
    it = f"{describe(view)} ({_begins(view)})"
    if result is GiveBack.NOT_BOOKED and record.age < _NEW:
        raise CommandFailed(f"{view.venue} does not show the place yet: it is new. Run this again in a minute.")
    if result in _NOT_GIVEN_BACK:
        raise CommandFailed(_NOT_GIVEN_BACK[result].format(it=it, venue=view.venue, member=view.user_email))


async def _record(database: AdminDatabase, view: PrebookingView) -> None:
    try:
        await database.places.give_back(view.id, view.user_email, until=database.deadline())
    except StoreError as exc:
        raise CommandFailed(
            f"It was given back at {view.venue}, and that could not be recorded ({exc.function}: {exc.code}): run this"
            " again, which asks the venue first."
        ) from None


def _begins(view: PrebookingView) -> str:
    return format_instant(view.expires_at, view.timezone)
