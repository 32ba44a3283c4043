"""A real Postgres for the simulation, with a clock that can be set and a history of the rows.

A scenario is one transaction that is rolled back, with the clock and the history, and its calls are savepoints. So a
scenario costs only its statements.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from prebooking.local import rest
from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.virtual_time import seconds_passed

_TEMPLATE = "simulation"
_numbers = itertools.count(1)

_AS_SERVICE = """
select set_config('testing.now', %s, false), set_config('testing.seconds', %s, false),
       set_config('role', 'service_role', true)
"""
_WATCHED = """
create or replace function public.prebooking_clock() returns timestamptz
language sql volatile security invoker set search_path = ''
as 'select coalesce(nullif(current_setting(''testing.now'', true), '''')::timestamptz, clock_timestamp())';
create schema testing;
create table testing.history (
  number serial, at timestamptz, seconds float8, id uuid, was text, status text,
  was_maybe_sent boolean, maybe_sent boolean, was_claimed_by uuid, was_claimed_until timestamptz,
  claimed_by uuid, claimed_until timestamptz,
  turn_until timestamptz, held_back boolean, gave_back boolean, promoted boolean);
create function testing.note() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into testing.history (at, seconds, id, was, status, was_maybe_sent, maybe_sent,
                               was_claimed_by, was_claimed_until, claimed_by, claimed_until, turn_until, held_back,
                               gave_back, promoted)
  values (public.prebooking_clock(), nullif(current_setting('testing.seconds', true), '')::float8, new.id,
          old.status, new.status, old.maybe_sent, new.maybe_sent,
          old.claimed_by, old.claimed_until, new.claimed_by, new.claimed_until, new.turn_until,
          new.maybe_sent or new.retry_after is not null or new.blocks > 0,
          old.given_back_at is null and new.given_back_at is not null,
          old.promoted_at is null and new.promoted_at is not null);
  return null;
end $$;
-- By its name the first trigger of an update, so that a change is noted before those that it causes.
create trigger a_testing_note after update on public.prebookings for each row execute function testing.note();
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One update of a prebooking, noted by a trigger."""

    at: datetime
    seconds: float | None  # of simulation time; None: not one of the function's calls
    id: UUID
    was: str
    status: str
    was_maybe_sent: bool
    maybe_sent: bool
    was_claimed_by: UUID | None
    was_claimed_until: datetime | None
    claimed_by: UUID | None
    claimed_until: datetime | None
    turn_until: datetime | None
    held_back: bool
    promoted: bool  # by this update
    gave_back: bool  # the giving back of its place was recorded


class SimDatabase:
    """A database in which scenarios run one after the other."""

    def __init__(self, postgres: LocalPostgres) -> None:
        self.name = f"simulation_{next(_numbers)}"
        self._postgres = postgres
        self._replaced: dict[str, str] = {}
        self._queries: dict[tuple[str, ...], sql.Composed] = {}
        postgres.create_database(self.name, template=_TEMPLATE)
        self.connection: psycopg.Connection[Any] = psycopg.connect(postgres.dsn(self.name), autocommit=True)

    @contextmanager
    def scenario(self) -> Iterator[psycopg.Connection[Any]]:
        """Roll back at the end of the block."""
        with self.connection.transaction(force_rollback=True):
            yield self.connection

    def set_clock(self, instant: datetime) -> None:
        """Stop the database's clock at an instant."""
        self.connection.execute("select set_config('testing.now', %s, false)", [instant.isoformat()])

    def call(self, function: str, body: bytes, *, at: datetime) -> rest.RestReply:
        """Call a function as the service role, and return the response of Supabase.

        It does what ``prebooking.local.rest`` does, but queries the catalog only once per function, because a scenario
        makes fifty calls. The history notes the simulation time besides the time of the database's clock.
        """
        arguments = json.loads(body)
        try:
            with self.connection.transaction():
                self.connection.execute(_AS_SERVICE, [at.isoformat(), str(seconds_passed())])
                answer = self.connection.execute(self._query(function, arguments), [Jsonb(arguments)]).fetchone()
                self.connection.execute("reset role")
        except psycopg.Error as error:
            return rest._failure(error, "service_role")
        assert answer is not None
        return rest.RestReply(200, answer[0].encode(), {"content-type": "application/json; charset=utf-8"})

    def _query(self, function: str, arguments: dict[str, Any]) -> sql.Composed:
        key = (function, *sorted(arguments))
        if key not in self._queries:
            [(names, types, *_)] = self.connection.execute(rest._FUNCTION, [function]).fetchall()
            given = {name: kind for name, kind in zip(names, types, strict=True) if name in arguments}
            self._queries[key] = rest._query(function, given)
        return self._queries[key]

    def history(self) -> list[Change]:
        """Return every change of a prebooking in this scenario, in order."""
        columns = ", ".join(Change.__dataclass_fields__)
        query = f"select {columns} from testing.history order by number".encode()  # noqa: S608 - our own names
        return self.connection.cursor(row_factory=class_row(Change)).execute(query).fetchall()

    def connect(self) -> psycopg.Connection[Any]:
        """Return one more connection, outside the scenario's transaction."""
        return psycopg.connect(self._postgres.dsn(self.name), autocommit=True)

    def source(self, function: str) -> str | None:
        """Return the source that has replaced a function, if there is one."""
        return self._replaced.get(function)

    def replace(self, function: str, source: str) -> None:
        """Replace a function until the database is removed."""
        self.connection.execute(source.encode())
        self._replaced[function] = source

    def close(self) -> None:
        """Remove the database."""
        self.connection.close()
        self._postgres.drop_database(self.name)


@cache
def _postgres() -> LocalPostgres:
    """Return the server of this process, which is stopped with the process."""
    postgres = LocalPostgres().start()
    dsn = postgres.create_database(_TEMPLATE)
    apply_migrations(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_WATCHED)
    return postgres


@contextmanager
def new_sim_database() -> Iterator[SimDatabase]:
    """Create a database, and remove it at the end of the block."""
    sim_database = SimDatabase(_postgres())
    try:
        yield sim_database
    finally:
        sim_database.close()
