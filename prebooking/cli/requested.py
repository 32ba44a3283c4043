"""A class that is asked for: what is kept of it, and why it may be refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from prebooking.cli.database import AdminDatabase
from prebooking.cli.dates import format_instant, parse_instant, timezone_of
from prebooking.cli.lookup import ID_LENGTH
from prebooking.errors import BadInput, CommandFailed
from prebooking.operator import AddResult, VenueView

DATA_LIMIT = 6144  # bytes: booking_data_is_short in the migrations
_EXAMPLE = '{"class_id": "4711"}'


@dataclass(frozen=True, slots=True)
class RequestedClass:
    """A class, when it begins, and when its booking opens by the venue's rule; None: there is no rule."""

    name: str
    data: Mapping[str, Any]
    begins: datetime
    opens: datetime | None


def parse_data(text: str) -> dict[str, Any]:
    """Read what an endpoint is to know of a class.

    Raises:
        BadInput: it is no JSON object with a class_id that the database can keep.

    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
        kept = json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # UnicodeEncodeError is a ValueError: half a character
        data, kept = None, b""
    if not isinstance(data, dict) or "\\u0000" in json.dumps(data):
        raise BadInput(f"--data is no JSON object: write it like '{_EXAMPLE}'.")
    class_id = data.get("class_id")
    if isinstance(class_id, bool) or not isinstance(class_id, str | int) or not str(class_id).strip():
        raise BadInput(f"--data needs a class_id, by which a class is recognised: write it like '{_EXAMPLE}'.")
    if len(kept) > DATA_LIMIT:
        raise BadInput(f"--data is too long: at most {DATA_LIMIT} bytes.")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def choose_opening(asked: RequestedClass, venue: VenueView, given: str | None, now: datetime) -> datetime:
    """Return when booking opens: as the member says, or else by the venue's rule. Raises BadInput."""
    if asked.begins <= now:
        raise BadInput(f"{asked.name} has begun: {format_instant(asked.begins, venue.timezone)} is over.")
    opens = parse_instant(given, timezone_of(venue)) if given else asked.opens
    if opens is None:
        raise BadInput(f'{venue.name} has no rule when booking opens: say --opens "2026-12-01 20:00".')
    if opens >= asked.begins:
        raise BadInput("Booking cannot open when the class has begun already: look at --opens.")
    return opens


async def ask(
    database: AdminDatabase,
    venue: VenueView,
    who: str,
    asked: RequestedClass,
    opens_at: datetime,
    *,
    again: bool,
    anyway: bool,
) -> str:
    """Add the prebooking, and return the beginning of its id. Raises CommandFailed, if it is refused."""
    verdict = await database.operator.add_prebooking(
        uuid4(),
        venue_id=venue.id,
        user_email=who,
        booking_data=asked.data,
        available_at=opens_at,
        expires_at=asked.begins,
        again=again,
        anyway=anyway,
        until=database.deadline(),
    )
    if verdict.verdict != "added":
        raise CommandFailed(_why_not(verdict, asked, who))
    return str(verdict.id)[:ID_LENGTH]


def _why_not(verdict: AddResult, asked: RequestedClass, who: str) -> str:
    short, other = str(verdict.id)[:ID_LENGTH], verdict.class_name or "another class"
    return {
        "waiting": f"{who} waits for this class already ({short}): cancel it first to ask in another way.",
        "booked": f"This class is booked for {who} already ({short}): say --again if the place was given back.",
        "same_hour": f"{who} has {other} at {verdict.venue} at that hour ({short}): say --anyway to ask for both.",
        "too_many": f"{who} has five prebookings for this opening already: cancel one of them first.",
        "begun": f"{asked.name} has begun, by the database's clock.",
        "no_venue": "The venue is gone.",
        "bad_data": f"This class cannot be booked: {verdict.why}",
    }[verdict.verdict]
