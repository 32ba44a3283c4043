"""Repeats and absences, added by the database's functions."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb

from tests.support.database import Connection
from tests.support.factories import add_venue
from tests.support.questions import ask

ANA = "ana@example.com"
TUESDAY, WEDNESDAY = 2, 3
NOTHING = {"repeats": 0, "made": 0, "moved": 0, "cancelled": 0, "problems": 0, "more": False}


def add_gym(connection: Connection, **overrides: Any) -> UUID:
    """Add a venue with an opening rule."""
    return add_venue(connection, **{"opening_rule": "4 days before"} | overrides)


def add_repeat(connection: Connection, venue: UUID, **overrides: Any) -> dict[str, Any]:
    """Add a repeat, by default Ana's of every Tuesday at 18:00; return the answer."""
    repeat = {"id": uuid4(), "venue": venue, "member": ANA, "weekday": TUESDAY, "starts_at": time(18)}
    repeat |= {"data": {"class_id": "wod {day} {starts_at}"}, "later": [], "last_day": None}
    repeat |= overrides
    repeat["later"] = Jsonb(repeat["later"])
    answer: dict[str, Any] = ask(connection, "add_repeat_v1", *repeat.values())
    return answer


def add_absence(connection: Connection, first: str, last: str | None = None, **overrides: Any) -> dict[str, Any]:
    """Add an absence of Ana's on these days; return the answer."""
    absence = {"id": uuid4(), "member": ANA, "first": date.fromisoformat(first)}
    absence |= {"last": date.fromisoformat(last or first)}
    answer: dict[str, Any] = ask(connection, "add_absence_v1", *(absence | overrides).values())
    return answer


def make(connection: Connection, limit: int = 100) -> dict[str, Any]:
    """Make the prebookings of the repeats that are due; return the answer."""
    answer: dict[str, Any] = ask(connection, "make_repeats_v1", limit)
    return answer


def look_again(connection: Connection) -> dict[str, Any]:
    """Make the prebookings of all repeats, whether they are due or not."""
    connection.execute("update public.repeats set due_at = public.prebooking_clock() where due_at is not null")
    return make(connection)


def ids(briefs: list[dict[str, Any]]) -> list[UUID]:
    """Return the ids of an answer's prebookings."""
    return [UUID(brief["id"]) for brief in briefs]


def by_start(owner: Connection) -> list[UUID]:
    """Return the ids of all prebookings in the order in which their classes begin."""
    return [row for (row,) in owner.execute("select id from public.prebookings order by expires_at").fetchall()]


def local(instant: datetime, zone: str = "Europe/Madrid") -> str:
    """Return an instant in local time, like "Tue 2026-12-01 18:00"."""
    return f"{instant.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"


def rows(connection: Connection, status: str = "pending", zone: str = "Europe/Madrid") -> list[tuple[str, str]]:
    """Return when each prebooking opens and when its class begins, in local time, in the order of the classes."""
    query = "select available_at, expires_at from public.prebookings where status = %s order by expires_at, created_at"
    found = connection.execute(query, [status]).fetchall()
    return [(local(opens, zone), local(begins, zone)) for opens, begins in found]


def begins(connection: Connection, status: str = "pending") -> list[str]:
    """Return when the class of each prebooking begins, in local time."""
    return [starts for _, starts in rows(connection, status)]
