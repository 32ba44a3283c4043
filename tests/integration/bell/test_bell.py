"""The instants and the number of the bell's requests, on the database's clock."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.support.bells import LEAD, SECRET, URL, Bell, add_rows
from tests.support.calls import claim, complete, finish
from tests.support.database import Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.races import at_the_same_time, result_after_commit, wait_until_blocked

_LATE_ROW = """insert into public.prebookings (venue_id, user_email, booking_data, available_at)
select id, 'late@example.com', '{{"class_id": "late"}}', timestamptz '{}' from public.venues"""


def test_the_bell_rings_once_before_an_opening(owner: Connection, bell: Bell) -> None:
    add_prebooking(owner, add_venue(owner), available_at=noon(30.1234))
    bell.minute()
    assert bell.posts() == [30.1234 - LEAD]


def test_the_bell_rings_once_for_all_venues_of_one_instant(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 5, 3, opens=30)
    bell.minute()
    assert bell.posts() == [27]


def test_the_bell_rings_for_each_instant_of_the_minute(owner: Connection, bell: Bell) -> None:
    for opens in (3.25, 20, 20.1, 60):
        add_rows(owner, 1, 1, opens=opens)
    bell.minute()
    assert bell.posts() == [0.25, 17, 17.1, 57]


def test_a_request_has_the_secret_of_the_vault_and_a_short_timeout(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    sent = owner.execute("select url, headers, body, timeout_milliseconds from testing.posts").fetchone()
    headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
    assert sent == (URL, headers, "{}", 1000)


def test_the_bell_does_not_ring_when_nothing_is_due(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 2, 2, opens=3600)
    bell.minute()
    assert bell.posts() == []


def test_an_opening_between_two_runs_is_left_to_the_later_one(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=59.9 + LEAD)
    bell.minute()
    assert bell.posts() == []
    bell.minute(60)
    assert bell.posts() == [60]


def test_rows_of_a_missed_run_are_rung_for_at_once(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.minute(120.5)
    assert bell.posts() == [120.5]


def test_a_released_row_is_not_rung_for_again(owner: Connection, service: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    me = uuid4()
    assert len(claim(service, me)["rows"]) == 1
    add_rows(owner, 1, 1, opens=61)  # rung for while the first row is held
    bell.minute(60)
    assert finish(service, me) == 1
    bell.minute(120)
    assert bell.posts() == [27, 60]


def test_concurrent_bells_ring_once(database: Database, owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=0)
    first, second = database.connect(), database.connect()
    with first.transaction():
        first.execute("select public.prebooking_bell_trigger()")
        look = partial(second.execute, "select public.prebooking_bell_tick(%s)", [noon(0)])
        result_after_commit(look, owner, second, by=first)
    assert bell.posts() == [0]


def test_requests_are_committed_before_a_sleep(database: Database, owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    ringer, blocker = database.connect(), database.connect()
    with blocker.transaction():
        blocker.execute("select pg_advisory_xact_lock(1)")
        bell.during(27.25, "select pg_catalog.pg_advisory_xact_lock(1)")
        with at_the_same_time(lambda: bell.run(ringer)) as run:
            wait_until_blocked(owner, ringer, by=blocker)
            posted = bell.posts()
            blocker.execute("commit")
            run.result()
    assert posted == [27]


@pytest.mark.parametrize("opens", [-5, 10.1, 12, 13.1])
def test_a_row_added_during_a_sleep_is_rung_for_at_once(owner: Connection, bell: Bell, opens: float) -> None:
    add_venue(owner)
    bell.during(10.1, _LATE_ROW.format(noon(opens)))
    bell.minute()
    (rung,) = bell.posts()
    assert 10.1 <= rung <= 10.1 + 0.5


def test_a_row_added_for_later_in_the_minute_is_rung_for_in_time(owner: Connection, bell: Bell) -> None:
    add_venue(owner)
    bell.during(10.1, _LATE_ROW.format(noon(40.123)))
    bell.minute()
    assert bell.posts() == [40.123 - LEAD]


@pytest.mark.parametrize("sentence", ["paused_until = null", "enabled = true, paused_until = null"])
def test_a_venue_that_is_enabled_again_is_rung_for(owner: Connection, bell: Bell, sentence: str) -> None:
    add_rows(owner, 1, 1, opens=5)
    owner.execute("update public.venues set paused_until = '2100-01-01', enabled = %s", ["enabled" not in sentence])
    bell.during(20.1, f"update public.venues set {sentence}")  # noqa: S608 - a sentence of this file
    bell.minute()
    assert bell.posts() == [20.5]


def test_the_bell_rings_at_the_end_of_a_pause(owner: Connection, bell: Bell) -> None:
    add_prebooking(owner, add_venue(owner, paused_until=noon(20)), available_at=noon(5))
    bell.minute()
    assert bell.posts() == [20]


@pytest.mark.parametrize("venue", [{"enabled": False}, {"paused_until": noon(300)}])
def test_a_disabled_or_paused_venue_is_not_rung_for(owner: Connection, bell: Bell, venue: dict[str, Any]) -> None:
    add_prebooking(owner, add_venue(owner, **venue), available_at=noon(5))
    bell.minute()
    assert bell.posts() == []


def test_held_settled_and_doubtful_rows_are_not_rung_for(owner: Connection, service: Connection, bell: Bell) -> None:
    venue = add_venue(owner)
    add_prebooking(owner, venue, available_at=noon(-60))
    settled = add_prebooking(owner, venue, available_at=noon(-50))
    me = uuid4()
    claim(service, me)
    assert complete(service, settled, me)
    add_prebooking(owner, venue, available_at=noon(-60), maybe_sent=True)
    add_prebooking(owner, venue, available_at=noon(-60), expires_at=noon(0))
    bell.minute()
    assert bell.posts() == []


def test_settled_rows_are_removed_from_the_bell_s_memory(owner: Connection, service: Connection, bell: Bell) -> None:
    add_rows(owner, 3, 5, opens=10)
    bell.minute()
    assert bell.rung() == 15
    me = uuid4()
    for row in claim(service, me)["rows"]:
        complete(service, row["id"], me)
    bell.minute(60)
    assert bell.rung() == 0


def test_a_missing_secret_is_reported_with_the_cure(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    owner.execute("delete from vault.secrets")
    with pytest.raises(psycopg.errors.RaiseException, match=r"select vault\.create_secret"):
        bell.minute()
    assert bell.posts() == []
