"""The time windows of the status: its figures leave out older and later rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.questions import ask

DAY = 86_400.0
_RUN = "insert into public.prebooking_runs (instance_id, opened_at, claim_ms) values (%s, %s, %s)"


@pytest.mark.parametrize(("age", "cut_off"), [(59, 0), (61, 1)])
def test_a_run_without_an_end_is_cut_off_after_a_minute(
    owner: Connection, service: Connection, at: At, age: float, cut_off: int
) -> None:
    owner.execute(_RUN, [uuid4(), noon(-age), 5])
    figures = ask(service, "prebooking_figures_v1", noon(-DAY))["execution_ms"]
    assert (figures["runs"], figures["cut_off"]) == (cut_off, cut_off)


@pytest.mark.parametrize(("age", "claim_ms", "runs"), [(1, 7, 1), (DAY + 1, 7, 0), (1, None, 0)])
def test_claim_durations_are_of_runs_within_a_day(
    owner: Connection, service: Connection, at: At, *, age: float, claim_ms: int | None, runs: int
) -> None:
    owner.execute(_RUN, [uuid4(), noon(-age), claim_ms])
    assert ask(service, "prebooking_watch_v1")["claim_ms"]["runs"] == runs


@pytest.mark.parametrize(
    ("enabled", "opens", "is_listed"), [(True, DAY, True), (False, DAY, False), (True, DAY + 1, False)]
)
def test_a_troubled_venue_is_listed_with_an_opening_within_a_day(
    owner: Connection, service: Connection, at: At, *, enabled: bool, opens: float, is_listed: bool
) -> None:
    venue = add_venue(owner, enabled=enabled, troubled_since=noon(-60))
    add_prebooking(owner, venue, available_at=noon(opens))
    assert len(ask(service, "prebooking_watch_v1")["troubled"]) == is_listed


@pytest.mark.parametrize(("age", "overdue"), [(104, 0), (106, 1)])
def test_a_row_is_overdue_after_105_seconds(
    owner: Connection, service: Connection, at: At, age: float, overdue: int
) -> None:
    add_prebooking(owner, add_venue(owner), available_at=noon(-age))
    assert ask(service, "prebooking_watch_v1")["rows"]["overdue"] == overdue


def test_a_row_that_is_not_due_is_not_stopped_by_its_venue(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner, enabled=False), available_at=noon(60))
    assert ask(service, "prebooking_watch_v1")["rows"]["stopped"] == 0


@pytest.mark.parametrize(
    ("row", "session", "logins", "missing"),
    [
        ({"available_at": noon(DAY)}, {}, 1, 0),
        ({"available_at": noon(DAY)}, {"expired_at": noon(-60)}, 0, 0),
        ({"available_at": noon(DAY)}, None, 0, 1),
        ({"available_at": noon(7 * DAY)}, {}, 1, 0),
        ({"available_at": noon(7 * DAY + 1)}, {}, 0, 0),
        ({"available_at": noon(DAY + 1)}, None, 0, 0),
        ({"available_at": noon(-60), "expires_at": noon(0)}, None, 0, 0),
    ],
    ids=["has one", "has ended", "has none", "in a week", "later", "later and has none", "the class has begun"],
)
def test_logins_are_needed_for_openings_within_a_week(
    owner: Connection,
    service: Connection,
    at: At,
    *,
    row: dict[str, datetime],
    session: dict[str, Any] | None,
    logins: int,
    missing: int,
) -> None:
    box = add_venue(owner, provider="aimharder", host="box.aimharder.com")
    add_prebooking(owner, box, user_email="ana@example.com", **row)
    if session is not None:
        add_session(owner, box, "ana@example.com", **session)
    watch = ask(service, "prebooking_watch_v1")
    assert (watch["logins"], len(watch["no_login"])) == (logins, missing)


def test_the_last_sixty_calls_of_early_rows_are_recent(owner: Connection, service: Connection, at: At) -> None:
    venue, opens = add_venue(owner), noon(-600)
    called = {"status": "failed", "outcome": "full", "available_at": opens, "settled_at": noon(-1)}
    for second in range(61):
        add_prebooking(owner, venue, **called, fired_at=noon(second - 500))
    add_prebooking(owner, venue, **called, created_at=noon(-590), fired_at=noon(-100))
    recent = ask(service, "prebooking_status_v1")["recent"]
    assert [call["fired_at"] for call in recent] == [noon(second - 500).isoformat() for second in range(1, 61)]
