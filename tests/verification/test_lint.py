"""The database lint finds nothing, each check can find something, and unprivileged roles may do nothing."""

from __future__ import annotations

import pytest

from tests.support.database import Database
from tests.verification.lint import (
    UNPRIVILEGED,
    allowed_calls,
    allowed_statements,
    findings,
    finds_its_fault,
    statements,
)
from tests.verification.linter import CHECKS, LintCheck


@pytest.mark.grid
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_nothing_is_found_until_a_fault_is_planted(project: Database, check: LintCheck) -> None:
    assert findings(project.connection, check) == []
    assert finds_its_fault(project, check)
    assert findings(project.connection, check) == [], "the planted fault is rolled back"


@pytest.mark.parametrize("role", UNPRIVILEGED)
def test_unprivileged_roles_are_refused_every_table_and_function(project: Database, role: str) -> None:
    every_statement = statements(project)
    assert len(every_statement) >= 4 * 5 + 10
    assert allowed_statements(project, role, every_statement) == []


def test_a_grant_to_an_unprivileged_role_is_found(database: Database) -> None:
    database.connection.execute("grant select on public.venues to anon")
    database.connection.execute("grant execute on function public.prebooking_clock to authenticated")
    every_statement = statements(database)
    assert allowed_statements(database, "anon", every_statement) == ["anon, select * from venues"]
    assert allowed_statements(database, "authenticated", every_statement) == [
        "authenticated, select prebooking_clock()"
    ]


def test_keys_for_browsers_call_no_function_over_http(database: Database) -> None:
    calls, through = allowed_calls(database)
    assert (calls >= 40, through) == (True, [])
    database.connection.execute("grant execute on function public.prebooking_clock to anon")
    assert len(allowed_calls(database)[1]) == 3
