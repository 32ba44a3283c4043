"""A bell in a test's database: its sleep moves the clock, and what it posts stays in the queue, to be looked at."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from prebooking.database.bell import BellState, find_bell_faults
from prebooking.local.bell import SECRET_NAME, STAND_INS
from tests.support.database import Connection, set_clock
from tests.support.factories import noon

URL = "https://app.example.com/api/cron/prebooking_scheduler"
SECRET = "a secret of the tests"
LEAD = 3.0  # seconds

# Sleeping moves the clock to the instant asked for, and does on the way what a test has planned.
_CLOCKWORK = b"""
create table testing.plan (at timestamptz, statement text);
create table testing.sleeps (until timestamptz);
create or replace function public.prebooking_bell_sleep(p_until timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare step record;
begin
  insert into testing.sleeps values (p_until);
  for step in delete from testing.plan where at <= p_until returning * loop
    update testing.clock set instant = greatest(instant, step.at);
    execute step.statement;
  end loop;
  update testing.clock set instant = greatest(instant, p_until);
end $$;
-- A pg_net that sends at once, and a function whose claim comes half a second after each post.
create table testing.network (sends boolean not null, arrives boolean not null);
create table testing.posts (id bigint, url text, headers jsonb, body text, timeout_milliseconds int, at timestamptz);
create function testing.send() returns trigger language plpgsql as $$
begin
  insert into testing.posts
    select id, url, headers, body, timeout_milliseconds, public.prebooking_clock()
    from net.http_request_queue where id = new.id;
  delete from net.http_request_queue where id = new.id and (select sends from testing.network);
  insert into testing.plan select public.prebooking_clock() + interval '0.5 seconds',
    $claim$select public.claim_due_prebookings_v1(
      gen_random_uuid(), '{webhook,aimharder}', 500, 6000, 50, 3000, 30000, 8000)$claim$
    from testing.network where arrives;
  return null;
end $$;
create trigger send after insert on net.http_request_queue for each row execute function testing.send();
"""


class Bell:
    """The bell, driven by hand: no minute passes unless a test says so.

    Args:
        owner: the connection that switches it on.
        sends: its requests leave the queue at once, as if pg_net had sent them.
        arrives: an invocation claims half a second after each request.

    """

    def __init__(self, owner: Connection, *, sends: bool = True, arrives: bool = True) -> None:
        self._owner = owner
        owner.execute(STAND_INS)
        owner.execute("select vault.create_secret(%s, %s)", [SECRET, SECRET_NAME])
        set_clock(owner, noon(0))
        owner.execute(_CLOCKWORK)
        owner.execute("insert into testing.network values (%s, %s)", [sends, arrives])

    def on(self, url: str | None = URL) -> str:
        return str(self._value("select public.prebooking_bell_on(%s)", url))

    def off(self) -> str:
        return str(self._value("select public.prebooking_bell_off()"))

    def minute(self, start: float = 0) -> float:
        """Let pg_cron start one run this many seconds after noon; return when it has ended."""
        set_clock(self._owner, noon(start))
        self.run(self._owner)
        return float(self._value("select extract(epoch from public.prebooking_clock() - %s)", noon(0)))

    def run(self, connection: Connection) -> None:
        """Do what pg_cron does once per minute."""
        block = str(self._value("select public.prebooking_bell_minute()"))
        connection.execute(block.encode())

    def during(self, seconds: float, statement: str) -> None:
        """Plan a statement of another client, in seconds after noon."""
        self._owner.execute("insert into testing.plan values (%s, %s)", [noon(seconds), statement])

    def arrives(self, *, arrives: bool) -> None:
        """Let an invocation come for each request from now on, or none."""
        self._owner.execute("update testing.network set arrives = %s", [arrives])

    def posts(self) -> list[float]:
        """Return when it has rung, in seconds after noon, a number a post."""
        rows = self._owner.execute("select at from testing.posts order by id").fetchall()
        return [(at - noon(0)).total_seconds() for (at,) in rows]

    def rung(self) -> int:
        """Return for how many rows it remembers to have rung."""
        return int(self._value("select count(*) from public.prebooking_bell_rung"))

    def faults(self) -> str:
        """Return what is wrong with it, one line per fault, as the operator's commands say it."""
        return "\n".join(find_bell_faults(BellState.model_validate(self.status())))

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._value("select public.prebooking_bell_status_v1()")
        return answer

    def _value(self, query: LiteralString, *arguments: object) -> Any:
        row = self._owner.execute(query, arguments).fetchone()
        assert row is not None
        return row[0]


def add_rows(connection: Connection, venues: int, rows: int, *, opens: float) -> None:
    """Add venues with members each, whose classes open this many seconds after noon."""
    connection.execute(
        """with new as (
          insert into public.venues (name, provider, timezone) select 'v' || n, 'webhook', 'UTC'
          from generate_series(1, %(venues)s) n returning id)
        insert into public.prebookings (venue_id, user_email, booking_data, available_at, expires_at)
        select new.id, n || '@example.com', %(data)s, %(opens)s, %(opens)s + interval '1 day'
        from new, generate_series(1, %(rows)s) n""",
        {"venues": venues, "rows": rows, "opens": noon(opens), "data": Jsonb({"class_id": 1})},
    )
    connection.execute("analyze public.venues, public.prebookings")  # as the server does by itself, a minute later
