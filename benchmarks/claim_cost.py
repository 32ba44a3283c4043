"""The duration of a claim beside a thousand, a hundred thousand and a million settled prebookings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg

from prebooking.local.postgres import LocalPostgres, apply_migrations

SIZES = (1_000, 100_000, 1_000_000)
DUE = 50
TURNS = 40


def figures() -> Iterator[tuple[str, str, str]]:
    with LocalPostgres() as postgres, ExitStack() as connections:
        tables = [connections.enter_context(table(postgres, size)) for size in SIZES]
        costs = list(zip(*([claim(one) for one in tables] for _ in range(TURNS)), strict=True))
    first, *_, last = typical = [median(cost[TURNS // 10 :]) for cost in costs]
    yield (
        f"a claim of {DUE} beside a million settled prebookings, against one beside a thousand",
        f"{last / first:.2f}",
        ", ".join(f"{size:,}: {took * 1000:.1f} ms" for size, took in zip(SIZES, typical, strict=True)),
    )


def table(postgres: LocalPostgres, settled: int) -> psycopg.Connection[Any]:
    """Return a connection to a database with this number of settled prebookings, and some due ones."""
    postgres.create_database(name := f"settled_{settled}")
    apply_migrations(postgres.dsn(name))
    connection = psycopg.connect(postgres.dsn(name), autocommit=True)
    connection.execute(
        "insert into venues (name, provider, timezone) select 'v' || n, 'webhook', 'UTC' from generate_series(1, 5) n"
    )
    rows = (
        "insert into prebookings (venue_id, user_email, booking_data, available_at, {columns}) "
        "select (array(select id from venues))[1 + n %% 5], 'm' || n || '@example.com', '{{\"class_id\": 1}}', "
        "now() - n * interval '1 second', {values} from generate_series(1, %s) n"
    )
    ended = {"columns": "expires_at, status, outcome, settled_at", "values": "now(), 'completed', 'booked', now()"}
    connection.execute(rows.format(**ended), [settled])
    connection.execute(rows.format(columns="expires_at", values="now() + interval '1 day'"), [DUE])
    connection.execute("vacuum analyze")
    return connection


def claim(connection: psycopg.Connection[Any]) -> float:
    """Return the seconds of a claim, which is rolled back."""
    with connection.transaction(force_rollback=True):
        connection.execute("set local role service_role")
        start = time.perf_counter()
        [[answer]] = connection.execute(
            "select claim_due_prebookings_v1(%s, '{webhook}', 500, 6000, 50, 0, 30000, 8000)", [uuid4()]
        ).fetchall()
        took = time.perf_counter() - start
    assert len(answer["rows"]) == DUE
    return took
