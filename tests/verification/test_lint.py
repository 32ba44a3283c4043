"""The database lint: nothing is found, each check can find something, and strangers are refused everything."""

from __future__ import annotations

import pytest

from tests.support.database import Database
from tests.verification.lint import (
    STRANGERS,
    attempts,
    findings,
    finds_its_fault,
    got_through,
    got_through_over_http,
)
from tests.verification.linter import CHECKS, LintCheck


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_nothing_is_found_until_a_fault_is_planted(project: Database, check: LintCheck) -> None:
    assert findings(project.connection, check) == []
    assert finds_its_fault(project, check)
    assert findings(project.connection, check) == [], "and nothing of it is left"


@pytest.mark.parametrize("role", STRANGERS)
def test_strangers_are_refused_every_table_and_every_function(project: Database, role: str) -> None:
    ways = attempts(project)
    assert len(ways) >= 4 * 5 + 10
    assert got_through(project, role, ways) == []


def test_a_stranger_who_was_granted_something_is_seen(database: Database) -> None:
    database.connection.execute("grant select on public.venues to anon")
    database.connection.execute("grant execute on function public.prebooking_clock to authenticated")
    ways = attempts(database)
    assert got_through(database, "anon", ways) == ["anon, select * from venues"]
    assert got_through(database, "authenticated", ways) == ["authenticated, select prebooking_clock()"]


def test_keys_for_browsers_call_no_function_over_http(database: Database) -> None:
    calls, through = got_through_over_http(database)
    assert (calls >= 40, through) == (True, [])
    database.connection.execute("grant execute on function public.prebooking_clock to anon")
    assert len(got_through_over_http(database)[1]) == 3
