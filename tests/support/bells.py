"""A bell in a test's database: its sleep moves the clock, and its requests stay in the queue."""

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

# A sleep moves the clock to its end, and executes the statements that a test has planned until then.
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
-- A pg_net that sends at once, and a function that claims half a second after each request.
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
    """The bell, run by the test: ``minute`` is one run of pg_cron.

    Args:
        owner: the connection that switches it on.
        sends: its requests are removed from the queue at once, as if pg_net had sent them.
        arrives: an invocation claims half a second after each request.

    """

    def __init__(self, owner: Connection, *, sends: bool = True, arrives: bool = True) -> None:
        self._owner = owner
        if owner.execute("select to_regclass('testing.plan')").fetchone() == (None,):
            install(owner)
        owner.execute("select vault.create_secret(%s, %s)", [SECRET, SECRET_NAME])
        set_clock(owner, noon(0))
        owner.execute("insert into testing.network values (%s, %s)", [sends, arrives])

    @classmethod
    def switched_on(cls, owner: Connection, url: str = URL, *, sends: bool = True, arrives: bool = True) -> Bell:
        """Return a bell that is on."""
        bell = cls(owner, sends=sends, arrives=arrives)
        bell.on(url)
        return bell

    def on(self, url: str | None = URL) -> str:
        return str(self._value("select public.prebooking_bell_on(%s)", url))

    def off(self) -> str:
        return str(self._value("select public.prebooking_bell_off()"))

    def minute(self, start: float = 0) -> float:
        """Start one run this many seconds after noon; return its end, in seconds after noon."""
        set_clock(self._owner, noon(start))
        self.run(self._owner)
        return float(self._value("select extract(epoch from public.prebooking_clock() - %s)", noon(0)))

    def run(self, connection: Connection) -> None:
        """Execute the command that pg_cron executes once per minute."""
        block = str(self._value("select public.prebooking_bell_minute()"))
        connection.execute(block.encode())

    def during(self, seconds: float, statement: str) -> None:
        """Plan a statement of another client for an instant, in seconds after noon."""
        self._owner.execute("insert into testing.plan values (%s, %s)", [noon(seconds), statement])

    def arrives(self, *, arrives: bool) -> None:
        """Set whether an invocation claims after each request from now on."""
        self._owner.execute("update testing.network set arrives = %s", [arrives])

    def posts(self) -> list[float]:
        """Return the instant of each ring, in seconds after noon."""
        rows = self._owner.execute("select at from testing.posts where url not like '%/upkeep' order by id").fetchall()
        return [(at - noon(0)).total_seconds() for (at,) in rows]

    def rung(self) -> int:
        """Return the number of rows for which the bell remembers a ring."""
        return int(self._value("select count(*) from public.prebooking_bell_triggered"))

    def faults(self) -> str:
        """Return one line per fault of the bell, as the operator's commands show it."""
        return "\n".join(find_bell_faults(BellState.model_validate(self.status())))

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._value("select public.prebooking_bell_status_v1()")
        return answer

    def _value(self, query: LiteralString, *arguments: object) -> Any:
        row = self._owner.execute(query, arguments).fetchone()
        assert row is not None
        return row[0]


def install(owner: Connection) -> None:
    """Define what a bell of the tests needs: the stand-ins of the extensions, the clock and the clockwork."""
    owner.execute(STAND_INS)
    set_clock(owner, None)
    owner.execute(_CLOCKWORK)


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
    connection.execute("analyze public.venues, public.prebookings")  # the server does this itself a minute later
