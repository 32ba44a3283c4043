"""Ten processes claim ten thousand rows, and one run in five is killed; an audit trigger records every claim."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.database import Connection, Database
from tests.support.factories import add_venue

_PROCESSES = 10
_VENUES = 50
_MEMBERS = 200  # of every venue, for one opening

# Who held which row from when to when, written down by the database itself. The heartbeat is switched off: claims would
# wait for one another at its one row even if they had no lock of their own.
_WATCH = b"""
create table public.watched_claims (
  opening uuid, place bigint, row_id uuid, instance uuid, turn_until timestamptz, stolen boolean,
  claimed_at timestamptz default clock_timestamp(), left_at timestamptz);
create index on public.watched_claims (row_id, instance);
create function public.watch_claims() returns trigger language plpgsql security definer as $$
begin
  update public.watched_claims set left_at = clock_timestamp() where row_id = old.id and instance = old.claimed_by;
  if new.claimed_by is not null then
    insert into public.watched_claims (opening, place, row_id, instance, turn_until, stolen)
      values (new.venue_id, (new.booking_data ->> 'class_id')::int, new.id, new.claimed_by, new.turn_until,
              old.claimed_until > clock_timestamp());
  end if;
  return null;
end $$;
create trigger watch_claims after update on public.prebookings for each row
  when (new.claimed_by is distinct from old.claimed_by) execute function public.watch_claims();
create function public.no_heartbeat() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger no_heartbeat before insert on public.prebooking_heartbeat
  for each row execute function public.no_heartbeat();
"""

_CROWD = b"""
insert into public.prebookings (venue_id, user_email, booking_data, available_at, created_at)
select v.id, n || '@example.com', jsonb_build_object('class_id', n), now(), now() + n * interval '1 microsecond'
from public.venues v cross join generate_series(1, %s) n
"""

_VIOLATIONS = {
    "a row was taken during its lease": b"select * from public.watched_claims where stolen",
    "an opening was in two turns at once": b"""
      with turns as (
        select opening, instance, min(claimed_at) as since, max(least(left_at, turn_until)) as until
        from public.watched_claims group by opening, instance)
      select * from turns a join turns b on a.opening = b.opening and a.since < b.since and b.since < a.until""",
    "a member was overtaken": b"""
      with firsts as (
        select distinct on (row_id) opening, place, instance, claimed_at
        from public.watched_claims order by row_id, claimed_at),
      batches as (
        select opening, min(claimed_at) as at, min(place) as low, max(place) as high
        from firsts group by opening, instance)
      select * from batches a join batches b on a.opening = b.opening and a.at < b.at and a.high > b.low""",
    "a row is not settled once": b"""
      select id from public.prebookings where status <> 'completed' or attempts <> 1 or claimed_by is not null""",
}


@pytest.fixture
def raced(database: Database, owner: Connection) -> Connection:
    """A database in which ten processes have fought over ten thousand rows, and one in five of their runs has died."""
    for _ in range(_VENUES):
        add_venue(owner)
    owner.execute(_CROWD, [_MEMBERS])
    owner.execute(_WATCH)
    _race(database.dsn)
    return owner


def test_ten_processes_claim_each_row_once_and_in_order(raced: Connection) -> None:
    found = {violation: len(raced.execute(query).fetchall()) for violation, query in _VIOLATIONS.items()}
    assert found == dict.fromkeys(_VIOLATIONS, 0)
    assert raced.execute("select count(*) from public.prebookings").fetchone() == (_VENUES * _MEMBERS,)
    assert raced.execute("select count(distinct instance) > 100 from public.watched_claims").fetchone() == (True,)


def _race(dsn: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.support.racer", dsn, str(_PROCESSES)], check=True)
