"""No call reads past or future rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from tests.support.calls import cancel, claim, claimed, complete, fail, finish, release
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import add_prebooking_by_command, ask

_OLD_ROWS = b"""
insert into public.prebookings
  (venue_id, user_email, booking_data, available_at, expires_at, status, outcome, settled_at)
select %s, n || '@example.com', '{}', now() - interval '1 day', now(), 'completed', 'booked', now()
from generate_series(1, 200000) n
"""
_COMING_ROWS = b"""
insert into public.prebookings (venue_id, user_email, booking_data, available_at, expires_at)
select %s, n || '@example.com', '{}', now() + interval '1 day', now() + interval '2 days'
from generate_series(1, 50000) n
"""
_ENDED_LONG_AGO = b"""
insert into public.prebookings
  (venue_id, user_email, booking_data, available_at, expires_at, status, outcome, settled_at, fired_at)
select %s, n %% 1000 || '@example.com', '{"class_id": "1"}', t, t + interval '1 day', 'completed', 'booked', t, t
from generate_series(1, 200000) n, lateral (select now() - interval '60 days' - n * interval '1 minute' as t) ended
"""
_DUE_ROWS = 50

_AFTER_THE_CLAIM: list[Callable[[Connection, UUID, UUID], object]] = [
    lambda connection, me, _: claim(connection, me),
    lambda connection, me, row: complete(connection, row, me),
    lambda connection, me, row: fail(connection, row, me),
    lambda connection, me, row: release(connection, me, [row]),
    lambda connection, _, row: cancel(connection, row, "member@example.com"),
    lambda connection, me, row: finish(connection, me, [{"id": row, "attempts": 1}]),
]


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
def test_no_call_reads_past_or_future_rows(owner: Connection, service: Connection, *, analyzed: bool) -> None:
    _add_the_past_and_the_future(owner, analyzed=analyzed)
    venue, me = add_venue(owner), uuid4()
    rows = [add_prebooking(owner, venue) for _ in range(_DUE_ROWS)]
    read = {}
    with service.transaction():
        # What parallel workers read is counted elsewhere.
        service.execute("set local max_parallel_workers_per_gather = 0")
        assert claimed(service, me) == rows
        read["claim"] = _rows_read(service)
        for number, call in enumerate(_AFTER_THE_CLAIM):
            call(service, me, rows[number])
            read[f"call {number}"] = _rows_read(service) - sum(read.values())
    assert max(read.values()) < 20 * _DUE_ROWS, read


# Each venue has an opening of its own; ``crowded`` rows of one venue are due before all others.
_DUE_AT_MANY_VENUES = b"""
with new_venues as (
  insert into public.venues (name, provider, timezone)
  select 'venue ' || n, 'webhook', 'UTC' from generate_series(1, 1000) n returning id),
numbered as (select id, row_number() over () as number from new_venues)
insert into public.prebookings (venue_id, user_email, booking_data, available_at, expires_at)
select v.id, n || '@example.com', '{}', now() - interval '1 hour' + v.number * interval '1 second',
  now() + interval '1 day'
from numbered v, generate_series(1, case v.number when 1 then 30 + %s else 30 end) n
"""


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
@pytest.mark.parametrize("crowded", [0, 5000], ids=["many venues", "one crowded venue"])
def test_a_claim_reads_what_it_takes_and_not_what_is_due(
    owner: Connection, service: Connection, *, crowded: int, analyzed: bool
) -> None:
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        owner.execute(_DUE_AT_MANY_VENUES, [crowded])
    # A changed schema: the database is not used again, because dead rows would be counted in the next test.
    owner.execute("create table public.used ()")
    if analyzed:
        owner.execute("analyze")
    for plan in ("custom", "generic"):
        with service.transaction(force_rollback=True):
            service.execute(f"set local plan_cache_mode = force_{plan}_plan".encode())
            assert len(claimed(service, uuid4(), limit=100)) == (100 if crowded else 90)
            for _ in range(0 if crowded else 8):  # the other rows stay claimed
                before = _rows_read(service)
                claimed(service, uuid4(), limit=100)
                assert _rows_read(service) - before < 5000, "a sixth of those that are due"


_FROM_THE_COMMAND_LINE: list[Callable[[Connection, UUID], object]] = [
    lambda connection, venue: add_prebooking_by_command(connection, venue, email="7@example.com", expires_at=noon(1e9)),
    lambda connection, _: ask(connection, "list_prebookings_v1", "7@example.com", 7, 200),
    lambda connection, _: ask(connection, "list_prebookings_v1", None, 7, 200),
    lambda connection, _: ask(connection, "prebooking_status_v1"),
    lambda connection, _: ask(connection, "upkeep_places_due", datetime.now(UTC), ["webhook"]),
    lambda connection, _: ask(connection, "claim_places_v1", uuid4(), ["webhook"], 10),
    lambda connection, venue: ask(connection, "prebooking_place_v1", _any_row(connection, venue), "7@example.com"),
]


def _any_row(connection: Connection, venue: UUID) -> UUID:
    """Return a settled row of a member with many."""
    mine = "venue_id = %s and lower(user_email) = '7@example.com' and status = 'completed'"
    query = f"select id from public.prebookings where {mine} limit 1"  # noqa: S608 - our own text
    [(row,)] = connection.execute(query.encode(), [venue]).fetchall()
    return UUID(str(row))


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
def test_no_command_reads_old_settled_rows(owner: Connection, service: Connection, *, analyzed: bool) -> None:
    venue = _add_what_ended_long_ago(owner, analyzed=analyzed)
    for _ in range(_DUE_ROWS):
        add_prebooking(owner, venue)
        add_prebooking(owner, venue, status="completed", outcome="booked", settled_at=datetime.now(UTC))
    read: list[int] = []
    with service.transaction():
        service.execute("set local max_parallel_workers_per_gather = 0")
        for call in _FROM_THE_COMMAND_LINE:
            call(service, venue)
            read.append(_rows_read(service) - sum(read))
    assert max(read) < 20 * _DUE_ROWS, read


# Half of them have begun; the nearest to now are the last ones that were added.
_LISTED_ROWS = b"""
insert into public.prebookings (venue_id, user_email, booking_data, available_at, expires_at)
select %s, n || '@example.com', '{}', now() - interval '60 days',
  now() + case when n %% 2 = 0 then 1 else -1 end * (20001 - n) * interval '1 minute'
from generate_series(1, 20000) n
"""


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
def test_a_list_reads_what_is_near_and_not_what_is_pending(
    owner: Connection, service: Connection, *, analyzed: bool
) -> None:
    _fill(owner, _LISTED_ROWS, analyzed=analyzed)
    for email, limit, rows in ((None, 3, [20000, 19999, 19998]), (None, 1000, range(19001, 20001)), ("7", 3, [7])):
        with service.transaction():
            before = _rows_read(service)
            listed = ask(service, "list_prebookings_v1", email and f"{email}@example.com", 7, limit)
            read = _rows_read(service) - before
        assert read < (50 if email else 5000) or (email and not analyzed), read
        assert sorted(row["user_email"] for row in listed) == sorted(f"{row}@example.com" for row in rows)


_SETTLED_THIS_WEEK = b"""
insert into public.prebookings
  (venue_id, user_email, booking_data, created_at, available_at, expires_at, status, outcome, settled_at, fired_at)
select %s, n || '@example.com', '{}', t - interval '1 day', t, t + interval '1 day', 'completed', 'booked', t, t
from generate_series(1, 20000) n, lateral (select now() - n * interval '30 seconds' as t) ended
"""


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
def test_the_page_reads_sums_and_not_settled_rows(owner: Connection, service: Connection, *, analyzed: bool) -> None:
    _fill(owner, _SETTLED_THIS_WEEK, analyzed=analyzed)
    for _ in range(50):  # each adds up for half a second
        if ask(service, "page_fold", datetime.now(UTC)) == 0 and ask(service, "page_fold", datetime.now(UTC)) == 0:
            break
    with service.transaction():
        service.execute("set local max_parallel_workers_per_gather = 0")
        before = _rows_read(service)
        calls = ask(service, "page_status_v1")["calls"]
        assert _rows_read(service) - before < 1000
    assert (calls["calls"] > 15000, calls["shown"] > 200) == (True, True)


def _fill(owner: Connection, statement: bytes, *, analyzed: bool) -> None:
    """Add many rows at one venue. The database is not used again: its dead rows would be counted in the next test."""
    venue = add_venue(owner)
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        owner.execute(statement, [venue])
    owner.execute("create table public.used ()")
    if analyzed:
        owner.execute("analyze")


def _add_what_ended_long_ago(owner: Connection, *, analyzed: bool) -> UUID:
    venue = add_venue(owner)
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        owner.execute(_ENDED_LONG_AGO, [venue])
    if analyzed:
        owner.execute("analyze")
    return venue


def _rows_read(connection: Connection) -> int:
    """Return how many rows of the table this transaction has read so far, by index or without: exact and at once."""
    query = """select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables
      where relname = 'prebookings'"""
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _add_the_past_and_the_future(owner: Connection, *, analyzed: bool) -> None:
    venue = add_venue(owner)
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")  # without triggers: in two seconds
        owner.execute(_OLD_ROWS, [venue])
        owner.execute(_COMING_ROWS, [venue])
    if analyzed:
        owner.execute("analyze")
