"""The choices of one ``prebooking add``: the class that is asked for first, and the later ones of ``--else``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

from prebooking.cli.dates import find_weekday, parse_day, parse_time
from prebooking.cli.requested import RequestedClass
from prebooking.errors import BadInput, CommandFailed
from prebooking.local_time import format_instant
from prebooking.model import Venue

MOST_LATER = 3
_LATER = re.compile(r"(?:([^\s:]+)\s+)?([^\s:]+:[^\s:]+)(?:\s+(\S.*))?")


@dataclass(frozen=True, slots=True)
class Choice:
    """The day and hour of a class; ``class_name`` is its name or number, or None if only one class begins then."""

    day: date
    clock: time
    class_name: str | None


def parse_choices(first: Choice, later: Sequence[str], *, now: datetime, zone: ZoneInfo) -> list[Choice]:
    """Return the first choice and those of ``--else``: "19:30", "wed 07:00" or "2026-12-04 19:30 Open Box".

    Without a day it is the day of the first choice, without a name the name of ``--class``. Raises BadInput.
    """
    if len(later) > MOST_LATER:
        raise BadInput(f"--else can be given {MOST_LATER} times at most, because every choice is one more prebooking.")
    return [first, *(_parse_later(text.strip(), first, now, zone) for text in later)]


def ordinal(number: int) -> str:
    """Return "1st choice" for 1, and so on."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') } choice"


def refuse_useless(choices: Sequence[RequestedClass], opens: Sequence[datetime], venue: Venue) -> None:
    """Raise an error if two choices are one class, or if a later one begins before booking of an earlier one opens."""
    for (number, earlier), (_, later) in combinations(enumerate(choices), 2):
        begins = format_instant(later.begins, venue.timezone)
        if str(earlier.data["class_id"]).strip() == str(later.data["class_id"]).strip():
            raise BadInput(f"{later.name}, {begins}, is chosen twice: leave one of the two out.")
        if later.begins <= opens[number]:
            raise CommandFailed(
                f"{later.name} begins {begins}, before booking opens for {earlier.name}"
                f" ({format_instant(opens[number], venue.timezone)}): ask for it first, or in a prebooking of its own."
            )


def _parse_later(text: str, first: Choice, now: datetime, zone: ZoneInfo) -> Choice:
    if not (found := _LATER.fullmatch(text)):
        raise BadInput(f'--else "{text}" is not a time of day: write it like "19:30" or "wed 07:00".')
    day, hour, name = found.groups()
    clock = parse_time(hour)
    when = first.day if day is None else _nearest(day, first.day, now.astimezone(zone).date())
    is_number = (first.class_name or "").isdecimal()  # of the first class alone
    return Choice(when or parse_day(day, now=now, zone=zone), clock, name or (None if is_number else first.class_name))


def _nearest(weekday: str, day: date, today: date) -> date | None:
    """Return the day with this name that is nearest to ``day`` and not over; None if it is no name of a weekday."""
    if (number := find_weekday(weekday)) is None:
        return None
    nearest = day + timedelta(days=(number - day.weekday() + 3) % 7 - 3)
    return nearest if nearest >= today else nearest + timedelta(days=7)
