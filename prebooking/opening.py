"""Opening rules: when the booking of a class opens, on the gym's local clock.

Gyms publish times without a UTC offset. So a rule is applied to local times, and only the result is converted to UTC,
with the offset of its own date. A change of the clocks makes one hour invalid and another one ambiguous:

- A time in the skipped hour uses the offset from before the change: when clocks go from 02:00 to 03:00, 02:30 is read
  as 03:30.
- A time in the repeated hour means the first of the two, because a call that is too early is repeated, and a late call
  loses its place.

RFC 5545 (3.3.5) and a fold of 0 (PEP 495) say the same. The SQL function ``prebooking_local_instant`` does so too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

from prebooking.errors import BadInput

# The constraint of venues.opening_rule in the database has the same pattern.
RULE = re.compile(r"([1-9][0-9]{0,2}) (?:(days?) before(?: at ([01][0-9]|2[0-3]):([0-5][0-9]))?|hours? before)")


@dataclass(frozen=True, slots=True)
class OpeningRule:
    """How long before a class its booking opens.

    There are three kinds: at the same time of day some days before ("4 days before"), at a fixed time of day some days
    before ("3 days before at 20:00"), or a number of elapsed hours before ("72 hours before"). In the week of a clock
    change, "72 hours before" and "3 days before" differ by an hour.
    """

    days: int = 0
    hours: int = 0
    at: time | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a rule like "4 days before".

        Raises:
            BadInput: the text is not an opening rule.

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
        """Return the UTC instant at which booking opens for a class that starts at ``starts``, a local time."""
        if self.hours:
            return instant(starts, zone) - timedelta(hours=self.hours)
        day = _naive(starts) - timedelta(days=self.days)
        return instant(datetime.combine(day, self.at) if self.at else day, zone)


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Convert a local time to UTC; the module's docstring defines skipped and repeated hours."""
    return _naive(local).replace(tzinfo=zone, fold=0).astimezone(UTC)


def parse_timezone(name: str) -> ZoneInfo:
    """Return the time zone with this IANA name.

    Raises:
        BadInput: the name is unknown, or an abbreviation like CET, which does not define a place's clock changes.

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
