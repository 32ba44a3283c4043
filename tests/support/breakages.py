"""Breakages for the doctor's tests: each one makes a check fail in one of its ways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

from anyio.from_thread import start_blocking_portal

from tests.support.database import Database
from tests.support.factories import add_prebooking
from tests.support.peers import Script, serve
from tests.support.terminal import ANA, Terminal, day

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_NO_LIMITS = """
do $$ declare one record; begin
  for one in select conname from pg_constraint where contypid = to_regtype('public.prebooking_instant') loop
    execute format('alter domain public.prebooking_instant drop constraint %I', one.conname);
  end loop;
  for one in
    select conname from pg_constraint where conrelid = 'public.prebookings'::regclass and conname ~ '_at_check$'
  loop
    execute format('alter table public.prebookings drop constraint %I', one.conname);
  end loop;
end $$
"""


@dataclass(frozen=True, slots=True)
class HealthySystem:
    """A system without faults, until a test breaks it; ``closing`` closes what a breakage opens."""

    terminal: Terminal
    database: Database
    closing: ExitStack

    def sql(self, statement: str, *values: object) -> None:
        self.terminal.connection.execute(statement.encode(), values or None)

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self.terminal.environment.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self.terminal.environment.delenv(name)

    def transaction(self, statement: str) -> None:
        """Run a statement in a transaction that stays open until the end of the test."""
        forgotten = self.database.connect()
        self.closing.enter_context(forgotten.transaction())
        forgotten.execute(statement.encode())

    def serve(self, script: Script) -> str:
        """Start a scripted server on this machine, and return its address."""
        portal = self.closing.enter_context(start_blocking_portal())
        return self.closing.enter_context(portal.wrap_async_context_manager(serve(script))).url

    def allow_any_instant(self) -> None:
        """Drop the limits on instants, as in a database of an older version."""
        self.sql(_NO_LIMITS)

    def box(self) -> UUID:
        [(box,)] = self.terminal.rows("select id from venues where name = 'Box Centro'")
        return UUID(str(box))

    def overdue(self) -> None:
        """Make all prebookings due ten minutes ago."""
        self.sql(
            "update prebookings set available_at = now() - interval '10 minutes', created_at = now() - interval '1 day'"
        )


Breakage = Callable[[HealthySystem], None]
# (check, way, variant) -> (breakage, part of the message)
BREAKAGES: dict[tuple[str, str, str], tuple[Breakage, str]] = {}


def breaks(check: str, way: str, message: str, *, variant: str = "") -> Callable[[Breakage], Breakage]:
    """Register a breakage that makes a check fail in this way, with a part of the expected message."""

    def register(broken: Breakage) -> Breakage:
        BREAKAGES[check, way, variant] = (broken, message)
        return broken

    return register


def make_healthy(terminal: Terminal) -> None:
    """Log a member in, prebook a class that opens within a day, and record a tick of both triggers."""
    terminal.environment.setenv("CRON_SECRET", SECRET)
    terminal.add_box_and_member()
    terminal.offer(day=day(4))
    terminal.succeeds("add", "box centro", str(day(4)), "19:30", "-m", ANA, "--opens", f"{day(1)} 00:00")
    record_ticks(terminal)


def record_ticks(terminal: Terminal) -> None:
    """Record a tick of both triggers now, and a report to the watchdog."""
    terminal.connection.execute(
        "insert into prebooking_heartbeat (last_tick_at, sessions_at, watchdog_at) values (now(), now(), now())"
    )


def add_member(system: HealthySystem, member: str) -> UUID:
    """Add a prebooking for a member without a login."""
    [(opens,)] = system.terminal.rows("select now() + interval '5 hours'")
    return add_prebooking(system.terminal.connection, system.box(), user_email=member, available_at=opens)
