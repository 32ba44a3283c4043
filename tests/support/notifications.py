"""Channels and notifications of a test's database, and a receiver that compares ids."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from tests.support.database import Connection
from tests.support.factories import insert_with_id
from tests.support.questions import ask

ANA = "ana@example.com"
EVENTS = ["booked", "waitlisted", "failed", "warned", "moved_up", "given_back"]
KINDS = ["webhook", "mail", "ntfy", "telegram"]


def add_channel(owner: Connection, member: str | None = ANA, kind: str = "ntfy", **overrides: Any) -> UUID:
    """Add a channel of a member, or of the operator (None), for all events but the reminder."""
    address = {"webhook": "", "mail": "a@b.example", "telegram": "4711"}.get(kind, "a_topic")
    channel = {"user_email": member, "kind": kind, "address": address, "events": EVENTS}
    return insert_with_id(owner, "notification_channels", channel | overrides)


def stored(owner: Connection) -> list[tuple[Any, ...]]:
    """Return event and about of every notification, in the order in which they were made."""
    query = "select event, about from public.notifications order by created_at, event, about"
    return owner.execute(query).fetchall()


def notification(owner: Connection, row: UUID | str) -> dict[str, Any]:
    """Return the columns of a notification that change."""
    query = "select status, attempts, unsure, next_at, failure from public.notifications where id = %s"
    cursor = owner.cursor(row_factory=dict_row)
    [values] = cursor.execute(query, [row]).fetchall()
    return values


def claim_rows(
    service: Connection, instance: UUID, *, kinds: list[str] = KINDS, limit: int = 20
) -> list[dict[str, Any]]:
    """Lease notifications as upkeep does."""
    rows: list[dict[str, Any]] = ask(service, "claim_notifications_v1", instance, kinds, limit)
    return rows


def settle(service: Connection, row: str, instance: UUID, result: str, failure: str | None = None) -> bool:
    """Store the result of an attempt as upkeep does."""
    return bool(ask(service, "settle_notification_v1", row, instance, result, failure))
