"""The migrations run on every installed server, and a function that no test calls is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.servers import server_version, servers_by_major
from tests.support.called_functions import SETTINGS, CalledFunctions
from tests.support.calls import claimed, complete, finish
from tests.support.factories import add_prebooking, add_venue


@pytest.fixture(params=servers_by_major().values(), ids=lambda bin_dir: f"Postgres {server_version(bin_dir)[0]}")
def server(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    with LocalPostgres(request.param) as server:
        yield server


def test_the_migrations_run_and_their_functions_work(server: LocalPostgres) -> None:
    dsn = server.create_database("project")
    apply_migrations(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        row, me = add_prebooking(connection, add_venue(connection)), uuid4()
        connection.execute("set role service_role")
        assert claimed(connection, me) == [row]
        assert complete(connection, row, me)
        assert finish(connection, me) == 0


def test_a_function_counts_as_called_only_with_its_own_text() -> None:
    calls = CalledFunctions()
    with LocalPostgres(settings=SETTINGS) as server:
        dsn = server.create_database("project")
        apply_migrations(dsn)
        calls.expect(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("select public.prebooking_clock(), public.prebooking_lock()")
            connection.execute(
                "create or replace function public.prebooking_lock() returns void "
                "language sql set search_path = '' as 'select'"
            )
        calls.note(dsn)
    assert "prebooking_clock()" not in calls.missing
    assert "prebooking_lock()" in calls.missing, "the test has replaced it"
    assert "list_venues_v1()" in calls.missing
    assert "prebookings_refuse()" not in calls.missing, "calls of a function that only raises are not counted"
