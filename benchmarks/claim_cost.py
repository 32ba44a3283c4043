"""What a claim costs: beside settled prebookings, and out of many that are due.

``python -m benchmarks.claim_cost`` prints the cost of a claim of five hundred rows for several numbers of due rows,
waiting rows and venues, and how fast one and ten claimers drain them. The first version of the claim, which looked at
all due rows, is measured in turns with the present one.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from prebooking.files import MIGRATIONS
from prebooking.local.postgres import LocalPostgres, apply_migrations

SIZES = (1_000, 100_000, 1_000_000)
DUE = 50
TURNS = 40
CLAIM = "claim_due_prebookings_v1"
FIRST = "first_claim"
LIMIT = 500
_SECONDS = 15.0  # a drain is cut off after this time

_FILL = """
with chosen as materialized (select array_agg(id order by name) as ids from venues)
insert into prebookings (venue_id, user_email, booking_data, available_at, expires_at, created_at)
select ids[1 + n % {venues}], 'm' || n || '@example.com', jsonb_build_object('class_id', n),
  {opens} + n / {venues} / 40 * interval '1 minute', now() + interval '30 days',
  now() - interval '1 day' + n * interval '1 ms'
from chosen, generate_series(1, {rows}) n
"""
_ARGUMENTS = "(%s, '{webhook}', 500, 6000, 50, 3000, 30000, 8000)"
_DRAIN = f"select array(select (r ->> 'id')::uuid from jsonb_array_elements(CLAIM{_ARGUMENTS} -> 'rows') r)"  # noqa: S608 - our own text
_LEFT = "select from prebookings where status = 'pending' and claimed_by is null and available_at <= now() limit 1"


class Case(NamedTuple):
    """The number of rows that are due, of rows that open later, and of their venues."""

    due: int
    waiting: int
    venues: int

    @property
    def database(self) -> str:
        return f"due_{self.due}_{self.waiting}_{self.venues}"

    def __str__(self) -> str:
        later = f", {self.waiting:,} waiting" if self.waiting else ""
        return f"{self.due:,} due{later} at {self.venues:,} venues"


CASES = [Case(due, 0, venues) for due in (1_000, 10_000, 100_000) for venues in (25, 1_000, 10_000)]
CASES.append(Case(100_000, 1_000_000, 10_000))


def figures() -> Iterator[tuple[str, str, str]]:
    with LocalPostgres() as postgres, ExitStack() as connections:
        tables = [connections.enter_context(table(postgres, size)) for size in SIZES]
        costs = list(zip(*([claim(one) for one in tables] for _ in range(TURNS)), strict=True))
        small, large = (connections.enter_context(due(postgres, Case(*case))) for case in (CASES[0], CASES[-2]))
        turns = [(claim_many(large, CLAIM), claim_many(small, CLAIM), claim_many(large, FIRST)) for _ in range(5)]
    first, *_, last = typical = [median(cost[TURNS // 10 :]) for cost in costs]
    yield (
        f"a claim of {DUE} beside a million settled prebookings, against one beside a thousand",
        f"{last / first:.2f}",
        ", ".join(f"{size:,}: {took * 1000:.1f} ms" for size, took in zip(SIZES, typical, strict=True)),
    )
    many, few, before = (min(cost) * 1000 for cost in zip(*turns, strict=True))
    yield (
        f"a claim of {LIMIT} out of {CASES[-2]}, against one out of {CASES[0]}",
        f"{many / few:.2f}",
        f"{many:.0f} ms and {few:.0f} ms; the first version, which looked at all due rows: {before:.0f} ms",
    )


def table(postgres: LocalPostgres, settled: int) -> psycopg.Connection[Any]:
    """Return a connection to a database with this number of settled prebookings, and some due ones."""
    connection = new_database(postgres, f"settled_{settled}")
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
    took, answer = _timed(connection, CLAIM)
    assert len(answer["rows"]) == DUE
    return took


def due(postgres: LocalPostgres, case: Case) -> psycopg.Connection[Any]:
    """Return a connection to a database with these rows, in openings of forty, and with the claim's first version."""
    connection = new_database(postgres, case.database)
    connection.execute(
        "insert into venues (name, provider, timezone) select 'v' || n, 'webhook', 'UTC' from generate_series(1, %s) n",
        [case.venues],
    )
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # without triggers: ten times faster
        sizes = {"venues": case.venues}
        connection.execute(_FILL.format(opens="now() - interval '1 day'", rows=case.due, **sizes).encode())
        if case.waiting:
            later = _FILL.format(opens="now() + interval '1 day'", rows=case.waiting, **sizes)
            connection.execute(later.replace("'class_id', n", "'class_id', -n").encode())
    connection.execute("vacuum analyze")
    source = (MIGRATIONS / "20261126000003_claim.sql").read_text()
    found = re.search(rf"create function public\.{CLAIM}\(.*?\nend \$\$;", source, re.DOTALL)
    assert found
    connection.execute(found[0].replace(CLAIM, FIRST).encode())
    return connection


def claim_many(connection: psycopg.Connection[Any], function: str) -> float:
    """Return the seconds of a claim of as many rows as there may be, which is rolled back."""
    took, answer = _timed(connection, function)
    assert LIMIT - 40 < len(answer["rows"]) <= LIMIT
    return took


def drain(dsn: str, function: str, claimers: int) -> tuple[int, float, int]:
    """Claim everything that is due, as a new invocation each time.

    Return the number of rows, the seconds, and how often a row was taken again. Nothing is settled, so all rows stay
    claimed.
    """
    end = time.perf_counter() + _SECONDS
    with ThreadPoolExecutor(claimers) as pool:
        start = time.perf_counter()
        taken = list(pool.map(lambda _: _drain(dsn, function, end), range(claimers)))
        took = time.perf_counter() - start
    rows = [row for mine in taken for row in mine]
    return len(rows), took, len(rows) - len(set(rows))


def _drain(dsn: str, function: str, end: float) -> list[UUID]:
    """Claim until nothing is due and free, or the time is over; return the rows."""
    rows: list[UUID] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set role service_role")
        while time.perf_counter() < end:
            try:
                [(ids,)] = connection.execute(_DRAIN.replace("CLAIM", function).encode(), [uuid4()]).fetchall()
            except psycopg.errors.LockNotAvailable:
                continue  # the other claimers took longer than a claim waits: a run repeats it too
            rows += ids
            if not ids and not connection.execute(_LEFT).fetchall():
                break
    return rows


def _timed(connection: psycopg.Connection[Any], function: str) -> tuple[float, Any]:
    with connection.transaction(force_rollback=True):
        connection.execute("set local role service_role")
        start = time.perf_counter()
        [(answer,)] = connection.execute(f"select {function}{_ARGUMENTS}".encode(), [uuid4()]).fetchall()
        return time.perf_counter() - start, answer


def new_database(postgres: LocalPostgres, name: str) -> psycopg.Connection[Any]:
    """Create a migrated database, and connect to it."""
    postgres.create_database(name)
    apply_migrations(postgres.dsn(name))
    return psycopg.connect(postgres.dsn(name), autocommit=True)


def main() -> int:
    """Print one line per case; return 1 if a row was taken twice."""
    doubled = 0
    with LocalPostgres(settings={"shared_buffers": "256MB"}) as postgres:
        for case in CASES:
            with due(postgres, case) as connection:
                turns = [(claim_many(connection, FIRST), claim_many(connection, CLAIM)) for _ in range(5)]
            before, now = (min(cost) * 1000 for cost in zip(*turns, strict=True))
            print(
                f"{case}: a claim of {LIMIT} {before:.0f} ms -> {now:.0f} ms ({before / now:.1f} x)", end="", flush=True
            )
            for claimers in (1, 10):
                rates = []
                for function in (FIRST, CLAIM):
                    copy = postgres.create_database("copy", template=case.database)
                    rows, took, twice = drain(copy, function, claimers)
                    rates.append(f"{rows / took:,.0f}")
                    doubled += twice
                    postgres.drop_database("copy")
                print(f"; {claimers} claimers {' -> '.join(rates)} rows/s", end="", flush=True)
            print()
            postgres.drop_database(case.database)
    print(f"rows taken twice: {doubled}")
    return int(doubled > 0)


if __name__ == "__main__":
    sys.exit(main())
