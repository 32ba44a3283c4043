"""The previous version and this one, on one database: an upgrade loses nothing, in whatever order its parts arrive."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from prebooking.files import MIGRATIONS
from prebooking.local.function import UPKEEP, Function
from prebooking.local.stack import Stack, local_stack
from prebooking.local.venue.twin import CallPlan
from tests.support.factories import add_prebooking, add_venue
from tests.support.stacks import ends, opening

ROOT = Path(__file__).parents[2]
PREVIOUS = "02f2220a7dc70b5cd6f8fc17afefeee86aad047a"  # the release candidate of 0.1.0; the tag of 0.1.0 follows it
ROWS = sql.SQL("select to_jsonb(t) from public.{} t order by t::text")
BOOKED = {("completed", "booked")}


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the previous version."""
    folder = tmp_path_factory.mktemp("previous")
    command = ["git", "-C", str(ROOT), "archive", PREVIOUS, "api", "prebooking", "supabase/migrations"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("the previous version is in the history of git, which is not here")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(previous: Path) -> Iterator[Stack]:
    """A stack whose database has the previous version."""
    with local_stack(migrations=previous / "supabase" / "migrations") as stack:
        yield stack


@pytest.fixture
def old_function(old: Stack, previous: Path) -> Iterator[Function]:
    with Function(old.environment, log=old.log.append, folder=previous) as function:
        yield function.ready()


def upgrade(stack: Stack, previous: Path) -> None:
    """Apply the migrations that the previous version does not have."""
    applied = {path.name for path in (previous / "supabase" / "migrations").glob("*.sql")}
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as connection:
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name not in applied:
                connection.execute(path.read_bytes())


def booked_once(stack: Stack, rows: list[UUID]) -> bool:
    """Return whether all rows are booked, and the venue has one booking for each of them."""
    return ends(stack, rows) == BOOKED and [len(stack.ledger.bookings_of(row)) for row in rows] == [1] * len(rows)


def contents(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables."""
    tables = stack.connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname"
    ).fetchall()
    return {name: [row for (row,) in stack.connection.execute(ROWS.format(sql.Identifier(name)))] for (name,) in tables}


def functions(stack: Stack) -> set[str]:
    """Return the versioned functions of the database, with their arguments."""
    query = """
        select proname || '(' || pg_get_function_identity_arguments(oid) || ')' from pg_proc
        where pronamespace = 'public'::regnamespace and proname ~ '_v[0-9]+$'"""
    return {name for (name,) in stack.connection.execute(query)}


def test_a_released_migration_never_changes(previous: Path) -> None:
    for path in (previous / "supabase" / "migrations").glob("*.sql"):
        assert (MIGRATIONS / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_upgrade_keeps_every_row_and_every_function(old: Stack, previous: Path) -> None:
    opening(old, 2)
    opening(old, 1, ahead=3600)
    venue = add_venue(old.connection)
    add_prebooking(old.connection, venue, status="completed", outcome="booked", settled_at="2026-11-01T08:00:00Z")
    rows, names = contents(old), functions(old)
    upgrade(old, previous)
    after = contents(old)
    for table, before in rows.items():
        assert len(after[table]) == len(before), table
        for row in before:
            assert any(row.items() <= one.items() for one in after[table]), (table, row)
    assert names <= functions(old)
    assert rows["prebookings"]


def test_the_previous_function_works_on_the_new_database(old: Stack, previous: Path, old_function: Function) -> None:
    upgrade(old, previous)
    rows = opening(old, 3)
    assert old_function.trigger().json()["outcomes"] == {"booked": 3}
    assert booked_once(old, rows)
    assert old_function.trigger(UPKEEP).status_code == 200


def test_the_new_function_loses_nothing_on_the_previous_database(old: Stack, previous: Path) -> None:
    rows = opening(old, 3)
    with old.function() as function:
        function.ready().trigger()
        upgrade(old, previous)
        function.trigger()
    assert booked_once(old, rows)


def test_a_migration_during_a_run_stops_nothing(old: Stack, previous: Path, old_function: Function) -> None:
    rows = opening(old, 5)
    for row in rows:
        old.twin.script(row, CallPlan(delay_after=0.5))
    with ThreadPoolExecutor() as pool:
        run = pool.submit(old_function.trigger)
        assert old.ledger.wait_for(lambda: bool(old.ledger.arrivals()), seconds=10)
        upgrade(old, previous)
        assert run.result(30).status_code == 200
    assert booked_once(old, rows)
