"""Settling several rows in one call: each row has its own answer, and none prevents or delays the others."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.calls import claim, prebooking, settle_many
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon


def held(owner: Connection, service: Connection, rows: int = 2) -> tuple[UUID, list[UUID]]:
    """Add rows of one venue, and return them after the invocation that holds them."""
    venue, me = add_venue(owner), uuid4()
    added = [add_prebooking(owner, venue) for _ in range(rows)]
    claim(service, me)
    return me, added


def booked(row: UUID, **more: Any) -> dict[str, Any]:
    return {"id": str(row), "outcome": "booked", "booking_id": None} | more


def failed(row: UUID, **more: Any) -> dict[str, Any]:
    return {"id": str(row), "outcome": "full", "error_message": "It is full."} | more


def states(owner: Connection, rows: list[UUID]) -> list[str]:
    return [prebooking(owner, row)["status"] for row in rows]


def test_rows_are_completed_and_failed_as_if_settled_alone(owner: Connection, service: Connection, at: At) -> None:
    me, [first, second] = held(owner, service)
    at(1)
    times = {"fired_at": noon(0.2).isoformat(), "answered_at": noon(0.9).isoformat(), "attempts": 2}
    assert settle_many(service, me, booked(first, booking_id="b1", **times), failed(second, **times)) == [True, True]
    for row, result in (first, ("completed", "booked", "b1", None)), (second, ("failed", "full", None, "It is full.")):
        stored = prebooking(owner, row)
        assert (stored["status"], stored["outcome"], stored["booking_id"], stored["error_message"]) == result
        assert (stored["fired_at"], stored["answered_at"], stored["attempts"]) == (noon(0.2), noon(0.9), 2)
        assert (stored["settled_at"], stored["settled_by"], stored["claimed_by"]) == (noon(1), me, None)


def test_settling_twice_succeeds_and_counts_once(owner: Connection, service: Connection) -> None:
    me, rows = held(owner, service)
    results = [booked(rows[0]), failed(rows[1])]
    assert settle_many(service, me, *results) == [True, True]
    first = [prebooking(owner, row) for row in rows]
    assert settle_many(service, me, *results) == [True, True]
    assert [prebooking(owner, row) for row in rows] == first


def test_each_row_has_its_own_answer_in_the_order_of_the_results(owner: Connection, service: Connection) -> None:
    me, [mine, other] = held(owner, service)
    owner.execute("update public.prebookings set claimed_by = %s where id = %s", [uuid4(), other])
    results = [failed(other), booked(mine), booked(uuid4())]
    assert settle_many(service, me, *results) == [False, True, False]
    assert states(owner, [mine, other]) == ["completed", "pending"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "expired"},
        {"outcome": "unknown"},
        {"outcome": "booked"},
        {"outcome": None},
        {"attempts": "many"},
        {"id": "no id"},
        {"fired_at": "yesterday's noon"},
    ],
)
def test_a_result_that_is_refused_does_not_prevent_the_others(
    owner: Connection, service: Connection, wrong: dict[str, Any]
) -> None:
    me, [first, bad, last] = held(owner, service, 3)
    assert settle_many(service, me, booked(first), failed(bad, **wrong), booked(last)) == [True, None, True]
    assert states(owner, [first, bad, last]) == ["completed", "pending", "completed"]


def test_a_locked_row_is_left_and_does_not_delay_the_others(
    owner: Connection, service: Connection, editor: Connection
) -> None:
    me, [first, locked, last] = held(owner, service, 3)
    service.execute("set statement_timeout = '1s'")  # less than the time for which a function waits for a lock
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [locked])
        assert settle_many(service, me, booked(first), booked(locked), booked(last)) == [True, None, True]
    assert settle_many(service, me, booked(locked)) == [True]


def test_a_locked_venue_is_not_waited_for(owner: Connection, service: Connection, editor: Connection) -> None:
    me, rows = held(owner, service)
    service.execute("set statement_timeout = '1s'")
    with editor.transaction():
        editor.execute("select from public.venues for update")
        answered = {"answered_at": noon().isoformat()}
        assert settle_many(service, me, *(booked(row, **answered) for row in rows)) == [True, True]


def test_rows_are_left_once_the_others_have_waited_for_a_lock(
    owner: Connection, service: Connection, editor: Connection
) -> None:
    """Together, the rows must not wait longer than one try of the client, which is two seconds."""
    me, rows = held(owner, service, 6)
    owner.execute("alter function public.complete_prebooking_v1 set lock_timeout = '400ms'")
    service.execute("set statement_timeout = '2s'")
    answered = [booked(row, answered_at=noon().isoformat()) for row in rows]
    with editor.transaction():
        editor.execute("lock table public.venues")
        assert settle_many(service, me, *answered) == [None] * 6
    assert settle_many(service, me, *answered) == [True] * 6


def test_no_result_is_no_error(service: Connection) -> None:
    assert settle_many(service, uuid4()) == []


def test_settling_reads_as_many_rows_however_many_the_run_holds_or_has_settled(
    owner: Connection, service: Connection
) -> None:
    """The planner knows the table as it was before the claim, when no row was held or settled."""
    venues = [add_venue(owner) for _ in range(4)]
    for venue in venues * 25:
        add_prebooking(owner, venue)
    owner.execute("analyze public.prebookings")
    me = uuid4()
    claim(service, me)
    rows = [row for [row] in owner.execute("select id from public.prebookings where claimed_by = %s", [me]).fetchall()]
    assert len(rows) == 100
    assert _rows_read_to_settle(service, me, rows[0]) < 20
    settle_many(service, me, *map(booked, rows))
    again = [_rows_read_to_settle(service, me, row) for row in rows]  # because the first answer was lost
    assert max(again) < 20


def _rows_read_to_settle(service: Connection, me: UUID, row: UUID) -> int:
    before = _rows_read(service)
    assert settle_many(service, me, booked(row)) == [True]
    return _rows_read(service) - before


def _rows_read(connection: Connection) -> int:
    [(read,)] = connection.execute(
        "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables"
        " where relname = 'prebookings'"
    ).fetchall()
    return int(read)
