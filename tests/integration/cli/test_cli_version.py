"""``prebooking version``: the command, the database and the function, and the cure if they do not fit."""

from __future__ import annotations

import json

import pytest

import prebooking
from prebooking.cli.version import FUNCTION_NEWER, FUNCTION_OLDER, NEWER, NO_BOOKKEEPING, OLDER
from prebooking.database.migrations import known_migrations
from tests.support.database import Connection, Database
from tests.support.questions import ask
from tests.support.terminal import Terminal

NEWEST = known_migrations()[-1].version
BOOKKEEPING = """
    create schema supabase_migrations;
    create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
    grant usage on schema supabase_migrations to service_role;
    grant select (version) on supabase_migrations.schema_migrations to service_role;
"""


def book(connection: Connection, *versions: str) -> None:
    connection.execute(BOOKKEEPING)
    for version in versions:
        connection.execute("insert into supabase_migrations.schema_migrations values (%s)", [version])


def call_upkeep(database: Database, version: str) -> None:
    ask(database.connect("service_role"), "upkeep_due_v2", ["webhook"], [], version)


def test_what_fits_is_shown_without_a_complaint(terminal: Terminal, database: Database) -> None:
    book(database.connection, "20261126000001", NEWEST)
    call_upkeep(database, prebooking.__version__)
    command, base, function = terminal.succeeds("version").splitlines()
    assert command == f"command   {prebooking.__version__}, with migrations up to {NEWEST}"
    assert base == f"database  {NEWEST}"
    assert function.startswith(f"function  {prebooking.__version__}, upkeep called ")
    shown = json.loads(terminal.succeeds("version", "--json"))
    assert shown["problems"] == []
    assert shown["database"] == {"migration": NEWEST}
    assert shown["function"]["version"] == prebooking.__version__


def test_what_is_unknown_is_no_complaint(terminal: Terminal) -> None:
    """The migrations were run without bookkeeping, and nothing has called yet."""
    _, base, function = terminal.succeeds("version").splitlines()
    assert (base, function) == (f"database  {NO_BOOKKEEPING}", "function  unknown, because upkeep has not called yet")


def test_bookkeeping_that_may_not_be_read_is_unknown(terminal: Terminal, database: Database) -> None:
    book(database.connection, NEWEST)
    database.connection.execute("revoke all on schema supabase_migrations from service_role")
    assert NO_BOOKKEEPING in terminal.succeeds("version")


@pytest.mark.parametrize(
    ("migration", "function", "complaint"),
    [
        ("20261126000005", prebooking.__version__, OLDER),
        ("20990101000000", prebooking.__version__, NEWER),
        (NEWEST, "0.0.9", FUNCTION_OLDER),
        (NEWEST, "0.10.0", FUNCTION_NEWER),
    ],
)
def test_what_does_not_fit_is_named_with_its_cure(
    terminal: Terminal, database: Database, migration: str, function: str, complaint: str
) -> None:
    book(database.connection, migration)
    call_upkeep(database, function)
    result = terminal.run("version")
    assert (result.code, result.err) == (1, "")
    assert result.out.splitlines()[3:] == [f"{complaint}."]
    assert json.loads(terminal.run("version", "--json").out)["problems"] == [complaint]


def test_a_database_that_does_not_know_the_question_is_older(terminal: Terminal, database: Database) -> None:
    database.connection.execute("drop function prebooking_version_v1; notify pgrst, 'reload schema'")
    result = terminal.run("version")
    assert (result.code, result.out.splitlines()[3:]) == (1, [f"{OLDER}."])


def test_a_heartbeat_without_a_version_is_from_before(terminal: Terminal, database: Database) -> None:
    ask(database.connect("service_role"), "upkeep_due_v1", ["webhook"], [])
    assert "function  older than 0.1.0, upkeep called" in terminal.succeeds("version")


def test_without_settings_the_commands_own_version_is_shown(terminal: Terminal) -> None:
    terminal.environment.delenv("SUPABASE_URL")
    result = terminal.run("version")
    assert (result.code, result.out.partition(",")[0]) == (1, f"command   {prebooking.__version__}")
    assert "SUPABASE_URL is missing" in result.err


def test_a_locked_heartbeat_gets_the_version_at_the_next_call(database: Database) -> None:
    service = database.connect("service_role")
    for version in ("0.1.0", "0.1.0", "0.2.0"):
        call_upkeep(database, version)
        assert ask(service, "prebooking_version_v1")["function"] == version
    locked = database.connect()
    locked.execute("begin; update prebooking_heartbeat set watchdog_at = null")
    call_upkeep(database, "0.3.0")
    locked.execute("commit")
    assert ask(service, "prebooking_version_v1")["function"] == "0.2.0", "the next call writes it"
