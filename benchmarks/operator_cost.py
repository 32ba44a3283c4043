"""The duration of the operator's commands in the database, beside many due prebookings.

``python -m benchmarks.operator_cost`` prints it per major version of Postgres that this machine has, before and after
the migration that made it less.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psycopg

from benchmarks.claim_cost import Case, due
from prebooking.files import MIGRATIONS
from prebooking.local.postgres import LocalPostgres
from prebooking.local.servers import servers_by_major

CASE = Case(100_000, 0, 10_000)
TURNS = 9
CALLS = {
    "list": "list_prebookings_v1(null, 7, 200)",
    "list of a member": "list_prebookings_v1('m77@example.com', 7, 200)",
    "status": "prebooking_status_v1()",
}
# The functions that the migration operator_cost replaces, and where they were before.
_BEFORE = {
    "05_sessions": ["upkeep_logins_due"],
    "06_operator": ["list_prebookings_v1"],
    "09_status": ["prebooking_figures_v1", "prebooking_waiting", "prebooking_status_v1"],
}


def figures() -> Iterator[tuple[str, str, str]]:
    with LocalPostgres(settings={"shared_buffers": "256MB"}) as postgres:
        costs = measure(postgres)
    for command in ("list", "status"):
        before, now = costs[command]
        yield (
            f"`{command}` in the database, with {CASE}, against its first version",
            f"{now / before:.2f}",
            f"{now:.0f} ms and {before:.0f} ms",
        )


def measure(postgres: LocalPostgres) -> dict[str, tuple[float, float]]:
    """Return the median milliseconds of each command before and now, measured in turns."""
    due(postgres, CASE).close()
    old = postgres.create_database("before", template=CASE.database)
    with psycopg.connect(old) as first, psycopg.connect(postgres.dsn(CASE.database)) as present:
        _restore(first)
        costs = {}
        for command, call in CALLS.items():
            turns = [(_cost(first, call), _cost(present, call)) for _ in range(TURNS)][2:]
            costs[command] = (median(before for before, _ in turns), median(now for _, now in turns))
    postgres.drop_database("before")
    postgres.drop_database(CASE.database)
    return costs


def _restore(connection: psycopg.Connection[Any]) -> None:
    for file, names in _BEFORE.items():
        source = (MIGRATIONS / f"202611260000{file}.sql").read_text()
        for name in names:
            found = re.search(rf"create (function public\.{name}\(.*?\$\$.*?\$\$;)", source, re.DOTALL)
            assert found
            connection.execute(f"create or replace {found[1]}".encode())
    connection.execute("drop index prebookings_called")
    connection.commit()


def _cost(connection: psycopg.Connection[Any], call: str) -> float:
    with connection.transaction(force_rollback=True):
        connection.execute("set local role service_role")
        start = time.perf_counter()
        connection.execute(f"select {call}".encode())
        return (time.perf_counter() - start) * 1000


def main() -> None:
    for major, server in servers_by_major().items():
        with LocalPostgres(server, settings={"shared_buffers": "256MB"}) as postgres:
            costs = measure(postgres)
        print(f"Postgres {major}, {CASE}")
        for command, (before, now) in costs.items():
            print(f"  {command}: {before:.0f} ms -> {now:.0f} ms ({before / now:.1f} x)", flush=True)


if __name__ == "__main__":
    main()
