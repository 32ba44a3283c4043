"""Parses days and times, always in the gym's local time."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from prebooking.errors import BadInput, CommandFailed
from prebooking.local_time import find_timezone
from prebooking.model import Venue
from prebooking.opening import instant

UNKNOWN_TIMEZONE = "has a time zone that is not known here: set venues.timezone to a name like Europe/Madrid"

_SHORTEST_WEEKDAY = 3  # letters
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def parse_day(text: str, *, now: datetime, zone: ZoneInfo) -> date:
    """Parse a day: 2026-12-04, "today" or "tomorrow" in the gym's time zone.

    Raises:
        BadInput: the text is not a day, or the day is in the past.

    """
    today = now.astimezone(zone).date()
    day = read_day(text, today)
    if day < today:
        raise BadInput(f"{day:%a %d %b %Y} is over: today is {today.isoformat()} where the gym is.")
    return day


def read_day(text: str, today: date) -> date:
    """Read a day, also one in the past: 2026-12-04, "today" or "tomorrow". Raises BadInput."""
    return {"today": today, "tomorrow": today + timedelta(days=1)}.get(text.lower()) or _parse_date(text)


def find_weekday(text: str) -> int | None:
    """Return the weekday with this English name, or its first three letters or more; 0 is Monday. None: no such day."""
    name = text.strip().lower()
    found = [number for number, day in enumerate(calendar.day_name) if day.lower().startswith(name)]
    return found[0] if len(name) >= _SHORTEST_WEEKDAY and found else None


def parse_time(text: str) -> time:
    """Parse a time of day, 08:00 or 8:00. Raises BadInput."""
    if not (found := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text, re.ASCII)):
        raise BadInput(f'"{text}" is not a time of day: write it like 08:00.')
    return time(int(found[1]), int(found[2]))


def parse_instant(text: str, zone: ZoneInfo) -> datetime:
    """Parse an instant like 2026-12-01 20:00 and return it in UTC.

    Seconds are optional. Without a UTC offset the text is local time in ``zone``.

    Raises:
        BadInput: the text is not an instant.

    """
    if _INSTANT.fullmatch(text.strip()):
        try:
            local = datetime.fromisoformat(text.strip())
            return instant(local, zone) if local.tzinfo is None else local.astimezone(UTC)
        except (ValueError, OverflowError):  # no such day or time, or out of range in UTC
            pass
    raise BadInput(f'"{text}" is not a date and time: write it like "2026-12-01 20:00", on the gym\'s clock.')


def timezone_of(venue: Venue) -> ZoneInfo:
    """Return a venue's time zone. Raises CommandFailed if it is unknown on this machine."""
    zone = find_timezone(venue.timezone)
    if zone is None:
        raise CommandFailed(f"{venue.name} {UNKNOWN_TIMEZONE}")
    return zone


def _parse_date(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise BadInput(f'"{text}" is not a day: write it like 2026-12-04, or say today or tomorrow.')
