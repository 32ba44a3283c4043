"""Requested classes: their booking data, their openings, and adding them as prebookings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from shlex import quote
from typing import Any
from uuid import uuid4

from prebooking.cli.database import AdminDatabase
from prebooking.cli.dates import parse_instant, timezone_of
from prebooking.cli.lookup import ID_LENGTH
from prebooking.database.operator import AddResult, NewPrebooking, VenueView
from prebooking.errors import BadInput, CommandFailed
from prebooking.local_time import format_instant
from prebooking.systems import Ability, can

DATA_LIMIT = 6144  # bytes; equals the constraint booking_data_is_short
_EXAMPLE = '{"class_id": "4711"}'


@dataclass(frozen=True, slots=True)
class RequestedClass:
    """A class to prebook; ``opens`` is None if the venue has no opening rule."""

    name: str
    data: Mapping[str, Any]
    begins: datetime
    opens: datetime | None


def parse_data(text: str, *, example: str = _EXAMPLE, needs_class_id: bool = True) -> dict[str, Any]:
    """Parse the booking data of ``--data``.

    Raises:
        BadInput: it is not a JSON object with a class_id, or the database cannot store it.

    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
        kept = json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # half a surrogate pair raises UnicodeEncodeError
        data, kept = None, b""
    if not isinstance(data, dict) or "\\u0000" in json.dumps(data):
        raise BadInput(f"--data is not a JSON object: write it like '{example}'.")
    class_id = data.get("class_id") if needs_class_id or "class_id" in data else "none"
    if isinstance(class_id, bool) or not isinstance(class_id, str | int) or not str(class_id).strip():
        raise BadInput(f"--data needs a class_id, by which a class is recognised: write it like '{example}'.")
    if len(kept) > DATA_LIMIT:
        raise BadInput(f"--data is too long: at most {DATA_LIMIT} bytes.")
    return data


def refuse_template(class_id: str, needed: Sequence[str], *, example: str) -> None:
    """Raise BadInput if the class_id of a repeat lacks a needed placeholder, or has an unknown one."""
    for placeholder in needed:
        if placeholder not in class_id:
            raise BadInput(
                f"A class_id is one class, so that of a repeat needs {placeholder}: write it like '{example}'."
            )
    if unknown := re.search(r"\{(?!day\}|starts_at\})\w*\}", class_id):
        raise BadInput(f"{unknown[0]} is not replaced in a class_id, only {{day}} and {{starts_at}} are: '{example}'.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def format_add(venue: VenueView, who: str, day: date, clock: time, template: Mapping[str, Any]) -> str:
    """Return the command that asks for the class of a repeat on one day."""
    if can(venue.provider, Ability.TIMETABLE):
        name = f" --class {quote(template['class_name'])}" if "class_name" in template else ""
        which = name + " --waiting-list" * ("insist" in template)
    else:
        data = json.dumps(template, ensure_ascii=False)
        which = f" --data {quote(data.replace('{day}', f'{day}').replace('{starts_at}', f'{clock:%H:%M}'))}"
    return f'prebooking add "{venue.name}" {day} {clock:%H:%M}{which} --member {who}'


def choose_opening(requested: RequestedClass, venue: VenueView, given: str | None, now: datetime) -> datetime:
    """Return when booking opens: as ``--opens`` says, otherwise by the venue's rule. Raises BadInput."""
    if requested.begins <= now:
        raise BadInput(f"{requested.name} has begun: {format_instant(requested.begins, venue.timezone)} is over.")
    opens = parse_instant(given, timezone_of(venue)) if given else requested.opens
    if opens is None:
        raise BadInput(f'{venue.name} has no rule when booking opens: say --opens "2026-12-01 20:00".')
    if opens >= requested.begins:
        raise BadInput("Booking cannot open when the class has begun already: look at --opens.")
    return opens


async def add_prebookings(
    database: AdminDatabase,
    venue: VenueView,
    who: str,
    choices: Sequence[RequestedClass],
    opens: Sequence[datetime],
    *,
    again: bool,
    anyway: bool,
) -> list[str]:
    """Add a prebooking per choice, all or none, and return the short ids. Raises CommandFailed if one is refused."""
    new = [
        NewPrebooking(uuid4(), choice.data, available_at, choice.begins)
        for choice, available_at in zip(choices, opens, strict=True)
    ]
    result = await database.operator.add_prebookings(
        new, venue_id=venue.id, user_email=who, again=again, anyway=anyway, until=database.deadline()
    )
    if result.verdict != "added":
        raise CommandFailed(_explain_refusal(result, choices[result.choice - 1], who))
    return [str(each.id)[:ID_LENGTH] for each in new]


def _explain_refusal(result: AddResult, requested: RequestedClass, who: str) -> str:
    short, other = str(result.id)[:ID_LENGTH], result.class_name or "another class"
    return {
        "waiting": f"{who} waits for this class already ({short}): cancel it first to ask in another way.",
        "booked": f"This class is booked for {who} already ({short}): say --again if the venue cancelled the place.",
        "same_hour": f"{who} has {other} at {result.venue} at that hour ({short}): say --anyway to ask for both.",
        "too_many": f"{who} has five prebookings for this opening already: cancel one of them first.",
        "begun": f"{requested.name} has begun, by the database's clock.",
        "no_venue": "The venue is gone.",
        "bad_data": f"This class cannot be booked: {result.why}",
    }[result.verdict]
