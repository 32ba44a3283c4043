"""The migrations run on every server at hand, and need no superuser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from prebooking.local.postgres import LocalPostgres, apply_migrations, bundled_servers, server_version
from tests.calls import claimed, complete, finish
from tests.factories import add_prebooking, add_venue

_SERVERS = [*bundled_servers(), *Path("/usr/lib/postgresql").glob("*/bin")]


@pytest.fixture(params=_SERVERS, ids=lambda bin_dir: "Postgres " + ".".join(map(str, server_version(bin_dir))))
def server(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    with LocalPostgres(request.param) as server:
        server.create_roles()
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


def test_the_wheel_has_the_two_servers_that_the_suite_counts_on() -> None:
    assert [server_version(bin_dir)[0] for bin_dir in bundled_servers()] == [16, 18]


def test_the_migrations_need_no_superuser(postgres: LocalPostgres) -> None:
    dsn = postgres.create_database("modest")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create role modest login bypassrls; alter database modest owner to modest")
    apply_migrations(postgres.dsn("modest", "modest"))
    with psycopg.connect(dsn) as connection:
        owners = connection.execute(
            "select distinct proowner::regrole::text from pg_proc where pronamespace = 'public'::regnamespace"
        )
        assert owners.fetchall() == [("modest",)]
    postgres.drop_database("modest")
