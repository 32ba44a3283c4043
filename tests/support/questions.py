"""The operator's functions of the database, called on a connection of the test."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from tests.support.database import Connection
from tests.support.factories import noon


def ask(connection: Connection, function: str, *arguments: object) -> Any:
    """Call one of our functions; a dictionary is sent as JSON."""
    given = [Jsonb(argument) if isinstance(argument, dict) else argument for argument in arguments]
    query = sql.SQL("select {}({})").format(
        sql.Identifier("public", function), sql.SQL(", ").join([sql.Placeholder()] * len(given))
    )
    [(answer,)] = connection.execute(query, given).fetchall()
    return answer


def add_venue_by_command(connection: Connection, **overrides: Any) -> dict[str, Any]:
    """Add a box, as the command line does; return the answer."""
    venue = {"id": uuid4(), "name": "Box Centro", "provider": "aimharder", "host": "centro.aimharder.com"}
    venue |= {"box": "42", "timezone": "Europe/Madrid", "rule": "4 days before"}
    answer: dict[str, Any] = ask(connection, "add_venue_v1", *(venue | overrides).values())
    return answer


def add_prebooking_by_command(connection: Connection, venue: UUID, **overrides: Any) -> dict[str, Any]:
    """Add a prebooking that opens at one and whose class begins at two; return the answer."""
    prebooking = {
        "id": uuid4(),
        "venue": venue,
        "email": "ana@example.com",
        "data": {"class_id": "4711", "day": "20261123"},
    }
    prebooking |= {"available_at": noon(3600), "expires_at": noon(7200), "again": False}
    answer: dict[str, Any] = ask(connection, "add_prebooking_v1", *(prebooking | overrides).values())
    return answer


def add_choices_by_command(connection: Connection, venue: UUID, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Add the choices of one request, with the default values of ``add_prebooking_by_command``; return the answer."""
    defaults = {"available_at": noon(3600).isoformat(), "expires_at": noon(7200).isoformat()}
    rows = [
        {"id": str(uuid4()), "booking_data": {"class_id": str(number), "day": "20261123"}} | defaults | choice
        for number, choice in enumerate(choices, 1)
    ]
    more = (venue, "ana@example.com", Jsonb(rows), *(False, False))
    answer: dict[str, Any] = ask(connection, "add_prebookings_v1", *more)
    return answer


def preview(connection: Connection, *, lead_ms: int = 0) -> dict[str, Any]:
    """Return what a claim would take."""
    providers = ["webhook", "aimharder"]
    arguments = [uuid4(), providers, 100, 5000, 50, lead_ms, 30_000, 8000]
    answer: dict[str, Any] = ask(connection, "preview_claim_v1", *arguments)
    return answer
