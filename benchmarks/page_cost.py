"""The duration of the data of the operator's page, beside a million prebookings that were settled within a week.

``python -m benchmarks.page_cost`` prints it per major version of Postgres that this machine has, and per section.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

import psycopg

from benchmarks.claim_cost import new_database
from prebooking.local.postgres import SUPERUSER, LocalPostgres
from prebooking.local.servers import servers_by_major

SETTLED, PENDING = 1_000_000, 10_000
TURNS = 20
SECTIONS = (
    "page_health(now(), '{}')",
    *("page_openings(now())", "page_calls_of_a_week(now())", "page_outcomes(now())", "page_in_doubt(now())"),
    *("page_runs(now())", "page_logins(now())", "page_messages(now())", "page_repeats(now())"),
    # Only if upkeep's trigger is silent.
    "prebooking_upkeep_late(now())",
)

_VENUES = """
insert into venues (name, provider, timezone, host, provider_box_id)
select 'Venue ' || n, case when n % 2 = 0 then 'aimharder' else 'webhook' end, 'Europe/Madrid', n || '.example', n
from generate_series(1, 20) n
"""
# Openings at full hours, as at venues; one call in a hundred is late by seconds.
_SETTLED = """
insert into prebookings
  (venue_id, user_email, booking_data, created_at, available_at, expires_at, status, outcome, fired_at, settled_at)
select (select array_agg(id) from venues)[1 + n %% 20], n %% 5000 || '@example.com', '{"class_id": "1",
  "class_name": "WOD"}',
  o.at - interval '1 day', o.at, o.at + interval '1 day', e.status,
  case e.status when 'completed' then 'booked' when 'failed' then 'full' end, o.at + l.late,
  o.at + l.late + interval '300 milliseconds'
from generate_series(1, %s) n,
  lateral (select date_trunc('hour', now()) - n %% 168 * interval '1 hour' - interval '1 hour' as at) o,
  lateral (select case when n %% 100 = 0 then 4000 * random() else 3 + 60 * random() end
    * interval '1 millisecond' as late) l,
  lateral (select case when n %% 11 = 0 then 'failed' when n %% 53 = 0 then 'cancelled' else 'completed' end
  as status) e
"""
_PENDING = """
insert into prebookings (venue_id, user_email, booking_data, available_at, expires_at, warning)
select (select array_agg(id) from venues)[1 + n %% 20], n || '@example.com', '{"class_id": "1", "class_name": "WOD"}',
  date_trunc('hour', now()) + (1 + n %% 12) * interval '1 hour', now() + interval '2 days',
  case when n %% 10 = 0 then 'no_login: there is no login.' end
from generate_series(1, %s) n
"""
_SESSIONS = """
insert into member_sessions (venue_id, user_email, sealed, refreshed_at)
select p.venue_id, p.user_email, 'sealed', now() - interval '10 minutes'
  from prebookings p join venues v on v.id = p.venue_id
where p.status = 'pending' and v.provider = 'aimharder' and p.warning is null
"""
_RUNS = """
insert into prebooking_runs (instance_id, opened_at, closed_at, claimed, claim_ms, summary)
select gen_random_uuid(), now() - n * interval '1 minute',
  case when n % 50 <> 0 then now() - n * interval '1 minute' + interval '2 s' end,
  7, 4, '{"success": true}' from generate_series(1, 43200) n
"""


def figures() -> Iterator[tuple[str, str, str]]:
    with LocalPostgres() as postgres:
        connection = database(postgres)
        fold(connection)
        small = cost(new_database(postgres, "empty_page"), "page_status_v1()")
        many = cost(connection, "page_status_v1()")
    yield (
        "the operator's page beside a million prebookings settled within a week, against an empty database",
        f"{median(many) / median(small):.2f}",
        f"{median(many):.1f} ms, p95 {percentile(many):.1f} ms",
    )


def database(postgres: LocalPostgres, settled: int = SETTLED) -> psycopg.Connection[Any]:
    """Return a connection to a database with many settled rows and some pending ones; nothing is added up yet."""
    connection = new_database(postgres, "many")
    connection.execute(_VENUES)
    with psycopg.connect(postgres.dsn("many", SUPERUSER)) as filling:
        filling.execute("set session_replication_role = replica")  # without triggers: in a minute
        filling.execute(_SETTLED, [settled])
        filling.execute(_PENDING, [PENDING])
        filling.execute(_SESSIONS)
        filling.execute(_RUNS)
    connection.execute("vacuum analyze")
    connection.execute("insert into prebooking_heartbeat (last_tick_at, sessions_at) values (now(), now())")
    return connection


def fold(connection: psycopg.Connection[Any]) -> list[float]:
    """Add up the settled rows, as upkeep does, and return the seconds of each call."""
    took = []
    while True:
        start = time.perf_counter()
        connection.execute("select page_fold(prebooking_clock())")
        took.append(time.perf_counter() - start)
        [[left]] = connection.execute(
            "select exists (select from prebookings where settled_at <= now() - interval '1 minute'"
            " and settled_at > coalesce((select folded_until from page_progress), '2000-01-01'))"
        ).fetchall()
        if not left:
            connection.execute("vacuum analyze")
            return took


def cost(connection: psycopg.Connection[Any], call: str) -> list[float]:
    """Return the milliseconds of calls on a connection that has made some before, as PostgREST's have."""
    took = []
    for _ in range(TURNS + 3):
        with connection.transaction():
            connection.execute("set local role service_role")
            start = time.perf_counter()
            connection.execute(f"select {call}".encode())
            took.append((time.perf_counter() - start) * 1000)
    return took[3:]


def percentile(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def main() -> None:
    for major, server in servers_by_major().items():
        with LocalPostgres(server) as postgres:
            connection = database(postgres)
            print(f"Postgres {major}: {SETTLED:,} settled within a week, {PENDING:,} pending")
            before = cost(connection, "page_status_v1()")
            print(f"  nothing added up: {median(before):.1f} ms, p95 {percentile(before):.1f} ms")
            took = fold(connection)
            print(f"  added up in {len(took)} calls of at most {max(took):.2f} s")
            connection.execute("update prebooking_heartbeat set sessions_at = now()")
            for call in ("page_status_v1()", *SECTIONS):
                values = cost(connection, call)
                print(f"  {call}: {median(values):.1f} ms, p95 {percentile(values):.1f} ms")


if __name__ == "__main__":
    main()
