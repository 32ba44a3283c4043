"""Days and times, as they are typed and as they are shown: always on the gym's own clock."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prebooking.errors import BadInput, CommandFailed
from prebooking.model import Venue
from prebooking.opening import instant

UNKNOWN_TIMEZONE = "has a time zone that is not known here: set venues.timezone to a name like Europe/Madrid"

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def parse_day(text: str, *, now: datetime, zone: ZoneInfo) -> date:
    """Read a day: 2026-12-04, "today" or "tomorrow" (where the gym is).

    Raises:
        BadInput: it is none, or it is over.

    """
    today = now.astimezone(zone).date()
    day = {"today": today, "tomorrow": today + timedelta(days=1)}.get(text.lower()) or _date(text)
    if day < today:
        raise BadInput(f"{day:%a %d %b %Y} is over: today is {today.isoformat()} where the gym is.")
    return day


def parse_time(text: str) -> time:
    """Read a time of day, 08:00 or 8:00. Raises BadInput."""
    if not (found := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text, re.ASCII)):
        raise BadInput(f'"{text}" is no time of day: write it like 08:00.')
    return time(int(found[1]), int(found[2]))


def parse_instant(text: str, zone: ZoneInfo) -> datetime:
    """Read an instant on the gym's clock, 2026-12-01 20:00, with seconds if need be; return it in UTC.

    Raises:
        BadInput: it is none. One with an offset of its own needs no zone.

    """
    if _INSTANT.fullmatch(text.strip()):
        try:
            local = datetime.fromisoformat(text.strip())
            return instant(local, zone) if local.tzinfo is None else local.astimezone(UTC)
        except (ValueError, OverflowError):  # no such day or hour, or one that is outside the calendar in UTC
            pass
    raise BadInput(f'"{text}" is no instant: write it like "2026-12-01 20:00", on the gym\'s clock.')


def format_instant(when: datetime, zone: str, *, seconds: bool = False) -> str:
    """Return an instant as the gym's clock shows it; in UTC, and saying so, where that clock is not known."""
    local = _on_clock(when, zone)
    return f"{local or when.astimezone(UTC):%a %d %b %H:%M{':%S' if seconds else ''}}{'' if local else ' UTC'}"


def timezone_of(venue: Venue) -> ZoneInfo:
    """Return the time zone of a venue. Raises CommandFailed, if it is not known here: then no day can be read."""
    zone = find_timezone(venue.timezone)
    if zone is None:
        raise CommandFailed(f"{venue.name} {UNKNOWN_TIMEZONE}")
    return zone


def find_timezone(name: str) -> ZoneInfo | None:
    """Return a time zone by its name; None: it is not known here (whoever adds a venue by SQL may write anything)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # not there, no name of a file, or that of a folder
        return None


def format_duration(span: timedelta) -> str:
    """Return a duration in its two largest units, "2 d 3 h"; what is over counts like what is ahead."""
    left = abs(int(span.total_seconds()))
    units = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if count := left // size:
            units.append(f"{count} {unit}")
        left %= size
    return " ".join(units[:2]) or "0 s"


def _on_clock(when: datetime, zone: str) -> datetime | None:
    known = find_timezone(zone)
    try:
        return when.astimezone(known) if known else None
    except OverflowError:  # the calendar's first or last day
        return None


def _date(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise BadInput(f'"{text}" is no day: write it like 2026-12-04, or say today or tomorrow.')
