"""The local stack: Postgres, an imitation of Supabase's RPC, a venue, an inbox, and the function in its own process.

Everything is removed at the end of the context, and when this process ends for any reason.
"""

from __future__ import annotations

import shlex
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from typing import Any

import psycopg
from anyio.from_thread import start_blocking_portal

from prebooking.files import MIGRATIONS
from prebooking.local import rest
from prebooking.local.function import Function
from prebooking.local.inbox import Inbox, serve_inbox
from prebooking.local.keys import Keys
from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.servers import default_server
from prebooking.local.venue import server as venue_server
from prebooking.local.venue.twin import Act, Arrival, Ledger, Protection, VenueTwin


class WatchedLedger(Ledger):
    """A ledger that lets a thread wait for an entry."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, entry: Arrival | Act) -> None:
        """Add an entry, and wake the threads that wait for one."""
        with self._written:
            super().write(entry)
            self._written.notify_all()

    def wait_for(self, what: Callable[[], bool], *, seconds: float) -> bool:
        """Wait until ``what`` returns True, at most ``seconds``; return its last value."""
        with self._written:
            return self._written.wait_for(what, seconds)


@dataclass(frozen=True, slots=True)
class Stack:
    """The running stack.

    ``environment`` has the function's settings, ``log`` the lines of its log, and ``inbox`` the messages it has sent.
    """

    postgres: LocalPostgres
    connection: psycopg.Connection[Any]
    twin: VenueTwin
    ledger: WatchedLedger
    environment: dict[str, str]
    log: list[str]
    inbox: Inbox

    def function(self, *, log: Callable[[str], None] | None = None, **options: str) -> Function:
        """Return another instance of the function (a context manager), with the default settings and these options."""
        return Function(self.environment | options, log=log or self.log.append)

    def page(self, function: Function) -> str:
        """Return the address of the operator's page, with a token in its fragment, which is never sent."""
        return f"{function.address}/#token={self.environment['STATUS_SECRET']}"

    def psql(self, statement: str) -> str:
        """Return a shell command that executes the statement, which must not contain double quotes."""
        program = default_server() / "psql"
        return f'{shlex.quote(str(program))} -X {shlex.quote(self.postgres.dsn())} -c "{statement}"'


@contextmanager
def local_stack(
    *, protection: Protection = Protection.NONE, server: LocalPostgres | None = None, migrations: Path = MIGRATIONS
) -> Iterator[Stack]:
    """Run the stack without the function, whose instances are started with ``Stack.function``.

    ``server`` is the database server; by default one with the default settings.
    """
    keys, secret = Keys(), token_urlsafe(24)
    twin = VenueTwin(now=lambda: datetime.now(UTC), secret=secret, protection=protection)
    twin.ledger = ledger = WatchedLedger()
    # The servers have their own thread and event loop, so that they answer while the caller is busy.
    with server or LocalPostgres() as postgres, start_blocking_portal() as portal:
        apply_migrations(postgres.dsn(), migrations)
        with (
            portal.wrap_async_context_manager(rest.serve(postgres.dsn(user="authenticator"), keys)) as supabase,
            portal.wrap_async_context_manager(venue_server.serve(twin)) as venue,
            portal.wrap_async_context_manager(serve_inbox()) as inbox,
            psycopg.connect(postgres.dsn(), autocommit=True) as connection,
        ):
            environment = {
                "CRON_SECRET": token_urlsafe(24),
                "STATUS_SECRET": token_urlsafe(24),
                "SUPABASE_URL": supabase,
                "SUPABASE_SERVICE_ROLE_KEY": keys.secret,
                "BOOKING_WEBHOOK_URL": f"{venue}/book",
                "BOOKING_WEBHOOK_SECRET": secret,
                "SESSION_ENCRYPTION_KEY": b64encode(token_bytes(32)).decode(),
                "AIMHARDER_TWIN_URL": venue,
                **inbox.environment,
            }
            yield Stack(postgres, connection, twin, ledger, environment, [], inbox)
