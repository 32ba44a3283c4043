"""How to make each of the doctor's findings happen: in the database, at the venues, in the environment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

from anyio.from_thread import start_blocking_portal

from tests.database import Database
from tests.factories import add_prebooking
from tests.peers import Script, serve
from tests.terminal import ANA, Terminal, day

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
class Scene:
    """A terminal where all is well, until a test breaks something; what it opens is closed by ``closing``."""

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
        """Open a transaction that somebody has forgotten."""
        forgotten = self.database.connect()
        self.closing.enter_context(forgotten.transaction())
        forgotten.execute(statement.encode())

    def serve(self, script: Script) -> str:
        """Let a server answer on this machine, and return its address."""
        portal = self.closing.enter_context(start_blocking_portal())
        return self.closing.enter_context(portal.wrap_async_context_manager(serve(script))).url

    def allow_any_instant(self) -> None:
        """Let the tables hold what an older version let in."""
        self.sql(_NO_LIMITS)

    def box(self) -> UUID:
        [(box,)] = self.terminal.rows("select id from venues where name = 'Box Centro'")
        return UUID(str(box))

    def overdue(self) -> None:
        """Add a prebooking that was due ten minutes ago."""
        self.sql(
            "update prebookings set available_at = now() - interval '10 minutes', created_at = now() - interval '1 day'"
        )


Break = Callable[[Scene], None]
BREAKAGES: dict[tuple[str, str, str], tuple[Break, str]] = {}  # check, way, variant -> what breaks it, what is said


def breaks(check: str, way: str, said: str, *, variant: str = "") -> Callable[[Break], Break]:
    """Register what makes a check fail in one of its ways, and a part of the sentence that it has to say then."""

    def register(broken: Break) -> Break:
        BREAKAGES[check, way, variant] = (broken, said)
        return broken

    return register


def all_well(terminal: Terminal) -> None:
    """Log a member in who waits for a class that opens within a day, and let both triggers call."""
    terminal.environment.setenv("CRON_SECRET", SECRET)
    terminal.with_a_member()
    terminal.offer(day=day(4))
    terminal.does("add", "box", str(day(4)), "19:30", "-m", ANA, "--opens", f"{day(1)} 00:00")
    triggers_call(terminal)


def triggers_call(terminal: Terminal) -> None:
    """Let both triggers have called just now."""
    terminal.connection.execute("insert into prebooking_heartbeat (last_tick_at, sessions_at) values (now(), now())")


def add_member(scene: Scene, member: str) -> UUID:
    """Add a prebooking of a member who has never logged in."""
    [(opens,)] = scene.terminal.rows("select now() + interval '5 hours'")
    return add_prebooking(scene.terminal.connection, scene.box(), user_email=member, available_at=opens)
