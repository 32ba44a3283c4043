"""A real Postgres for each test process, a fresh database for each test, and Supabase's RPC in front of it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from prebooking.local.keys import Keys
from prebooking.local.postgres import OLD_DEFAULTS, LocalPostgres, apply_migrations
from prebooking.local.rest import serve
from tests.database import Database, Rest
from tests.postgrest import serve_postgrest

_TEMPLATE = "migrated"
_OLD_TEMPLATE = "migrated_in_an_old_project"
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgrest", type=Path, help="a PostgREST to stand where local/rest.py stands otherwise")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    """The server of this test process, with a database to copy: the migrations are in it, and no rows."""
    with LocalPostgres() as server:
        apply_migrations(server.create_database(_TEMPLATE))
        yield server


@pytest.fixture
def database(postgres: LocalPostgres) -> Iterator[Database]:
    """A migrated database of this test's own."""
    with _copy(postgres, _TEMPLATE) as database:
        yield database


@pytest.fixture(scope="session")
def old_template(postgres: LocalPostgres) -> str:
    """A database to copy, migrated in a project that grants everything in advance."""
    with psycopg.connect(postgres.create_database(_OLD_TEMPLATE), autocommit=True) as connection:
        connection.execute(OLD_DEFAULTS)
    apply_migrations(postgres.dsn(_OLD_TEMPLATE))
    return _OLD_TEMPLATE


@pytest.fixture(params=["new project", "old project"])
def project(postgres: LocalPostgres, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database of this test's own, in both kinds of project: they differ in what they grant in advance."""
    template = _TEMPLATE if request.param == "new project" else request.getfixturevalue("old_template")
    with _copy(postgres, template) as database:
        yield database


@contextmanager
def _copy(postgres: LocalPostgres, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    postgres.create_database(name, template=template)
    with closing(Database(postgres, name)) as database:
        yield database
    postgres.drop_database(name)


@pytest.fixture
async def rest(
    database: Database, request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Rest]:
    """Supabase's REST address of the test's database, and its keys."""
    keys, binary = Keys(), request.config.getoption("--postgrest")
    dsn = database.dsn_of("authenticator")
    async with serve_postgrest(dsn, keys, binary, tmp_path) if binary else serve(dsn, keys) as url:
        yield Rest(url, service_key=keys.secret, anon_key=keys.publishable, keys=keys)
