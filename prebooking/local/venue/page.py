"""The formats in which the venue twin writes its pages: every variant that a client must be able to read.

By default a page uses the simplest formats. A test or a simulation changes some of them, or chooses all at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

HOURS: dict[str, Callable[[datetime, datetime], str]] = {
    "24 hours": lambda begins, ends: f"{begins:%H:%M} - {ends:%H:%M}",
    "12 hours": lambda begins, ends: f"{begins:%I:%M} {_half(begins)} - {ends:%I:%M} {_half(ends)}",
    "pm at the end": lambda begins, ends: f"{begins:%I:%M} - {ends:%I:%M}{_half(ends)}",
    "dots": lambda begins, ends: f"{begins:%H.%M} - {ends:%H.%M}",
    "h": lambda begins, ends: f"{begins.hour}h{begins:%M} - {ends.hour}h{ends:%M}",
    "words": lambda begins, ends: f"{begins:%H:%M}h a {ends:%H:%M}h",
    "no-break": lambda begins, ends: f"{begins:%H:%M}\u00a0\u2013\u00a0{ends:%H:%M}",
    "begin": lambda begins, _ends: f"{begins.hour}:{begins:%M}",
}
NAMES: dict[str, Callable[[str], str]] = {
    "plain": lambda name: name,
    "blanks": lambda name: f" {name}\u00a0",
    "entities": lambda name: "".join(f"&#{ord(letter)};" for letter in name),
    "surrogate": lambda name: f"{name} \ud800",
    "capitals": str.upper,
}
LISTS: dict[str, Callable[[list[Any]], Any]] = {
    "list": lambda entries: entries,
    "object": lambda entries: {str(number): entry for number, entry in enumerate(entries)},
    "gaps": lambda entries: {str(3 * number + 1): entry for number, entry in enumerate(entries)},
    "null if empty": lambda entries: entries or None,
}
NUMBERS: dict[str, Callable[[int], Any]] = {"number": int, "text": str, "blanks": lambda number: f" {number} "}
COOKIES = {
    "plain": "Path=/; Secure; HttpOnly",
    "partitioned": "Path=/; Secure; SameSite=None; Partitioned",
    "unheard of": "Priority=High; tilt=[1; Path=/",
}


def _half(moment: datetime) -> str:
    return "am" if moment.hour < 12 else "pm"  # noqa: PLR2004 - noon


@dataclass(slots=True)
class Page:
    """The formats. ``hours``, ``names``, ``lists``, ``numbers`` and ``cookies`` are keys of the tables above.

    Attributes:
        behind: delay of the day's list behind the ledger, in seconds (delays of up to 6 s were observed).
        closed: numbers of classes that accept no bookings (``enabled`` 0).
        cancelled: numbers of cancelled classes (``cancelledId``).
        keeps_marks: a cancelled booking is still marked as booked, together with a ``cancelledId``.

    """

    hours: str = "24 hours"
    names: str = "plain"
    lists: str = "list"
    numbers: str = "number"
    cookies: str = "plain"
    behind: float = 0.0
    closed: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    keeps_marks: bool = False

    @classmethod
    def at_random(cls, dice: Random) -> Page:
        """Return a page with a random entry of every table, and a random delay of the day's list."""
        page = cls(behind=dice.choice([0.0, dice.uniform(0, 6)]), keeps_marks=dice.choice([False, True]))
        page.hours, page.names = dice.choice(list(HOURS)), dice.choice(list(NAMES))
        page.lists, page.numbers = dice.choice(list(LISTS)), dice.choice(list(NUMBERS))
        page.cookies = dice.choice(list(COOKIES))
        return page

    def label(self, clock: str) -> str:
        """Return the label of a one-hour class that begins at ``clock`` (HH:MM)."""
        begins = datetime.strptime(clock, "%H:%M")  # noqa: DTZ007 - on the gym's clock
        return HOURS[self.hours](begins, begins + timedelta(hours=1))

    def flags(self, class_id: str, *, cancelled_by_member: bool) -> dict[str, Any]:
        """Return the fields that show whether a class, or the member's booking of it, is closed or cancelled."""
        is_off = class_id in self.cancelled or (cancelled_by_member and self.keeps_marks)
        return {"enabled": int(class_id not in self.closed), "cancelledId": 77 if is_off else None}
