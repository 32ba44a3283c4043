"""The database's functions, called as the scheduler calls them, on a connection of the test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.support.database import Connection


def claim(
    connection: Connection,
    instance: UUID | None,
    *,
    providers: Sequence[str] = ("webhook", "aimharder"),
    limit: int | None = 100,
    fire_within_ms: int | None = 5000,
    stagger_ms: int | None = 50,
    lead_ms: int | None = 0,
    lease_ms: int | None = 30_000,
    turn_ms: int | None = 8000,
    keys: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Claim as an invocation; return the answer with ids and instants as text."""
    arguments = [instance, list(providers), limit, fire_within_ms, stagger_ms, lead_ms, lease_ms, turn_ms]
    arguments.append(None if keys is None else list(keys))
    query = "select public.claim_due_prebookings_v1(%s, %s, %s, %s, %s, %s, %s, %s, p_keys => %s)"
    answer: dict[str, Any] = _value(connection, query, arguments)
    return answer


def claimed(connection: Connection, instance: UUID, **arguments: Any) -> list[UUID]:
    """Claim, and return the rows that the invocation holds, in order."""
    return [UUID(row["id"]) for row in claim(connection, instance, **arguments)["rows"]]


def complete(
    connection: Connection,
    row: UUID,
    instance: UUID,
    outcome: str = "booked",
    *,
    attempts: int = 1,
    booking_id: str | None = None,
    fired_at: datetime | None = None,
    answered_at: datetime | None = None,
) -> bool:
    arguments = [row, instance, outcome, attempts, booking_id, fired_at, answered_at]
    return bool(_value(connection, "select public.complete_prebooking_v1(%s, %s, %s, %s, %s, %s, %s)", arguments))


def fail(
    connection: Connection,
    row: UUID,
    instance: UUID,
    outcome: str = "full",
    *,
    attempts: int = 1,
    message: str | None = None,
    fired_at: datetime | None = None,
    answered_at: datetime | None = None,
) -> bool:
    arguments = [row, instance, outcome, attempts, message, fired_at, answered_at]
    return bool(_value(connection, "select public.fail_prebooking_v1(%s, %s, %s, %s, %s, %s, %s)", arguments))


def settle_many(connection: Connection, instance: UUID, *results: dict[str, Any]) -> list[bool | None]:
    """Settle several rows in one call. Each result needs "id" and "outcome"."""
    plain = {"attempts": 1, "fired_at": None, "answered_at": None}
    given = Jsonb([plain | result for result in results])
    answer: list[bool | None] = _value(connection, "select public.settle_prebookings_v1(%s, %s)", [instance, given])
    return answer


def release(
    connection: Connection, instance: UUID, rows: Sequence[UUID], blocked_venue: UUID | None = None, pause: int = 300
) -> int:
    arguments = [instance, list(rows), blocked_venue, pause]
    return int(_value(connection, "select public.release_prebookings_v1(%s, %s, %s, %s)", arguments))


def finish(
    connection: Connection, instance: UUID, sent: Sequence[dict[str, Any]] = (), summary: dict[str, Any] | None = None
) -> int:
    """End a run, and return the number of released rows; no row may be locked."""
    answer = try_to_finish(connection, instance, sent, summary)
    assert answer["locked"] == 0
    return answer["released"]


def try_to_finish(
    connection: Connection, instance: UUID, sent: Sequence[dict[str, Any]] = (), summary: dict[str, Any] | None = None
) -> dict[str, int]:
    """End a run, and return the numbers of released and locked rows."""
    arguments = [instance, Jsonb([{**row, "id": str(row["id"])} for row in sent]), Jsonb(summary or {})]
    answer: dict[str, int] = _value(connection, "select public.finish_run_v1(%s, %s, %s)", arguments)
    return answer


def cancel(connection: Connection, row: UUID, user_email: str) -> str:
    return str(_value(connection, "select public.cancel_prebooking_v1(%s, %s)", [row, user_email]))


def save_session(
    connection: Connection,
    venue: UUID,
    member: str,
    sealed: str,
    version: int | None,
    *,
    key_id: str | None = None,
    password: str | None = None,
) -> int | None:
    query = "select public.save_session_v1(%s, %s, %s, %s, %s, %s, %s)"
    arguments = [venue, member, sealed, version, key_id, password, key_id if password else None]
    saved: int | None = _value(connection, query, arguments)
    return saved


def warn(
    connection: Connection, venue: UUID, member: str, version: int, *, over: bool = True, warning: str = "log in"
) -> bool:
    query = "select public.warn_about_session_v1(%s, %s, %s, %s, %s)"
    return bool(_value(connection, query, [venue, member, version, over, warning]))


def lease(connection: Connection, instance: UUID, venue: UUID, member: str, version: int) -> dict[str, Any]:
    answer: dict[str, Any] = _value(
        connection, "select public.lease_session_v1(%s, %s, %s, %s)", [instance, venue, member, version]
    )
    return answer


def claim_sessions(
    connection: Connection,
    instance: UUID,
    *,
    providers: Sequence[str] = ("aimharder",),
    age_ms: int = 480_000,
    limit: int = 100,
    keys: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    arguments = [instance, list(providers), age_ms, limit, None if keys is None else list(keys)]
    query = "select public.claim_sessions_v1(%s, %s, %s, %s, %s::text[])"
    leased: list[dict[str, Any]] = _value(connection, query, arguments)
    return leased


def claim_logins(
    connection: Connection,
    instance: UUID,
    keys: Sequence[str] = ("0123456789abcdef",),
    *,
    providers: Sequence[str] = ("aimharder",),
    limit: int = 100,
) -> list[dict[str, Any]]:
    query = "select public.claim_logins_v1(%s, %s, %s::text[], %s)"
    claimed: list[dict[str, Any]] = _value(connection, query, [instance, list(providers), list(keys), limit])
    return claimed


def save_login(
    connection: Connection,
    venue: UUID,
    member: str,
    version: int,
    sealed: str,
    *,
    key_id: str = "0123456789abcdef",
    password: str | None = None,
) -> int | None:
    query = "select public.save_login_v1(%s, %s, %s, %s, %s, %s, %s)"
    arguments = [venue, member, version, sealed, key_id, password, key_id if password else None]
    saved: int | None = _value(connection, query, arguments)
    return saved


def end_login(  # noqa: PLR0917 - as the function has them
    connection: Connection, venue: UUID, member: str, version: int, why: str, password: str | None = None
) -> bool:
    arguments = [venue, member, version, why, password]
    return bool(_value(connection, "select public.end_login_v1(%s, %s, %s, %s, %s)", arguments))


def logins_due(
    connection: Connection, keys: Sequence[str] = ("0123456789abcdef",), providers: Sequence[str] = ("aimharder",)
) -> bool:
    query = "select public.upkeep_logins_due(public.prebooking_clock(), %s, %s::text[])"
    return bool(_value(connection, query, [list(providers), list(keys)]))


def warn_about_logins(connection: Connection, keys: Sequence[str], providers: Sequence[str] = ("aimharder",)) -> int:
    query = "select public.warn_about_logins_v1(%s, %s::text[])"
    return int(_value(connection, query, [list(providers), list(keys)]))


def prebooking(connection: Connection, row: UUID) -> dict[str, Any]:
    """Return all columns of a row."""
    return _row(connection, "select * from public.prebookings where id = %s", row)


def run(connection: Connection, instance: UUID) -> dict[str, Any]:
    """Return the record of an invocation."""
    return _row(connection, "select * from public.prebooking_runs where instance_id = %s", instance)


def _row(connection: Connection, query: str, key: UUID) -> dict[str, Any]:
    row = connection.cursor(row_factory=dict_row).execute(query.encode(), [key]).fetchone()
    assert row is not None
    return row


def _value(connection: Connection, query: str, arguments: list[Any]) -> Any:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]
