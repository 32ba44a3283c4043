"""What fixtures return: a test's own database, and the address of its REST API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, TypeVar, cast

import psycopg
from psycopg import sql
from psycopg.pq import PGconn, TransactionStatus

from prebooking.local.keys import Keys
from prebooking.local.postgres import SUPERUSER, LocalPostgres
from prebooking.local.virtual_world import set_clock

__all__ = ["At", "Connection", "Database", "Rest", "set_clock"]

Connection = psycopg.Connection[Any]
At = Callable[[float], None]  # sets the database's clock; the argument is in seconds after noon

_NO_SESSION = PGconn.connect(b"host=/nowhere")  # fails, so that a connection object with it is closed
KEPT = "kept"  # the application name of sessions that may stay open between tests
_LOGINS = {"postgres", "authenticator", SUPERUSER}  # the other roles are only ever assumed


class Process(Protocol):
    """A process that has sessions of its own, named ``KEPT``, in a database."""

    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=Process)


class Sessions:
    """Open sessions of a database, which tests use one after another.

    A test gets each as a new connection object. Postgres resets the session with ``discard all``.
    """

    def __init__(self, dsn_of: Callable[[str], str]) -> None:
        self._dsn_of = dsn_of
        self._idle = defaultdict[str, list[Connection]](list)
        self.superuser_was_lent = False
        self.process: Process | None = None

    @contextmanager
    def lend(self, user: str) -> Iterator[Connection]:
        """Yield a connection of the user."""
        self.superuser_was_lent |= user == SUPERUSER
        connection = self._idle[user].pop() if self._idle[user] else self._connect(user)
        try:
            yield connection
        finally:
            if connection.info.transaction_status == TransactionStatus.IDLE and (renewed := _renew(connection)):
                self._idle[user].append(renewed)
            else:
                connection.close()

    def idle(self) -> list[int]:
        """Return the process ids of the sessions."""
        return [connection.info.backend_pid for connection in self._all()]

    def superuser(self) -> Connection:
        """Return a connection that no test gets."""
        if not self._idle["reset"]:
            self._idle["reset"].append(self._connect(SUPERUSER))
        return self._idle["reset"][0]

    def close(self) -> None:
        if self.process:
            self.process.close()
            self.process = None
        for connection in self._all():
            connection.close()
        self._idle.clear()

    def _connect(self, user: str) -> Connection:
        return psycopg.connect(self._dsn_of(user), autocommit=True)

    def _all(self) -> Iterator[Connection]:
        return chain.from_iterable(self._idle.values())


class Database:
    """One test's database. ``connection`` is the project's owner's, each statement a transaction of its own.

    The owner is ``postgres``, who is no superuser.
    """

    def __init__(self, postgres: LocalPostgres, name: str, sessions: Sessions | None = None) -> None:
        self._postgres, self.name = postgres, name
        self._open = ExitStack()
        self._sessions = sessions or self._open.enter_context(closing(Sessions(self.dsn_of)))
        self.connection = self.connect()

    @property
    def dsn(self) -> str:
        """The owner's connection string."""
        return self.dsn_of("postgres")

    def dsn_of(self, user: str) -> str:
        return self._postgres.dsn(self.name, user)

    def connect(self, role: str = "postgres") -> Connection:
        """Return one more connection, closed with the test, in the role."""
        user = role if role in _LOGINS else "postgres"
        connection = self._open.enter_context(self._sessions.lend(user))
        if role != user:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        return connection

    def superuser(self) -> Connection:
        """Return one more connection of the superuser, closed with the test."""
        return self.connect(SUPERUSER)

    def keep(self, start: Callable[[Database], Kept]) -> Kept:
        """Return the process that serves the database; started if none does, and ended with the database."""
        if self._sessions.process is None:
            self._sessions.process = start(self)
        return cast("Kept", self._sessions.process)

    def close(self) -> None:
        self._open.close()


def _renew(connection: Connection) -> Connection | None:
    """Return a new connection object with the session of this one, or None if the session has ended.

    The old object is closed: a later statement of its test fails.
    """
    session, connection.pgconn = connection.pgconn, _NO_SESSION
    renewed: Connection = psycopg.Connection(session)
    renewed.autocommit = True
    try:
        renewed.execute("discard all")
    except psycopg.OperationalError:
        renewed.close()
        return None
    return renewed


@dataclass(frozen=True, slots=True)
class Rest:
    """A running REST API: its address and keys."""

    url: str
    keys: Keys

    @property
    def service_key(self) -> str:
        return self.keys.secret

    @property
    def anon_key(self) -> str:
        return self.keys.publishable
