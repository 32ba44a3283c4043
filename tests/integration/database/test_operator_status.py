"""prebooking_status_v1 on rows in every state."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from prebooking.database.operator import OperatorStore
from tests.support.calls import claim, finish
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.operators import deadline

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("at")]


async def test_an_empty_database_has_a_status_without_figures(store: OperatorStore) -> None:
    status = await store.status(until=deadline())
    assert (status.now, status.last_tick_at, status.open_runs, status.next_openings) == (noon(), None, [], [])
    assert set(status.rows.model_dump().values()) == {0}
    assert (status.day.success.completed, status.day.execution_ms.p50, status.day.lateness_ms.max) == (0, None, None)


async def test_rows_are_counted_per_state(owner: Connection, store: OperatorStore) -> None:
    open_venue, stopped = add_venue(owner), add_venue(owner, enabled=False)
    paused = add_venue(owner, paused_until=noon(60))
    long_ago: dict[str, datetime] = {"available_at": noon(-200), "created_at": noon(-200)}
    for venue in (open_venue, stopped, paused):
        add_prebooking(owner, venue, **long_ago)
    add_prebooking(owner, open_venue, available_at=noon(-200), created_at=noon(-10), maybe_sent=True)
    add_prebooking(owner, open_venue, available_at=noon(10))
    rows = (await store.status(until=deadline())).rows
    assert rows.model_dump() == {"pending": 5, "due": 2, "overdue": 1, "stopped": 2, "in_doubt": 1, "bad_data": 0}


@pytest.mark.parametrize(
    ("row", "venue", "is_overdue"),
    [
        ({"retry_after": noon(60)}, {}, False),
        ({"retry_after": noon(-60)}, {}, False),
        ({"retry_after": noon(-106)}, {}, True),
        ({"retry_after": noon(901)}, {}, True),  # written while the clock was ahead: none
        ({}, {"paused_until": noon(-60)}, False),
        ({}, {"paused_until": noon(-106)}, True),
    ],
)
async def test_a_row_is_overdue_from_the_end_of_its_wait(
    owner: Connection, store: OperatorStore, row: dict[str, Any], venue: dict[str, Any], *, is_overdue: bool
) -> None:
    long_ago = {"available_at": noon(-2000), "created_at": noon(-2000)}
    add_prebooking(owner, add_venue(owner, **venue), maybe_sent=True, setbacks=1, **long_ago, **row)
    status = await store.status(until=deadline())
    assert (status.rows.due, status.rows.overdue) == (1, is_overdue)
    assert status.overdue == ({"webhook": 1} if is_overdue else {})


async def test_the_next_openings_have_pending_counts(owner: Connection, store: OperatorStore) -> None:
    venue = add_venue(owner, name="Box Centro")
    for opens in (60, 60, 30):
        add_prebooking(owner, venue, available_at=noon(opens))
    openings = (await store.status(until=deadline())).next_openings
    assert [(opening.available_at, opening.prebookings) for opening in openings] == [(noon(30), 1), (noon(60), 2)]


async def test_open_runs_and_the_last_tick_are_reported(owner: Connection, at: At, store: OperatorStore) -> None:
    add_prebooking(owner, add_venue(owner))
    claim(owner, uuid4())
    at(90)
    status = await store.status(until=deadline())
    assert (status.open_runs, status.last_tick_at) == ([noon()], noon())
    assert (status.day.execution_ms.runs, status.day.execution_ms.cut_off) == (1, 1)


async def test_calls_count_when_sent_and_outcomes_when_settled(owner: Connection, store: OperatorStore) -> None:
    venue, opens, day = add_venue(owner), noon(-600), 86400
    waits = {"available_at": opens, "created_at": noon(-3 * day), "maybe_sent": True}
    add_prebooking(owner, venue, **waits, fired_at=noon(-599))
    called = noon(-day - 60)
    doubt = {"available_at": called, "created_at": noon(-3 * day), "fired_at": called, "settled_at": noon(-day + 60)}
    _ended(owner, venue, outcome="booked", **doubt)
    status = await store.status(until=deadline())
    assert (status.day.lateness_ms.calls, status.day.lateness_ms.max, status.day.success.completed) == (1, 1000, 1)
    assert [call.fired_at for call in status.recent] == [called, noon(-599)]


async def test_the_five_figures_cover_only_their_window(owner: Connection, store: OperatorStore) -> None:
    venue, opens = add_venue(owner), noon(-600)
    # In queue order: 100, 50 (overtook) and 200 ms late, one added after the opening, one from an older opening.
    for place, (late_ms, outcome) in enumerate([(100, "booked"), (50, "full"), (200, "booked"), (300_000, "booked")]):
        asked = opens + timedelta(seconds=place - 3 if late_ms < 1000 else 60)
        fired = opens + timedelta(milliseconds=late_ms)
        _ended(owner, venue, outcome=outcome, available_at=opens, created_at=asked, fired_at=fired, settled_at=fired)
    old = noon(-3 * 86400)
    _ended(owner, venue, outcome="booked", available_at=old, created_at=noon(-4 * 86400), fired_at=old, settled_at=old)
    for ms, outcomes in ((800, {"booked": 2}), (900, {"not_sent": 1, "unsure": 2}), (4000, {})):
        finish(owner, uuid4(), summary={"execution_time_ms": ms, "outcomes": outcomes})
    status = await store.status(until=deadline())
    assert status.day.model_dump() == {
        "execution_ms": {"p50": 900, "p95": 4000, "max": 4000, "runs": 3, "cut_off": 0},
        "success": {"completed": 3, "failed": 1, "reasons": {"full": 1}},
        "connection_errors": 3,
        "order": {"pairs": 3, "overtaken": 1},
        "lateness_ms": {"p50": 100, "p95": 200, "max": 200, "calls": 3},
    }
    assert (status.month.success.completed, status.month.lateness_ms.p50) == (4, 50)
    assert [late.lateness_ms for late in status.recent] == [0, 50, 100, 200]


def _ended(owner: Connection, venue: UUID, *, outcome: str, **instants: datetime) -> None:
    status = "completed" if outcome == "booked" else "failed"
    add_prebooking(owner, venue, status=status, outcome=outcome, **instants)
