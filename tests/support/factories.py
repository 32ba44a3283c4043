"""Rows with default values, which a test overrides."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from tests.support.database import Connection

_numbers = itertools.count(1)


def noon(seconds: float = 0) -> datetime:
    """Return an instant, in seconds after the noon of the tests."""
    return datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def add_venue(connection: Connection, **overrides: Any) -> UUID:
    """Add a venue that can be booked."""
    number = next(_numbers)
    venue = {"name": f"Venue {number}", "provider": "webhook", "timezone": "Europe/Madrid", "host": f"{number}.example"}
    return insert_with_id(connection, "venues", venue | overrides)


def add_prebooking(connection: Connection, venue: UUID, **overrides: Any) -> UUID:
    """Add a prebooking that became due one second ago on the database's clock, unless ``available_at`` is given.

    It was created a day before its opening, and each one a millisecond after the previous one.
    """
    number = next(_numbers)
    data = {"class_id": number, "day": "20261123"}
    row = {"venue_id": venue, "user_email": f"member{number}@example.com", "booking_data": data}
    if "available_at" not in overrides:
        (row["available_at"],) = connection.execute(
            "select public.prebooking_clock() - interval '1 second'"
        ).fetchone() or (None,)
    row |= overrides
    if isinstance(row["available_at"], datetime):
        row.setdefault("created_at", row["available_at"] - timedelta(days=1) + timedelta(milliseconds=number))
    return insert_with_id(connection, "prebookings", row)


def add_session(connection: Connection, venue: UUID, member: str, **overrides: Any) -> None:
    """Add a member's login at a venue. Its default sealed session cannot be opened."""
    session = {"venue_id": venue, "user_email": member, "sealed": "sealed", "refreshed_at": noon()}
    _insert(connection, "member_sessions", session | overrides)


def insert_with_id(connection: Connection, table: LiteralString, row: dict[str, Any]) -> UUID:
    """Insert a row with an id of its own, unless it is given, and return the id."""
    row = {"id": uuid4()} | row
    _insert(connection, table, row)
    return UUID(str(row["id"]))


def _insert(connection: Connection, table: LiteralString, row: dict[str, Any]) -> None:
    row = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in row.items()}
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(map(sql.Placeholder, row))
    connection.execute(
        sql.SQL("insert into public.{} ({}) values ({})").format(sql.Identifier(table), columns, values), row
    )


def change(owner: Connection, row: UUID, what: str) -> None:
    """Change columns of a prebooking, given as SQL."""
    owner.execute(b"update public.prebookings set " + what.encode() + b" where id = %s", [row])
