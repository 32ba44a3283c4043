"""Rows that are ordinary until a test says what is special about them."""

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
    """Return an instant, in seconds after the noon at which the tests' clocks are stopped."""
    return datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def add_venue(connection: Connection, **overrides: Any) -> UUID:
    """Add a venue that can be booked."""
    number = next(_numbers)
    venue = {"name": f"Venue {number}", "provider": "webhook", "timezone": "Europe/Madrid", "host": f"{number}.example"}
    return _insert_with_id(connection, "venues", venue | overrides)


def add_prebooking(connection: Connection, venue: UUID, **overrides: Any) -> UUID:
    """Add a member's wish that has been due for a second on the database's clock, unless ``available_at`` says else.

    It was asked for a day before its opening, and each one a millisecond after the one before.
    """
    number = next(_numbers)
    data = {"class_id": number, "day": "20261123"}
    wish = {"venue_id": venue, "user_email": f"member{number}@example.com", "booking_data": data}
    if "available_at" not in overrides:
        (wish["available_at"],) = connection.execute(
            "select public.prebooking_clock() - interval '1 second'"
        ).fetchone() or (None,)
    wish |= overrides
    if isinstance(wish["available_at"], datetime):
        wish.setdefault("created_at", wish["available_at"] - timedelta(days=1) + timedelta(milliseconds=number))
    return _insert_with_id(connection, "prebookings", wish)


def add_session(connection: Connection, venue: UUID, member: str, **overrides: Any) -> None:
    """Add a member's login at a venue; what is sealed in it is nothing that opens, unless ``sealed`` says else."""
    session = {"venue_id": venue, "user_email": member, "sealed": "sealed", "refreshed_at": noon()}
    _insert(connection, "member_sessions", session | overrides)


def _insert_with_id(connection: Connection, table: LiteralString, row: dict[str, Any]) -> UUID:
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
