"""Rows for a stack whose function runs in a separate process, on the real clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prebooking.local.stack import Stack
from tests.support.factories import add_prebooking, add_venue


def opening(stack: Stack, members: int, *, capacity: int = 1000, ahead: float = -0.1) -> list[UUID]:
    """Add prebookings of a class that has just opened, or opens this many seconds from now."""
    class_id, opens = str(uuid4()), datetime.now(UTC) + timedelta(seconds=ahead)
    stack.twin.open_class(class_id, opens_at=opens, capacity=capacity)
    venue = add_venue(stack.connection)
    values: dict[str, Any] = {"booking_data": {"class_id": class_id}, "available_at": opens}
    return [add_prebooking(stack.connection, venue, **values) for _ in range(members)]


def ends(stack: Stack, rows: list[UUID]) -> set[tuple[Any, ...]]:
    """Return the different pairs of status and outcome of the rows."""
    query = "select status, outcome from public.prebookings where id = any(%s)"
    return set(stack.connection.execute(query, [rows]).fetchall())
