"""A preview returns exactly what a claim would take, and changes nothing."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from psycopg import sql

from prebooking.database.operator import OperatorStore, Preview
from tests.support.calls import claim, prebooking, save_session
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.operators import deadline
from tests.support.questions import preview

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("at")]


async def preview_of(store: OperatorStore, **overrides: Any) -> Preview:
    claim: dict[str, Any] = {
        "providers": ["webhook"],
        "limit": 100,
        "fire_within": 6,
        "stagger": 0.05,
        "lead": 0,
        "lease": 30,
        "turn": 8,
    }
    return await store.preview(**(claim | overrides), until=deadline())


def everything(connection: Connection) -> list[Any]:
    """Return the contents of all tables."""
    tables = ("venues", "prebookings", "prebooking_runs", "prebooking_heartbeat")
    query = sql.SQL("select * from public.{} order by 1")
    return [connection.execute(query.format(sql.Identifier(table))).fetchall() for table in tables]


async def test_a_preview_equals_the_claim_and_changes_nothing(
    database: Database, owner: Connection, at: At, store: OperatorStore
) -> None:
    venue = add_venue(owner)
    first, second = (add_prebooking(owner, venue, available_at=noon(when)) for when in (-2, -1))
    add_prebooking(owner, venue, available_at=noon(60))
    taken_over = add_prebooking(
        owner, venue, available_at=noon(-90), claimed_by=uuid4(), claimed_until=noon(-60), turn_until=noon(-80)
    )
    claim(owner, uuid4(), limit=0, providers=[])  # a heartbeat, which the preview must not change
    gone = add_prebooking(owner, venue, available_at=noon(-7200), expires_at=noon(-3600))
    at(5)
    before = everything(owner)
    preview = await preview_of(store)
    assert [row.id for row in preview.rows] == [taken_over, first, second]
    assert [row.maybe_sent for row in preview.rows] == [True, False, False]
    assert everything(owner) == before, "heartbeat, runs and rows are unchanged"
    free = database.connect().execute("select pg_try_advisory_xact_lock(7301, 1)").fetchone()
    assert free == (True,), "the lock of the claims is free"
    assert [row["id"] for row in claim(owner, uuid4())["rows"]] == [str(row.id) for row in preview.rows]
    assert prebooking(owner, gone)["outcome"] == "expired"


async def test_a_preview_counts_what_a_claim_would_end(owner: Connection, store: OperatorStore) -> None:
    venue = add_venue(owner)
    row = add_prebooking(owner, venue, available_at=noon(-7200), expires_at=noon(-3600))
    preview = await preview_of(store)
    assert (preview.expired, preview.unknown, preview.rows) == (1, 0, [])
    assert prebooking(owner, row)["status"] == "pending"


async def test_a_preview_includes_rows_within_the_lead(owner: Connection, store: OperatorStore) -> None:
    add_prebooking(owner, add_venue(owner), available_at=noon(3))
    assert (await preview_of(store)).rows == []
    assert len((await preview_of(store, lead=5)).rows) == 1


def test_a_preview_contains_no_session(owner: Connection) -> None:
    venue = add_venue(owner)
    add_prebooking(owner, venue, user_email="ana@example.com")
    save_session(owner, venue, "ana@example.com", "sealed", None)
    [seen] = preview(owner)["rows"]
    [taken] = claim(owner, uuid4())["rows"]
    assert taken["session"]["sealed"] == "sealed"
    assert seen == {name: value for name, value in taken.items() if name != "session"}
