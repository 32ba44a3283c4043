"""Stories of connections that meet: played in real time on committed rows, so each needs a database of its own."""

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

_PATIENCE = 5.0  # seconds; nobody waits so long unless something is broken


def two_claims_meet(sim_database: SimDatabase) -> list[str]:
    """A claim takes the first row of an opening; before it is committed, another claim comes."""
    with ExitStack() as open_:
        owner, first, second = (open_.enter_context(sim_database.connect()) for _ in range(3))
        venue = add_venue(owner)
        _cleared(open_, owner)
        claimed(owner, uuid4())  # the heartbeat is there, so that nobody waits for its first
        row, _ = _opening(owner, venue, 2)
        with first.transaction(), ThreadPoolExecutor(1) as threads:
            assert claimed(first, uuid4(), limit=1) == [row]
            answer = threads.submit(claimed, second, uuid4())
            _wait_for(answer, owner, second)
            first.execute("commit; begin")
            return ["two invocations have their turn at one opening"] if answer.result(30) else []


def a_row_is_edited_just_now(sim_database: SimDatabase) -> list[str]:
    """Somebody edits the first row of an opening while a claim comes."""
    with ExitStack() as open_:
        owner, editor, claiming = (open_.enter_context(sim_database.connect()) for _ in range(3))
        venue = add_venue(owner)
        _cleared(open_, owner)
        row, *behind = _opening(owner, venue, 3)
        with editor.transaction():
            editor.execute("update public.prebookings set user_email = 'new@example.com' where id = %s", [row])
            try:
                taken = claimed(claiming, uuid4())
            except psycopg.errors.LockNotAvailable:
                taken = []
            return [] if taken == behind else ["the rows behind a locked one wait for it"]


def _opening(owner: psycopg.Connection[Any], venue: UUID, members: int) -> list[UUID]:
    (opens,) = owner.execute("select public.prebooking_clock() - interval '1 second'").fetchone() or (None,)
    return [add_prebooking(owner, venue, available_at=opens) for _ in range(members)]


def _wait_for(answer: Future[list[UUID]], observer: psycopg.Connection[Any], waiting: psycopg.Connection[Any]) -> None:
    """Return as soon as there is an answer, or its connection waits for another one."""
    end = time.monotonic() + _PATIENCE
    blocked = "select cardinality(pg_blocking_pids(%s)) > 0"
    while not answer.done() and observer.execute(blocked, [waiting.info.backend_pid]).fetchone() != (True,):
        assert time.monotonic() < end, "neither an answer nor a lock that it waits for"


def _cleared(open_: ExitStack, owner: psycopg.Connection[Any]) -> None:
    """Take the rows away at the end: the database is used again."""
    tables = "public.prebookings, public.venues, public.prebooking_runs, public.prebooking_heartbeat, testing.history"
    open_.callback(owner.execute, f"truncate {tables} cascade".encode())
