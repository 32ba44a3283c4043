"""Later choices: prebookings that stand after each other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.support.calls import claim, prebooking
from tests.support.database import Connection
from tests.support.factories import add_prebooking

MEMBER = "ana@example.com"
REFUSALS = ("full", "class_gone", "too_late", "conflict_same_hour")  # after which the next choice is promoted


def add_choices(connection: Connection, venue: UUID, number: int = 3, **overrides: Any) -> list[UUID]:
    """Add this many choices of one member, the first one first."""
    rows: list[UUID] = []
    for _ in range(number):
        row = {"user_email": MEMBER, "stands_after": rows[-1] if rows else None} | overrides
        rows.append(add_prebooking(connection, venue, **row))
    return rows


def hold(connection: Connection, row: UUID, instance: UUID) -> None:
    """Claim as an invocation, which gets this row."""
    assert str(row) in [each["id"] for each in claim(connection, instance)["rows"]]


def states(connection: Connection, rows: list[UUID]) -> list[str]:
    """Return each row's status, or ``waiting`` and ``promoted`` for pending later choices."""
    found = [prebooking(connection, row) for row in rows]
    return [
        ("waiting" if row["waits"] else _pending(row)) if row["status"] == "pending" else row["status"] for row in found
    ]


def _pending(row: dict[str, Any]) -> str:
    return "promoted" if row["promoted_at"] else "pending"
