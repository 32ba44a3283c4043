"""Databases that tests use one after another, each in the state of its template when a test gets it.

A copy of the template costs four times as much as emptying its tables, and new sessions plan every statement again. So
a test's database is used again when the test has only changed rows. It is dropped when the test has changed anything
else: a definition, a privilege, a setting of the database, a large object, or a session that does not end.
An event trigger notes the definitions and privileges.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from prebooking.local.postgres import SUPERUSER, LocalPostgres
from prebooking.local.virtual_world import set_clock
from tests.support import bells
from tests.support.database import Database, Sessions

_USES = 50  # tests per database: each leaves dead rows in the catalog
_RESET = Path(__file__).with_name("databases.sql").read_bytes()


class Databases:
    """The databases of one test process.

    Args:
        postgres: their server.
        note: called with the connection string of a database after its use; then each is used once.
        prefix: of the names of the databases.

    """

    def __init__(
        self, postgres: LocalPostgres, note: Callable[[str], None] | None = None, prefix: str = "test"
    ) -> None:
        self._postgres, self._note = postgres, note
        self._names = (f"{prefix}_{number}" for number in itertools.count(1))
        self._templates = set[str]()
        self._idle = defaultdict[tuple[str, bool], list[_Reusable]](list)
        self.dropped = list[str]()  # the reasons

    @contextmanager
    def lend(self, template: str, *, clock: bool = False, bell: bool = False, rest: bool = False) -> Iterator[Database]:
        """Yield a database in the state of the template.

        Args:
            template: a migrated database.
            clock: the test stops the clock, so that it is replaced by one that can be stopped.
            bell: the test rings the bell, so that it gets what a ``Bell`` needs, which includes the clock.
            rest: the test needs a REST API, so that it gets a database that has one, if there is one.

        """
        name = self._template(template, clock=clock, bell=bell)
        idle = self._idle[name, rest]
        reusable = idle.pop() if idle else self._copy(name)
        database = Database(self._postgres, reusable.name, reusable.sessions)
        try:
            yield database
        finally:
            database.close()
            if self._note:
                reusable.sessions.close()
                self._note(self._postgres.dsn(reusable.name))
            if reason := "used once" if self._note else reusable.reset():
                self.dropped.append(reason)
                self._drop(reusable)
            else:
                idle.append(reusable)

    def close(self) -> None:
        """Drop the idle databases."""
        for reusable in itertools.chain.from_iterable(self._idle.values()):
            self._drop(reusable)
        self._idle.clear()

    def _template(self, template: str, *, clock: bool, bell: bool) -> str:
        """Return the name of the template's copy that can be reset, which is made once."""
        name = f"{template} with {'a bell' if bell else 'a clock' if clock else 'a reset'}"
        if name not in self._templates:
            dsn = self._postgres.create_database(name, template)
            with psycopg.connect(dsn, autocommit=True) as owner:
                if bell:
                    bells.install(owner)
                elif clock:
                    set_clock(owner, None)
            with psycopg.connect(self._postgres.dsn(name, SUPERUSER), autocommit=True) as superuser:
                superuser.execute(_RESET)
            self._templates.add(name)
        return name

    def _copy(self, template: str) -> _Reusable:
        name = next(self._names)
        self._postgres.create_database(name, template)
        return _Reusable(self._postgres, name)

    def _drop(self, reusable: _Reusable) -> None:
        reusable.sessions.close()
        self._postgres.drop_database(reusable.name)


class _Reusable:
    """A database and the sessions that are kept open between its tests."""

    def __init__(self, postgres: LocalPostgres, name: str) -> None:
        self.name, self.sessions = name, Sessions(lambda user: postgres.dsn(name, user))
        self._uses = 0

    def reset(self) -> str:
        """Bring the database back to the state of its template; return why this cannot be done, or nothing."""
        self._uses += 1
        if self._uses == _USES:
            return "used often"
        if self.sessions.superuser_was_lent:
            return "a superuser may have changed anything"
        try:
            superuser = self.sessions.superuser()
            [(reason,)] = superuser.execute("select reset.to_template(%s)", [self.sessions.idle()]).fetchall()
        except psycopg.Error as error:
            return str(error)
        return str(reason or "")
