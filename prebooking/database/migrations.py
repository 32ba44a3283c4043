"""The migrations, and the bookkeeping of which of them a database has.

The bookkeeping is that of ``supabase db push`` (pkg/migration/history.go of its source): the same table, and one row
per migration, written in the transaction of the migration. So both can be used in turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prebooking.errors import CommandFailed
from prebooking.files import MIGRATIONS

if TYPE_CHECKING:
    import psycopg

OLDEST_SERVER = 15  # the first major version of Postgres on which the migrations are tested
OWNER = "postgres"  # the role of `supabase db push`, to which the tables have to belong

_LOCK = 7273648  # the key of the advisory lock: one init at a time
_LOCK_SECONDS = 60  # for which an init waits for another one
_TABLE_LOCK_SECONDS = 5  # for which a migration waits for a table, while calls of the function wait behind it

_BOOKKEEPING = """\
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""
_APPLIED = "select version from supabase_migrations.schema_migrations order by version"
_BOOK = "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)"

_A = {"table": "a table", "index": "an index"}

# The script for the SQL editor: it refuses to run on a database with other migrations than those it was made for.
_SCRIPT = """\
-- {title}
begin;
set local lock_timeout = '{seconds}s';
select pg_advisory_xact_lock({lock});
{bookkeeping}
do $check$
declare applied text[] := array(select version from supabase_migrations.schema_migrations order by version);
begin
  if current_user <> '{owner}' then
    raise exception 'Nothing was changed: run this as the role {owner}, not as %', current_user;
  end if;
  if applied <> '{{{before}}}' then
    raise exception 'Nothing was changed: this script is for a database with {count} migrations, and this one has %',
      cardinality(applied) using hint = 'Has it run already? `prebooking init --sql --database URL` makes a new one.';
  end if;
end $check$;
{parts}
commit;
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of the folder: its version and its name, as in its file name, and its SQL."""

    version: str
    name: str
    sql: str

    @property
    def title(self) -> str:
        """Return version and name, as the file is called."""
        return f"{self.version}_{self.name}"

    @property
    def relations(self) -> list[tuple[str, str]]:
        """Return the tables and indexes that it creates: the kind and the name of each."""
        return re.findall(r"^create (?:unique )?(table|index) (?:public\.)?(\w+)", self.sql, re.MULTILINE)


def known_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Return the migrations of this version, in their order."""
    files = [(path, path.stem.partition("_")) for path in sorted(folder.glob("*_*.sql"))]
    return [Migration(version, name, path.read_text(encoding="utf-8")) for path, (version, _, name) in files]


def pending_migrations(known: Sequence[Migration], applied: Sequence[str]) -> list[Migration]:
    """Return the migrations that the database lacks. Raises CommandFailed if it has others than the first of them."""
    versions = [migration.version for migration in known]
    if unknown := [version for version in applied if version not in versions]:
        raise CommandFailed(
            f"The database has migrations that this version does not know ({_some(unknown)}): install the newest"
            " version of this command; if they belong to another app, give the scheduler a project of its own."
        )
    if list(applied) != versions[: len(applied)]:
        missing = [version for version in versions if version < applied[-1] and version not in applied]
        raise CommandFailed(
            f"The database lacks {_some(missing)}, and has later migrations: apply them with"
            " `supabase db push --linked --include-all`, or use an empty project."
        )
    return list(known[len(applied) :])


def script(known: Sequence[Migration], pending: Sequence[Migration]) -> str:
    """Return the pending migrations as one transaction for an SQL editor. It works once, and keeps the bookkeeping."""
    before = [migration.version for migration in known[: len(known) - len(pending)]]
    return _SCRIPT.format(
        title=f"prebooking: {len(pending)} migrations, after {before[-1]}" if before else "prebooking: all migrations",
        seconds=_LOCK_SECONDS,
        lock=_LOCK,
        bookkeeping=_BOOKKEEPING,
        owner=OWNER,
        before=",".join(before),
        count=len(before),
        parts="\n".join(_part(migration) for migration in pending),
    )


def _part(migration: Migration) -> str:
    tag = "$migration$"
    if tag in migration.sql:
        raise ValueError(f"{migration.title} contains {tag}")
    booked = f"values ('{migration.version}', '{migration.name}', array[{tag}{_statement(migration)}{tag}]);"
    return f"-- {migration.title}\n{migration.sql}\n{_BOOK.partition(' values')[0]}\n{booked}\n"


def _statement(migration: Migration) -> str:
    return migration.sql.strip().rstrip(";")


def _some(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


class MigrationTarget:
    """A database to migrate, through one connection as the role ``postgres``. Every method can raise psycopg.Error."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def refuse_unfit(self) -> None:
        """Raise CommandFailed if the server is too old, is no Supabase project, or the role cannot own the tables."""
        version, user, roles = self._row(
            "select current_setting('server_version_num')::int / 10000, current_user::text,"
            " (select count(*) from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role'))"
        )
        if version < OLDEST_SERVER:
            raise CommandFailed(f"The database is Postgres {version}: {OLDEST_SERVER} or later is needed.")
        if roles < 3:  # noqa: PLR2004 - those three
            raise CommandFailed("The database is not Supabase's: it lacks the roles anon, authenticated, service_role.")
        if user != OWNER:
            raise CommandFailed(
                f"The address is of the role {user}: use the role {OWNER}, to which the tables have to belong."
            )

    def applied(self) -> list[str]:
        """Return the versions of the applied migrations, in their order."""
        if not self._row("select to_regclass('supabase_migrations.schema_migrations') is not null")[0]:
            return []
        return [version for (version,) in self._connection.execute(_APPLIED)]

    def refuse_leftovers(self, known: Sequence[Migration], pending: Sequence[Migration]) -> None:
        """Raise CommandFailed if there is a table or an index that only pending migrations create."""
        made = {name for migration in known if migration not in pending for _, name in migration.relations}
        kinds = {name: kind for migration in pending for kind, name in migration.relations if name not in made}
        query = "select coalesce(array_agg(t order by n), '{}') from unnest(%s::text[]) with ordinality as _(t, n)"
        [found] = self._row(f"{query} where to_regclass('public.' || quote_ident(t)) is not null", [[*kinds]])
        if found:
            raise CommandFailed(
                f"The database has {_A[kinds[found[0]]]} {found[0]} that none of its noted migrations has made. If it"
                " is your own, rename it first (docs/upgrade.md). If the migrations were run by hand, note them with"
                " `supabase migration repair --status applied`, or use an empty project."
            )

    def apply(self, known: Sequence[Migration], migration: Migration, *, waiting: Callable[[], None]) -> bool:
        """Apply a migration with its bookkeeping in one transaction. Return False if it was applied meanwhile.

        ``waiting`` is called before it waits for another init.
        """
        with self._locked(waiting):
            for statement in filter(None, _BOOKKEEPING.splitlines()):
                self._connection.execute(statement.encode())
            pending = pending_migrations(known, self.applied())
            if migration not in pending:
                return False
            if migration != pending[0]:
                raise CommandFailed("The database was changed by something else: run this again.")
            self._connection.execute(f"set local lock_timeout = '{_TABLE_LOCK_SECONDS}s'".encode())
            self._connection.execute(migration.sql.encode())
            self._connection.execute(_BOOK, [migration.version, migration.name, [_statement(migration)]])
        return True

    @contextmanager
    def _locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Open a transaction that holds the lock of all inits. It needs no session, so it works behind any pooler."""
        with self._connection.transaction():
            self._connection.execute("reset all")
            if not self._row("select pg_try_advisory_xact_lock(%s)", [_LOCK])[0]:
                waiting()
                self._connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'".encode())
                from psycopg.errors import LockNotAvailable  # noqa: PLC0415 - as in cli/postgres.py

                try:
                    self._connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
                except LockNotAvailable:
                    raise CommandFailed("Another init is running for a minute already: wait for its end.") from None
            yield

    def _row(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        row = self._connection.execute(query.encode(), parameters or None).fetchone()
        if row is None:
            raise CommandFailed("The database gave no answer: run this again.")
        return tuple(row)
