"""The venues, classes and members of the demo: four venues, six openings, thirty-four members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from prebooking.local.stack import Stack


@dataclass(frozen=True, slots=True)
class Opening:
    """A class that opens ``ahead`` seconds from now (in the past, if negative), and its members in their order."""

    venue: str
    class_id: str
    ahead: float
    members: str
    places: int = 20
    waiting_list: int = 0
    name: str = ""  # of a class whose id is a number

    @property
    def emails(self) -> list[str]:
        """Return the members' addresses, in order."""
        return [f"{name.lower()}@example.com" for name in self.members.split()]


LEFT_BEHIND = Opening("Old Mill", "swimming", -2.0, "Ada Ben")
AT_ONCE = Opening("Old Mill", "yoga", -0.5, "Cleo Dan Eve Finn Gus Hana")
FULL = Opening(
    "Harbour", "rowing", 4.0, "Ines Jon Kim Leo Mia Ned Olga Pia Quin Rosa Sam Tess", places=8, waiting_list=2
)
AHEAD = Opening("Old Mill", "boxing", 4.0, "Udo Vera Will Xena Yara Zoe")
BOX = Opening("Forge", "2001", 4.0, "Fay Gil Hugo Ivy", places=3, name="crossfit")
SLOW = Opening("Station", "spinning", 4.0, "Abel Bea Carl Dora")

_VENUE = """
insert into public.venues (name, provider, timezone) values (%s, 'webhook', 'Europe/Madrid')
"""
_PREBOOKING = """
insert into public.prebookings (venue_id, user_email, booking_data, available_at)
select id, %s, %s, %s from public.venues where name = %s
"""


def add_venues(connection: psycopg.Connection[Any], names: Iterable[str]) -> None:
    """Add venues with the provider webhook."""
    for name in names:
        connection.execute(_VENUE, [name])


def prebook(stack: Stack, openings: Iterable[Opening]) -> datetime:
    """Add the prebookings of these openings in one transaction; return the instant to which ``ahead`` is relative."""
    with stack.connection.transaction(), stack.connection.cursor() as cursor:
        (now,) = cursor.execute("select public.prebooking_clock()").fetchone() or (stack.twin.now(),)
        for opening in openings:
            opens_at = now + timedelta(seconds=opening.ahead)
            day = f"{opens_at:%Y%m%d}"
            stack.twin.open_class(
                opening.class_id,
                opens_at=opens_at,
                capacity=opening.places,
                waiting_list=opening.waiting_list,
                name=opening.name,
                day=day,
            )
            data = {"class_id": opening.class_id, "class_name": opening.name or opening.class_id}
            data |= {"day": day} if opening.name else {}
            cursor.executemany(_PREBOOKING, [(email, Jsonb(data), opens_at, opening.venue) for email in opening.emails])
    return now
