"""The migrations run on every server at hand, and need no superuser."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.servers import server_version, servers_by_major
from tests.calls import claimed, complete, finish
from tests.factories import add_prebooking, add_venue


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
