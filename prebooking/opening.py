"""When a class can be booked: a venue's rule, on the gym's own clock.

Gyms say their times without an offset, so every step is taken on the local clock and only the end is converted, with
the offset of *that* date. Twice a year a local clock has an hour that does not exist, and one that comes twice:

- A time in the gap is read with the offset from before it, so it lies as far behind the gap as it stood inside it:
  02:30 on the night the clocks go from 02:00 to 03:00 is 03:30.
- A time that comes twice is the first of the two: an opening that is early is asked about again, a late one is lost.

Both are what calendars do (RFC 5545, 3.3.5), and what a fold of 0 means (PEP 495). SQL follows the same rule in
``prebooking_local_instant``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

from prebooking.errors import BadInput

# Exactly what the database takes: venues.opening_rule has the same pattern.
RULE = re.compile(r"([1-9][0-9]{0,2}) (?:(days?) before(?: at ([01][0-9]|2[0-3]):([0-5][0-9]))?|hours? before)")


@dataclass(frozen=True, slots=True)
class OpeningRule:
    """How long before a class its booking opens.

    One of three kinds: the same clock some days before ("4 days before"), a fixed clock some days before ("3 days
    before at 20:00"), or so many hours that pass ("72 hours before", which in the week of a clock change is another
    hour of the day than "3 days before").
    """

    days: int = 0
    hours: int = 0
    at: time | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule as it is written on the venue.

        Raises:
            BadInput: it is none.

        """
        found = RULE.fullmatch(" ".join(text.lower().split()))
        if not found:
            raise BadInput(
                'The opening rule cannot be read: write it like "4 days before", "72 hours before" or'
                ' "3 days before at 20:00".',
            )
        number, in_days, hour, minute = found.groups()
        if not in_days:
            return cls(hours=int(number))
        return cls(days=int(number), at=time(int(hour), int(minute)) if hour else None)

    def __str__(self) -> str:
        if self.hours:
            return f"{self.hours} hour{'s' * (self.hours > 1)} before"
        fixed = f" at {self.at:%H:%M}" if self.at else ""
        return f"{self.days} day{'s' * (self.days > 1)} before{fixed}"

    def opening(self, starts: datetime, zone: ZoneInfo) -> datetime:
        """Return the instant, in UTC, at which a class can be booked; ``starts`` is its start on the gym's clock."""
        if self.hours:
            return instant(starts, zone) - timedelta(hours=self.hours)
        day = _naive(starts) - timedelta(days=self.days)
        return instant(datetime.combine(day, self.at) if self.at else day, zone)


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the gym's clock shows this; gaps and folds as this module's head says."""
    return _naive(local).replace(tzinfo=zone, fold=0).astimezone(UTC)


def parse_timezone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name, as it is written there.

    Raises:
        BadInput: there is none, or it is an abbreviation, which says nothing about the clock changes of a place.

    """
    known = {zone for zone in available_timezones() if "/" in zone} | {"UTC"}
    if name in known:
        return ZoneInfo(name)
    near = get_close_matches(name.strip().replace(" ", "_").title(), known, n=1)
    cure = f"did you mean {near[0]}?" if near else "write it like Europe/Madrid."
    raise BadInput(f"There is no such time zone; {cure}")


def _naive(local: datetime) -> datetime:
    if local.tzinfo is not None:
        raise ValueError("a time on the gym's clock has no offset: leave tzinfo out")
    return local
