"""What fixtures return: a test's own database, and the address of its REST API."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from prebooking.local.keys import Keys
from prebooking.local.postgres import SUPERUSER, LocalPostgres
from prebooking.local.virtual_world import set_clock

__all__ = ["At", "Connection", "Database", "Rest", "set_clock"]

Connection = psycopg.Connection[Any]
At = Callable[[float], None]  # sets the database's clock; the argument is in seconds after noon

_LOGINS = {"postgres", "authenticator", SUPERUSER}  # the other roles are only ever assumed


class Database:
    """One test's database. ``connection`` is the project's owner's, each statement a transaction of its own.

    The owner is ``postgres``, who is no superuser.
    """

    def __init__(self, postgres: LocalPostgres, name: str) -> None:
        self._postgres, self.name = postgres, name
        self._open = ExitStack()
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
        connection = self._open.enter_context(psycopg.connect(self.dsn_of(user), autocommit=True))
        if role != user:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        return connection

    def superuser(self) -> Connection:
        """Return one more connection of the superuser, closed with the test."""
        return self.connect(SUPERUSER)

    def close(self) -> None:
        self._open.close()


@dataclass(frozen=True, slots=True)
class Rest:
    """A running REST API: its address and keys."""

    url: str
    service_key: str
    anon_key: str
    keys: Keys
