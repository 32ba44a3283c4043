"""Processes that claim and settle as fast as they can: ``python -m tests.support.racer DSN PROCESSES``.

They start at the same instant and end when no row is pending. Every fifth invocation dies: it settles half of its rows,
and other invocations take over the rest when its short lease ends.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from uuid import UUID, uuid4

import psycopg

from tests.support.calls import claimed, complete, finish
from tests.support.database import Connection

_LEASE_MS = 1000
_TURN_MS = 300
_START_SECONDS = 60.0


def main(dsn: str, processes: int) -> int:
    """Claim and settle in processes until no row is pending; return how many of them failed."""
    fork = multiprocessing.get_context("fork")  # the modules are imported once
    start = fork.Barrier(processes)
    racers = [fork.Process(target=_race, args=(dsn, start)) for _ in range(processes)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    return sum(racer.exitcode != 0 for racer in racers)


def _race(dsn: str, start: Barrier) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set role service_role")
        start.wait(_START_SECONDS)
        for number in itertools.count(1):
            if not _something_is_left(connection):
                break
            _run(connection, uuid4(), dies=number % 5 == 0)


def _run(connection: Connection, me: UUID, *, dies: bool) -> None:
    rows = claimed(connection, me, limit=60, fire_within_ms=950, stagger_ms=50, lease_ms=_LEASE_MS, turn_ms=_TURN_MS)
    for row in rows[: len(rows) // 2] if dies else rows:
        complete(connection, row, me)
    if rows and not dies:
        finish(connection, me)


def _something_is_left(connection: Connection) -> bool:
    left = connection.execute("select exists (select from public.prebookings where status = 'pending')").fetchone()
    return left == (True,)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
