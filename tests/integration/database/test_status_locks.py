"""The status reports locks of other transactions of this database, held for a second, on rows that open soon."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask
from tests.support.races import at_the_same_time, wait_until_blocked

_TOUCH = "update public.prebookings set warning = 'touched' where id = %s"
# The lock holders in the first readings; later readings find none.
_HELD_FOR = b"""
create sequence testing.looks;
grant usage on sequence testing.looks to service_role;
create or replace function public.prebooking_lock_holders() returns text[]
language sql volatile security invoker set search_path = ''
as $$ select case when nextval('testing.looks') <= %d then '{claims:4711}'::text[] else '{}' end $$
"""


def test_the_claim_lock_of_another_database_is_not_reported(database: Database, service: Connection) -> None:
    elsewhere = make_conninfo(database.dsn, dbname="postgres")
    with psycopg.connect(elsewhere) as other:
        other.execute("select pg_advisory_xact_lock(7301, 1)")
        assert ask(service, "prebooking_locks")["claims_pid"] is None


def test_locks_of_the_own_transaction_are_not_reported(owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner))
    with service.transaction():
        service.execute(_TOUCH, [row])
        assert ask(service, "prebooking_locks")["row_pids"] == []


def test_only_the_holder_of_a_row_lock_is_reported(database: Database, owner: Connection, service: Connection) -> None:
    row = add_prebooking(owner, add_venue(owner))
    holder, waiter = database.connect(), database.connect()
    with holder.transaction():
        holder.execute(_TOUCH, [row])
        with at_the_same_time(lambda: waiter.execute(_TOUCH, [row])) as waiting:
            wait_until_blocked(owner, waiter, by=holder)
            locks = ask(service, "prebooking_locks")
            holder.execute("commit; begin")
            waiting.result()
    assert (locks["rows"], locks["row_pids"]) == (1, [holder.info.backend_pid])


@pytest.mark.parametrize(
    ("about", "rows"),
    [
        ({"available_at": noon(3600)}, 1),
        ({"available_at": noon(3601)}, 0),
        ({"available_at": noon(-60), "status": "failed", "outcome": "full", "settled_at": noon(-59)}, 0),
    ],
    ids=["opens within the hour", "opens later", "has ended"],
)
def test_only_locked_rows_of_the_next_hour_are_reported(
    database: Database, owner: Connection, service: Connection, at: At, *, about: dict[str, object], rows: int
) -> None:
    row = add_prebooking(owner, add_venue(owner), **about)
    holder = database.connect()
    with holder.transaction():
        holder.execute("select from public.prebookings where id = %s for update", [row])
        assert ask(service, "prebooking_locks")["rows"] == rows


@pytest.mark.parametrize(("looks", "claims_pid"), [(10, None), (11, 4711)])
def test_a_lock_is_reported_after_a_second(
    owner: Connection, service: Connection, at: At, looks: int, claims_pid: int | None
) -> None:
    """The locks are read once, and then ten times, a tenth of a second apart."""
    owner.execute(_HELD_FOR % looks)
    assert ask(service, "prebooking_locks")["claims_pid"] == claims_pid
