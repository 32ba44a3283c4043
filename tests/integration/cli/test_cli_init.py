"""``prebooking init``: what it applies, what it refuses, and that it keeps the bookkeeping of ``supabase db push``."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest

from prebooking.cli.postgres import DatabaseAddress
from prebooking.database.migrations import MigrationTarget, known_migrations
from prebooking.errors import CommandFailed
from prebooking.local.postgres import SUPERUSER, LocalPostgres
from tests.support.catalog import objects
from tests.support.database import Connection, Database
from tests.support.races import at_the_same_time, wait_until_somebody_is_blocked
from tests.support.terminal import Terminal

KNOWN = known_migrations()
VERSIONS = [migration.version for migration in KNOWN]
BOOKED = "select version, name, statements from supabase_migrations.schema_migrations order by version"
ROWS = [(m.version, m.name, [m.sql.strip().rstrip(";")]) for m in KNOWN]
SECRET = "correct-horse"


@pytest.fixture
def empty(postgres: LocalPostgres) -> Iterator[Database]:
    """A project's database before the first migration."""
    postgres.create_database("empty")
    database = Database(postgres, "empty")
    yield database
    database.close()
    postgres.drop_database("empty")


def address(database: Database, user: str = "postgres") -> str:
    info = psycopg.conninfo.conninfo_to_dict(database.dsn)
    return f"postgresql://{user}@/{info['dbname']}?host={info['host']}&port={info['port']}"


def booked(database: Database) -> list[str]:
    """Return the versions in the bookkeeping; empty without one."""
    return MigrationTarget(database.connect()).applied()


def apply_first(database: Database, number: int) -> None:
    """Apply the first migrations, as an init that is killed after them."""
    target = MigrationTarget(database.connect())
    for migration in KNOWN[:number]:
        assert target.apply(KNOWN, migration, waiting=pytest.fail)


def test_it_says_what_it_would_do_and_applies_it_once(
    terminal: Terminal, empty: Database, postgres: LocalPostgres
) -> None:
    words = ("init", "--database", address(empty))
    shown = terminal.succeeds(*words, stdin="n\n")
    assert f"has 0 of {len(KNOWN)} migrations" in shown
    assert [line.strip() for line in shown.splitlines() if line.startswith("  ")] == [one.title for one in KNOWN]
    assert shown.endswith("Nothing was changed.\n")
    assert booked(empty) == []
    applied = terminal.succeeds(*words, stdin="y\n")
    following = applied.split("Next:\n")[1].splitlines()
    assert len(following) == 3
    assert "the lines of your .env" in following[0], "`prebooking secrets` alone would make other ones"
    assert empty.connection.execute(BOOKED).fetchall() == ROWS
    assert objects(empty.dsn) == objects(postgres.dsn("migrated"))
    assert terminal.succeeds(*words) == f"The database empty at {here(empty)} is up to date: {len(KNOWN)} migrations.\n"


def here(database: Database) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(database.dsn)["host"])


def test_the_address_may_be_in_the_environment(terminal: Terminal, empty: Database) -> None:
    terminal.environment.setenv("DATABASE_URL", address(empty))
    terminal.succeeds("init", "--yes")
    assert booked(empty) == VERSIONS
    terminal.environment.delenv("DATABASE_URL")
    assert "Set DATABASE_URL, or give --database" in terminal.fails("init", code=2)


def test_without_an_answer_nothing_is_changed(terminal: Terminal, empty: Database) -> None:
    result = terminal.run("init", "--database", address(empty))
    assert (result.code, booked(empty)) == (1, [])
    assert result.err.endswith("Error: Nothing was changed: confirm with --yes.\n")


def test_after_a_kill_the_next_init_continues(terminal: Terminal, empty: Database, postgres: LocalPostgres) -> None:
    """The kill is in the middle of a migration, which waits for a table: its connection is cut."""
    apply_first(empty, 1)
    reader = empty.connect()
    reader.execute("begin; lock table public.prebookings in row exclusive mode")
    with at_the_same_time(lambda: terminal.run("init", "--yes", "--database", address(empty))) as result:
        wait_until_somebody_is_blocked(empty.connection, by=reader)
        empty.superuser().execute(
            "select pg_terminate_backend(pid) from pg_locks where not granted and %s = any (pg_blocking_pids(pid))",
            [reader.info.backend_pid],
        )
        killed = result.result()
    reader.execute("rollback")
    assert killed.code == 1
    done = booked(empty)
    assert VERSIONS[: len(done)] == done
    assert 1 <= len(done) < len(VERSIONS)
    shown = terminal.succeeds("init", "--database", address(empty), stdin="y\n")
    assert f"has {len(done)} of {len(KNOWN)} migrations" in shown
    assert empty.connection.execute(BOOKED).fetchall() == ROWS
    assert objects(empty.dsn) == objects(postgres.dsn("migrated"))


def test_of_two_inits_the_second_waits_and_nothing_is_applied_twice(terminal: Terminal, empty: Database) -> None:
    first = empty.connect()
    first.execute("begin; select pg_advisory_xact_lock(7273648)")
    with at_the_same_time(lambda: terminal.run("init", "--yes", "--database", address(empty))) as result:
        wait_until_somebody_is_blocked(empty.connection, by=first)
        with at_the_same_time(lambda: apply_all(empty.connect())) as other:
            first.execute("commit")
            here, there = result.result(), other.result()
    assert (here.code, here.err) == (0, "")
    assert "Another init is running: waiting for it." in here.out
    assert here.out.count("applied by another init") == there
    assert booked(empty) == VERSIONS


def apply_all(connection: Connection) -> int:
    """Apply all migrations, and return how many of them were applied here."""
    target = MigrationTarget(connection)
    return sum(target.apply(KNOWN, migration, waiting=lambda: None) for migration in KNOWN)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "insert into supabase_migrations.schema_migrations values ('20990101000000')",
            "does not know (20990101000000)",
        ),
        ("delete from supabase_migrations.schema_migrations where name = 'tables'", f"lacks {VERSIONS[0]},"),
        ("truncate supabase_migrations.schema_migrations", "has a table venues that none of its noted migrations"),
        ("drop schema supabase_migrations cascade", "has a table venues that none of its noted migrations"),
    ],
    ids=["newer", "a gap", "no rows", "no bookkeeping"],
)
def test_a_database_that_does_not_fit_is_refused(
    terminal: Terminal, empty: Database, change: str, sentence: str
) -> None:
    apply_first(empty, 2)
    empty.connection.execute(change.encode())
    before = objects(empty.dsn)
    assert sentence in terminal.fails("init", "--yes", "--database", address(empty))
    assert objects(empty.dsn) == before


def test_a_table_of_ones_own_is_refused_before_anything_is_applied(terminal: Terminal, empty: Database) -> None:
    empty.connection.execute("create table public.prebookings (id int)")
    assert "If it is your own, rename it" in terminal.fails("init", "--yes", "--database", address(empty))
    assert booked(empty) == []


def test_an_index_of_a_renamed_table_is_named_before_anything_is_applied(terminal: Terminal, empty: Database) -> None:
    empty.connection.execute("create table public.prebookings_old (at date)")
    empty.connection.execute("create index prebookings_due on public.prebookings_old (at)")
    output = terminal.fails("init", "--yes", "--database", address(empty))
    assert (
        "has an index prebookings_due that none of its noted migrations has made. If it is your own, rename" in output
    )
    assert booked(empty) == []


def test_a_function_of_ones_own_is_no_fault_to_report(terminal: Terminal, empty: Database) -> None:
    empty.connection.execute(
        "create function public.prebooking_local_instant(text, text) returns int language sql as 'select 1'"
    )
    result = terminal.run("init", "--yes", "--database", address(empty))
    assert "is there already, and nothing of it was applied: rename it if it is your own" in result.err
    assert "report" not in result.err


def test_another_object_of_ours_stops_it_at_its_migration(terminal: Terminal, empty: Database) -> None:
    empty.connection.execute("create domain public.prebooking_instant as timestamptz")
    result = terminal.run("init", "--yes", "--database", address(empty))
    assert result.code == 1
    assert "is there already, and nothing of it was applied" in result.err
    assert booked(empty) == []


def test_a_run_that_holds_a_table_stops_it_with_a_cure(terminal: Terminal, empty: Database) -> None:
    apply_first(empty, 1)
    terminal.environment.setattr("prebooking.database.migrations._TABLE_LOCK_SECONDS", 0.2)
    empty.connect().execute("begin; lock table public.prebookings in row exclusive mode")
    result = terminal.run("init", "--yes", "--database", address(empty))
    assert result.code == 1
    assert "holds a table, and nothing of this migration was applied: run this again (SQLSTATE 55P03)" in result.err
    assert booked(empty) == VERSIONS[:1]


def test_another_role_and_another_server_are_refused(terminal: Terminal, empty: Database) -> None:
    sentence = terminal.fails("init", "--yes", "--database", address(empty, SUPERUSER))
    assert "of the role supabase_admin: use the role postgres" in sentence
    admin = empty.superuser()
    admin.execute("alter role anon rename to nobody_else")
    try:
        assert "is not Supabase's" in terminal.fails("init", "--yes", "--database", address(empty))
    finally:
        admin.execute("alter role nobody_else rename to anon")
    assert booked(empty) == []


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://postgres:{SECRET}@{SECRET}@db.example.com/postgres",
        f"postgresql://postgres:{SECRET}/x@db.example.com/postgres",
        f"postgresql://postgres:{SECRET}#x@db.example.com/postgres",
        f"postgresql://postgres:{SECRET}?x@db.example.com/postgres",
        f"postgresql://postgres:{SECRET}:x@db.example.com/postgres",
        f"postgresql://postgres:{SECRET} x@db.example.com/postgres",
        f"postgresql://postgres:{SECRET}%zz@db.example.com/postgres",
        f"host=db.example.com password={SECRET}",
        f"https://{SECRET}.supabase.co",
        SECRET,
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(terminal: Terminal, url: str) -> None:
    sentence = terminal.fails("init", "--database", url, code=2)
    assert "That is no address postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in sentence
    assert SECRET not in sentence


def test_the_dashboards_placeholder_is_named(terminal: Terminal) -> None:
    url = "postgresql://postgres:[YOUR-PASSWORD]@db.example.com:5432/postgres"
    assert "put the database's password in its place" in terminal.fails("init", "--database", url, code=2)


def test_an_option_that_postgres_does_not_know_is_named(terminal: Terminal, empty: Database) -> None:
    """Vercel's variable POSTGRES_URL has one."""
    sentence = terminal.fails("init", "--database", f"{address(empty)}&supa=base-pooler.x")
    assert "has an option that is not known" in sentence


@pytest.mark.parametrize(
    ("host", "options", "mode"),
    [
        ("db.example.com", "", "require"),
        ("db.example.com", "?sslmode=disable", "disable"),
        ("127.0.0.1", "", "prefer"),
        ("localhost", "", "prefer"),
        ("[2001:4860:4860::8888]", "", "require"),
    ],
)
def test_a_password_goes_over_the_internet_encrypted(
    monkeypatch: pytest.MonkeyPatch, host: str, options: str, mode: str
) -> None:
    asked: list[str] = []

    def connect(conninfo: str, **_: object) -> psycopg.Connection:
        asked.append(conninfo)
        raise psycopg.OperationalError("refused")

    monkeypatch.setattr(psycopg, "connect", connect)
    with (
        pytest.raises(CommandFailed, match="Nothing answers"),
        DatabaseAddress(f"postgresql://postgres:{SECRET}@{host}/postgres{options}").connect(),
    ):
        pass
    assert psycopg.conninfo.conninfo_to_dict(asked[0])["sslmode"] == mode


@pytest.mark.parametrize(
    ("host", "sentence"),
    [("no-such-host.invalid", "The host of the address is not known"), ("127.0.0.1", "Nothing answers at this host")],
)
def test_a_database_that_cannot_be_reached(terminal: Terminal, host: str, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    output = terminal.fails("init", "--database", f"postgresql://postgres:{SECRET}@{host}:{port}/postgres")
    assert sentence in output
    assert SECRET not in output


def test_a_wrong_password_is_not_shown(terminal: Terminal) -> None:
    with LocalPostgres() as server:
        with psycopg.connect(server.dsn(user=SUPERUSER), autocommit=True) as admin:
            admin.execute("alter role postgres password 'p@ss/word'")
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"local all postgres scram-sha-256\n{rules.read_text()}")
        server.restart()
        url = f"postgresql://postgres:{{}}@/postgres?host={server.folder}&port=5432"
        passwords = (quote("p@ss/word", safe=""), SECRET, "")
        right, wrong, missing = [
            terminal.run("init", "--database", url.format(word), stdin="n\n") for word in passwords
        ]
    assert (right.code, "Nothing was changed" in right.out) == (0, True), right
    assert "refuses the password" in wrong.err
    assert SECRET not in wrong.err + wrong.out
    assert "has no password" in missing.err


def test_the_script_for_the_sql_editor_works_once(terminal: Terminal, empty: Database, postgres: LocalPostgres) -> None:
    script = terminal.succeeds("init", "--sql")
    assert len(script) < 900_000, "Supabase's SQL editor takes less than a megabyte"
    with pytest.raises(psycopg.errors.RaiseException, match="run this as the role postgres"):
        empty.connect(SUPERUSER).execute(script.encode())
    empty.connection.execute(script.encode())
    assert empty.connection.execute(BOOKED).fetchall() == ROWS
    assert objects(empty.dsn) == objects(postgres.dsn("migrated"))
    with pytest.raises(psycopg.errors.RaiseException, match=r"Nothing was changed: .* with 0 migrations, and this one"):
        empty.connect().execute(script.encode())
    assert empty.connection.execute(BOOKED).fetchall() == ROWS
    assert "is up to date" in terminal.succeeds("init", "--database", address(empty))


def test_the_script_has_what_a_database_lacks(terminal: Terminal, empty: Database, postgres: LocalPostgres) -> None:
    apply_first(empty, 5)
    script = terminal.succeeds("init", "--sql", "--database", address(empty))
    assert booked(empty) == VERSIONS[:5]
    assert KNOWN[4].title not in script
    empty.connection.execute(script.encode())
    assert empty.connection.execute(BOOKED).fetchall() == ROWS
    assert objects(empty.dsn) == objects(postgres.dsn("migrated"))
    with pytest.raises(psycopg.errors.RaiseException, match="with 5 migrations"):
        empty.connect().execute(script.encode())
    assert "up to date" in terminal.succeeds("init", "--sql", "--database", address(empty))
