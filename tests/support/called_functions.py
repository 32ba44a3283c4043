"""The functions that the suites of the database have called, summed over the databases and the processes of a test run.

The server counts calls (``track_functions``). Every function has a ``search_path`` of its own, so none is inlined and
every call is counted. A function that a test has replaced does not count: its name is there, but not its text.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

SETTINGS = {"track_functions": "all"}

# The server counts a call when it returns, so a function that does nothing but raise an error has no calls ever.
_ALL = r"""
select oid::regprocedure::text, md5(prosrc) from pg_proc where pronamespace = 'public'::regnamespace
and prosrc !~* '^\s*begin\s+raise exception [^;]*;\s*end\s*;?\s*$'
"""
_CALLED = """
select oid::regprocedure::text, md5(prosrc) from pg_proc join pg_stat_user_functions on funcid = oid
where schemaname = 'public' and calls > 0
"""
_OTHERS = """
select count(*) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""
_TIMEOUT = 5.0  # seconds; a closed connection reports its calls when it ends


class CalledFunctions:
    """A plugin that fails the test run if there is a function that no suite of the database has called."""

    def __init__(self) -> None:
        self.there: set[tuple[str, str]] = set()
        self.called: set[tuple[str, str]] = set()

    def expect(self, dsn: str) -> None:
        """Note the functions of a migrated database: these have to be called."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            self.there |= _read(connection, _ALL)

    def note(self, dsn: str) -> None:
        """Note the functions that were called in a database without connections."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            end = time.monotonic() + _TIMEOUT
            while connection.execute(_OTHERS).fetchone() != (0,) and time.monotonic() < end:
                connection.execute("select pg_sleep(0.002)")
            self.called |= _read(connection, _CALLED)

    @property
    def missing(self) -> list[str]:
        """The functions that no suite has called."""
        return sorted(name for name, _ in self.there - self.called)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail, or, in a process that runs a part of the tests, hand over what was called in it."""
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["functions"] = [sorted(self.there), sorted(self.called)]
        elif self.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what was called in another process."""
        there, called = getattr(node, "workeroutput", {}).get("functions", [[], []])
        self.there |= {(name, text) for name, text in there}
        self.called |= {(name, text) for name, text in called}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the functions that no suite has called."""
        if self.missing:
            terminalreporter.section("functions that no suite of the database has called", red=True)
            terminalreporter.write_line("\n".join(self.missing))
        elif self.there:
            terminalreporter.write_line(f"all {len(self.there)} functions of the database were called")


def _read(connection: psycopg.Connection[Any], query: str) -> set[tuple[str, str]]:
    return {(name, text) for name, text in connection.execute(query.encode()).fetchall()}
