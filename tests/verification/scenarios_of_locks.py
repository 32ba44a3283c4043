"""Scenarios of two connections and a lock, in real time on committed rows, so each needs its own database."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.support.calls import claimed
from tests.support.factories import add_prebooking, add_venue
from tests.verification.sim_database import SimDatabase

_LONGEST = 5.0  # seconds; a longer wait is a fault


def two_claims_overlap(sim_database: SimDatabase) -> list[str]:
    """Start a claim while another one, which took the first row of the opening, is not committed."""
    with ExitStack() as open_:
        owner, first, second = (open_.enter_context(sim_database.connect()) for _ in range(3))
        venue = add_venue(owner)
        _clear_at_end(open_, owner)
        claimed(owner, uuid4())  # creates the heartbeat, which later claims only update
        row, _ = _add_opening(owner, venue, 2)
        with first.transaction(), ThreadPoolExecutor(1) as threads:
            assert claimed(first, uuid4(), limit=1) == [row]
            answer = threads.submit(claimed, second, uuid4())
            _wait_for(answer, owner, second)
            first.execute("commit; begin")
            return ["two invocations have the turn at one opening"] if answer.result(30) else []


def a_row_is_edited_during_a_claim(sim_database: SimDatabase) -> list[str]:
    """Start a claim while another connection edits the first row of the opening."""
    with ExitStack() as open_:
        owner, editor, claiming = (open_.enter_context(sim_database.connect()) for _ in range(3))
        venue = add_venue(owner)
        _clear_at_end(open_, owner)
        row, *behind = _add_opening(owner, venue, 3)
        with editor.transaction():
            editor.execute("update public.prebookings set user_email = 'new@example.com' where id = %s", [row])
            try:
                taken = claimed(claiming, uuid4())
            except psycopg.errors.LockNotAvailable:
                taken = []
            return [] if taken == behind else ["the rows behind a locked one wait for it"]


def _add_opening(owner: psycopg.Connection[Any], venue: UUID, members: int) -> list[UUID]:
    (opens,) = owner.execute("select public.prebooking_clock() - interval '1 second'").fetchone() or (None,)
    return [add_prebooking(owner, venue, available_at=opens) for _ in range(members)]


def _wait_for(answer: Future[list[UUID]], observer: psycopg.Connection[Any], waiting: psycopg.Connection[Any]) -> None:
    """Return as soon as the claim has returned, or its connection waits for a lock."""
    end = time.monotonic() + _LONGEST
    blocked = "select cardinality(pg_blocking_pids(%s)) > 0"
    while not answer.done() and observer.execute(blocked, [waiting.info.backend_pid]).fetchone() != (True,):
        assert time.monotonic() < end, "the claim neither returns nor waits for a lock"


def _clear_at_end(open_: ExitStack, owner: psycopg.Connection[Any]) -> None:
    """Remove the rows at the end, because the database is used again."""
    tables = "public.prebookings, public.venues, public.prebooking_runs, public.prebooking_heartbeat, testing.history"
    open_.callback(owner.execute, f"truncate {tables} cascade".encode())
