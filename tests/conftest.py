"""A real Postgres for each test process, a database for each test, and Supabase's RPC in front of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import psycopg
import pytest

from prebooking.local.postgres import OLD_DEFAULTS, LocalPostgres, apply_migrations
from prebooking.local.servers import servers_by_major
from tests.support.called_functions import SETTINGS as COUNT_CALLS
from tests.support.called_functions import CalledFunctions
from tests.support.database import Database, Rest
from tests.support.databases import Databases
from tests.support.postgrest import BINARY, IMITATION, NO_POSTGREST, REAL, open_rest, which_rest

# An autovacuum during the load of a test's rows would count none of them, so plans would differ from run to run.
_SETTINGS = {"autovacuum": "off"}
_TEMPLATE = "migrated"
_OLD_TEMPLATE = "migrated_in_an_old_project"
_CALLED = "called functions"
_OF_A_SUITE = {"owner", "service", "project"}  # fixtures that only suites of the database use
_NEED_A_CLOCK = {"at", "gym", "world"}  # fixtures that stop the clock of the database
_NEED_A_BELL = {"bell", "stand_ins"}  # fixtures that ring the bell
_NEED_REST = {"rest", "terminal"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres-major", type=int, help="the major version of Postgres (Supabase's when left out)")
    parser.addoption(
        "--every-function", action="store_true", help="fail if no suite of the database calls one of its functions"
    )
    parser.addoption("--every-step", action="store_true", help="run all cases of the tests that are marked as a grid")


def pytest_configure(config: pytest.Config) -> None:
    major = config.getoption("--postgres-major")
    if major and major not in (majors := servers_by_major()):
        raise pytest.UsageError(f"there is no Postgres {major} on this machine, only {', '.join(map(str, majors))}")
    if config.getoption("--every-function"):
        config.pluginmanager.register(CalledFunctions(), _CALLED)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the suites of the database: the files with tests that have a connection to it in their hands.

    Of a grid (a test of every fault at every step) only one case in five is run, unless every step is asked for.
    """
    if not config.getoption("--every-step"):
        numbers = Counter[str]()
        kept = []
        for item in items:
            test = item.nodeid.partition("[")[0]
            if item.get_closest_marker("grid") is None or numbers[test] % 5 == 0:
                kept.append(item)
            numbers[test] += 1
        items[:] = kept
    suites = {item.path for item in items if _OF_A_SUITE.intersection(getattr(item, "fixturenames", ()))}
    for item in items:
        if item.path in suites:
            item.add_marker("database")


def pytest_report_header() -> str:
    return f"REST API: {BINARY.name} of {BINARY.parent.name}" if which_rest() == REAL else f"REST API: {NO_POSTGREST}"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def called_functions(pytestconfig: pytest.Config) -> CalledFunctions | None:
    """Where the calls of functions are counted, if they are."""
    plugin: CalledFunctions | None = pytestconfig.pluginmanager.get_plugin(_CALLED)
    return plugin


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config, called_functions: CalledFunctions | None) -> Iterator[LocalPostgres]:
    """The server of this test process, with a database to copy: the migrations are in it, and no rows."""
    major = pytestconfig.getoption("--postgres-major")
    bin_dir = servers_by_major()[major] if major else None
    with LocalPostgres(bin_dir, _SETTINGS | (COUNT_CALLS if called_functions else {})) as server:
        apply_migrations(server.create_database(_TEMPLATE))
        if called_functions:
            called_functions.expect(server.dsn(_TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def old_template(postgres: LocalPostgres) -> str:
    """A database to copy, migrated in a project that grants everything in advance."""
    with psycopg.connect(postgres.create_database(_OLD_TEMPLATE), autocommit=True) as connection:
        connection.execute(OLD_DEFAULTS)
    apply_migrations(postgres.dsn(_OLD_TEMPLATE))
    return _OLD_TEMPLATE


@pytest.fixture(scope="session")
def databases(postgres: LocalPostgres, called_functions: CalledFunctions | None) -> Iterator[Databases]:
    """The databases of this test process."""
    with closing(Databases(postgres, called_functions.note if called_functions else None)) as databases:
        yield databases


@pytest.fixture(scope="module", params=[REAL, IMITATION])
def rest_implementation(request: pytest.FixtureRequest) -> str:
    """Each of the two REST APIs in turn, for all tests of a file."""
    if request.param == REAL and not BINARY.exists():
        pytest.skip(NO_POSTGREST)
    return str(request.param)


@pytest.fixture(scope="module")
def shared_database(
    request: pytest.FixtureRequest, databases: Databases, rest_implementation: str
) -> Iterator[Database]:
    """A migrated database for all tests of a file, one per REST API, with the file's ``FUNCTIONS``.

    They are there before the REST API starts, because PostgREST reads the schema once.
    """
    with databases.lend(_TEMPLATE) as database:
        database.connection.execute(request.module.FUNCTIONS)
        yield database


@pytest.fixture(scope="module")
async def shared_rest(shared_database: Database, rest_implementation: str, anyio_backend: str) -> AsyncIterator[Rest]:
    """Supabase's REST address of the file's database, and its keys. PostgREST takes 0.3 s to start."""
    async with open_rest(shared_database, rest_implementation) as rest:
        yield rest


@pytest.fixture
def database(databases: Databases, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database, in which no other test is and nothing of one is left."""

    def needs(fixtures: set[str]) -> bool:
        return not fixtures.isdisjoint(request.fixturenames)

    clock, bell, rest = needs(_NEED_A_CLOCK), needs(_NEED_A_BELL), needs(_NEED_REST)
    with databases.lend(_TEMPLATE, clock=clock, bell=bell, rest=rest) as database:
        yield database


@pytest.fixture(params=["new project", "old project"])
def project(databases: Databases, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Like ``database``, in both kinds of project: they differ in what they grant in advance."""
    with databases.lend(
        _TEMPLATE if request.param == "new project" else request.getfixturevalue("old_template")
    ) as database:
        yield database


@pytest.fixture
async def rest(database: Database, anyio_backend: str) -> AsyncIterator[Rest]:
    """Supabase's REST address of the test's database, and its keys."""
    async with open_rest(database) as rest:
        yield rest
