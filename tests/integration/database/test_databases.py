"""A test gets a database in the state of its template, whatever an earlier test has done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from prebooking.local.postgres import LocalPostgres
from tests.support.database import Connection, Database
from tests.support.databases import Databases
from tests.support.postgrest import BINARY, NO_POSTGREST, REAL, open_rest

_TEMPLATE = """
create table public.numbered (
  id int generated always as identity primary key, twice int generated always as (id * 2) stored);
create table public.part (of int references public.numbered);
create sequence public.counter start 7;
create table public.seeded (one int default 1, two int generated always as (one * 2) stored);
insert into public.seeded values (1), (2);
grant insert on public.numbered to service_role;
"""
_VENUE = "insert into public.venues (name, provider, timezone) values ('x', 'webhook', 'UTC')"
_ROWS = [
    _VENUE,
    "insert into public.numbered default values; insert into public.part values (1)",
    "begin; insert into public.numbered default values; rollback",
    "select nextval('public.counter')",
    "select setval('public.counter', 100)",
    "update public.prebooking_bell set lead = '1 second'",
    "delete from public.prebooking_bell",
    "truncate public.prebooking_bell, public.venues cascade",
    "insert into public.seeded values (3)",
    "update public.seeded set one = 9 where one = 2",
    "update testing.clock set instant = '2030-01-01'",
    "delete from testing.clock",
    "set session_replication_role = replica; insert into public.part values (5)",
    f"{_VENUE}; analyze public.venues",
    "analyze public.venues",
    "vacuum public.venues",
    "analyze public.prebooking_bell",
]
_SESSION = [
    "set role service_role",
    "set session authorization postgres",
    "set statement_timeout = 1",
    "set search_path = testing",
    "set timezone = 'Asia/Tokyo'",
    "select set_config('request.method', 'POST', false)",
    "prepare p as select 1",
    "declare c cursor with hold for select 1",
    "select pg_advisory_lock(1)",
    "listen pgrst",
    "begin",
    "begin; lock public.venues",
    f"begin; {_VENUE}",
    "begin; create table public.t ()",
]
_ANYTHING_ELSE = [
    "create or replace function public.prebooking_clock() returns timestamptz language sql as 'select now()'",
    "alter function public.prebooking_clock() set lock_timeout = '1s'",
    "revoke execute on function public.prebooking_clock() from service_role",
    "grant select on public.venues to anon",
    "alter default privileges in schema public grant all on tables to anon",
    "alter table public.venues disable trigger user",
    "alter table public.venues drop column name",
    "drop table public.prebookings cascade",
    "create temporary table t ()",
    "create schema other",
    "comment on table public.venues is 'x'",
    "set session_replication_role = replica; drop index public.prebookings_due",
    "do 'begin create table public.t ();end'",
    "select lo_create(1)",
    "alter database {database} set statement_timeout = '1min'",
    "alter role service_role in database {database} set statement_timeout = '1min'",
    "grant create on database {database} to anon",
    "alter database {database} connection limit 5",
]

# Without the ids that differ between two copies, and what the reset itself writes.
_STATE = {
    "relations": """
        select oid::regclass::text, relacl::text, relrowsecurity, pg_relation_size(oid), relpages, reltuples
        from pg_class where oid >= 16384 and relkind = 'r' and relnamespace <> 'reset'::regnamespace order by 1""",
    "indexes": """
        select indexrelid::regclass::text, indisvalid, pg_relation_size(indexrelid) from pg_index
        where indexrelid >= 16384 and indexrelid::regclass::text !~ '^(reset|pg_toast)' order by 1""",
    "columns": """
        select attrelid::regclass::text, attname, atttypid::regtype::text, attacl::text from pg_attribute
        where attrelid >= 16384 and attnum > 0
          and attrelid::regclass::text !~ '^(reset|pg_toast)' order by 1, attnum""",
    "functions": "select p::text from pg_proc p where pronamespace <> 'reset'::regnamespace order by 1",
    "triggers": "select t::text from pg_trigger t order by 1",
    "constraints": "select c::text from pg_constraint c order by 1",
    "schemas": "select n::text from pg_namespace n where nspname !~ '^pg_' order by 1",
    "comments": "select d::text from pg_description d where objoid >= 16384 order by 1",
    "default privileges": "select d::text from pg_default_acl d order by 1",
    "sequences": "select schemaname, sequencename, last_value from pg_sequences order by 1, 2",
    "statistics": "select s::text from pg_statistic s where starelid >= 16384 order by 1",
    "large objects": "select oid from pg_largeobject_metadata",
    "database": "select datacl::text, datconnlimit from pg_database where datname = current_database()",
    "settings": """
        select setrole, setconfig from pg_db_role_setting s join pg_database d on d.oid = setdatabase
        where datname = current_database() order by 1""",
    "locks": """
        select locktype, mode from pg_locks join pg_database d on d.oid = database
        where datname = current_database() and pid <> pg_backend_pid() order by 1, 2""",
    "transactions": """
        select state from pg_stat_activity
        where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()""",
}
_OF_A_SESSION = [
    "select current_user, session_user, pg_backend_pid() is not null",
    "select name, setting from pg_settings where source = 'session'",
    "select name from pg_prepared_statements",
    "select name from pg_cursors where name <> ''",
    "select pg_listening_channels()",
    "select nullif(current_setting('request.method', true), '')",
]


@pytest.fixture(scope="module")
def own(postgres: LocalPostgres) -> Iterator[Databases]:
    """The databases of these tests alone, with a template that has everything."""
    with psycopg.connect(postgres.create_database("furnished", "migrated"), autocommit=True) as owner:
        owner.execute(_TEMPLATE)
    with closing(Databases(postgres, prefix="own")) as databases:
        yield databases


@pytest.mark.parametrize("statements", _ROWS)
def test_changed_rows_are_restored(own: Databases, statements: str) -> None:
    before = _change(own, statements)
    with own.lend("furnished", clock=True) as database:
        assert (database.name, _state(database)) == before


@pytest.mark.parametrize("statements", _SESSION)
def test_a_session_is_reset_or_ended(own: Databases, statements: str) -> None:
    with own.lend("furnished", clock=True) as database:
        before = database.name, _state(database), _session(database)
        used = database.connection
        _execute(used, statements)
    assert used.closed
    with own.lend("furnished", clock=True) as database:
        assert (database.name, _state(database), _session(database)) == before


@pytest.mark.parametrize("statements", _SESSION)
def test_a_session_that_was_left_open_is_ended(own: Databases, statements: str) -> None:
    with own.lend("furnished", clock=True) as database:
        before = database.name, _state(database)
        left = psycopg.connect(database.dsn, autocommit=True)
        _execute(left, statements)
    with closing(left), own.lend("furnished", clock=True) as database:
        assert (database.name, _state(database)) == before
        with pytest.raises(psycopg.OperationalError):
            left.execute("select 1")


def test_a_database_that_a_superuser_used_is_dropped(own: Databases) -> None:
    with own.lend("furnished") as database:
        database.superuser().execute("set allow_system_table_mods = on")
        database.superuser().execute("update pg_proc set prosrc = 'select now()' where proname = 'prebooking_clock'")
        before = database.name
    with own.lend("furnished") as database:
        assert database.name != before


def test_a_database_whose_session_was_killed_is_dropped(own: Databases) -> None:
    with own.lend("furnished") as database:
        database.connect().execute("select pg_terminate_backend(%s)", [database.connection.info.backend_pid])
        before = database.name
    with own.lend("furnished") as database:
        assert database.name != before


def test_two_tests_at_once_have_two_databases(own: Databases) -> None:
    with own.lend("furnished") as one, own.lend("furnished") as other:
        assert one.name != other.name


@pytest.mark.anyio
@pytest.mark.skipif(not BINARY.exists(), reason=NO_POSTGREST)
async def test_the_rest_api_of_a_database_is_kept_until_one_of_its_sessions_is_killed(own: Databases) -> None:
    kept = []
    for kills in (False, True, False):
        with own.lend("furnished", rest=True) as database:
            async with open_rest(database, REAL) as rest:
                kept.append((database.name, rest.keys))
            if kills:
                database.connection.execute(
                    "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'authenticator'"
                )
    assert kept[0] == kept[1] != kept[2]


@pytest.mark.parametrize("statements", _ANYTHING_ELSE)
def test_a_database_in_which_more_than_rows_has_changed_is_dropped(own: Databases, statements: str) -> None:
    before = _change(own, statements)
    with own.lend("furnished", clock=True) as database:
        assert database.name != before[0]
        assert _state(database) == before[1]


def _change(databases: Databases, statements: str) -> tuple[str, Any]:
    """Execute the statements in a database; return its name, and what it was like before."""
    with databases.lend("furnished", clock=True) as database:
        before = database.name, _state(database)
        _execute(database.connection, statements.format(database=database.name))
        assert _state(database) != before[1]
    return before


def _execute(connection: Connection, statements: str) -> None:
    for statement in statements.split("; "):
        connection.execute(statement.encode())


def _state(database: Database) -> Any:
    """Return everything that a test can find in a database: rows, catalog, settings, locks, sessions."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        tables = connection.execute(
            """select oid::regclass::text, format('select to_jsonb(t) from %s t', oid::regclass) from pg_class
            where relkind = 'r' and oid >= 16384 and relnamespace <> 'reset'::regnamespace"""
        ).fetchall()
        return {name: connection.execute(query.encode()).fetchall() for name, query in (_STATE | dict(tables)).items()}


def _session(database: Database) -> Any:
    """Return what the session of a test's connection begins with."""
    return {query: database.connection.execute(query.encode()).fetchall() for query in _OF_A_SESSION}
