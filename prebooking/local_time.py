"""Formats instants and durations, always in the gym's local time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def format_instant(when: datetime, zone: str, *, seconds: bool = False) -> str:
    """Format an instant in the gym's local time, or in UTC with a suffix if the time zone is unknown."""
    local = _to_local(when, zone)
    return f"{local or when.astimezone(UTC):%a %d %b %H:%M{':%S' if seconds else ''}}{'' if local else ' UTC'}"


def find_timezone(name: str) -> ZoneInfo | None:
    """Return the time zone with this name, or None if it is unknown. Venues added by SQL may have any name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # missing, not a valid file name, or a folder
        return None


def format_duration(span: timedelta) -> str:
    """Format a duration in its two largest units, like "2 d 3 h"; the sign is dropped."""
    remaining = abs(int(span.total_seconds()))
    units = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if count := remaining // size:
            units.append(f"{count} {unit}")
        remaining %= size
    return " ".join(units[:2]) or "0 s"


def _to_local(when: datetime, zone: str) -> datetime | None:
    found = find_timezone(zone)
    try:
        return when.astimezone(found) if found else None
    except OverflowError:  # the first or last day of the calendar
        return None
