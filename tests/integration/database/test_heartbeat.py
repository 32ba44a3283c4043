"""The heartbeat of each trigger, and the time of the slowest claim."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.calls import claim, complete, prebooking, run
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import ask
from tests.support.terminal import Terminal


def heartbeat(connection: Connection) -> list[Any]:
    return connection.execute("select last_tick_at, sessions_at from public.prebooking_heartbeat").fetchall()


def test_each_trigger_has_a_heartbeat_of_its_own(owner: Connection, service: Connection, at: At) -> None:
    ask(service, "upkeep_due_v1", ["aimharder"], [])
    assert heartbeat(owner) == [(None, noon())]
    at(60)
    claim(service, uuid4())
    at(90)
    ask(service, "upkeep_due_v1", ["aimharder"], [])
    assert heartbeat(owner) == [(noon(60), noon(90))]


def test_one_upkeep_per_minute_reports_to_the_watchdog(owner: Connection, service: Connection, at: At) -> None:
    ask(service, "upkeep_due_v1", ["aimharder"], [])
    one, other = uuid4(), uuid4()
    assert [ask(service, "claim_heartbeat_v1", who) for who in (one, one, other, one)] == [True, True, False, True]
    at(59.9)
    assert [ask(service, "claim_heartbeat_v1", who) for who in (other, one)] == [False, True]
    at(60)
    assert [ask(service, "claim_heartbeat_v1", who) for who in (other, one, other)] == [True, False, True]
    assert owner.execute("select watchdog_at from public.prebooking_heartbeat").fetchall() == [(noon(60),)]


def test_a_locked_heartbeat_is_not_waited_for(owner: Connection, service: Connection, database: Database) -> None:
    ask(service, "upkeep_due_v1", ["aimharder"], [])
    other = database.connect()
    with other.transaction():
        other.execute("select from public.prebooking_heartbeat for update")
        assert ask(service, "claim_heartbeat_v1", uuid4()) is False
    assert ask(service, "claim_heartbeat_v1", uuid4()) is True


def test_a_manual_run_does_not_update_the_heartbeat(terminal: Terminal) -> None:
    terminal.environment.setenv("CRON_SECRET", "0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    add_prebooking(terminal.connection, add_venue(terminal.connection))
    assert "No prebookings ready" in terminal.succeeds("run")
    assert heartbeat(terminal.connection) == []
    claim(terminal.connection, uuid4())
    [before] = heartbeat(terminal.connection)
    terminal.succeeds("run")
    assert heartbeat(terminal.connection) == [before]


@pytest.mark.parametrize(("asked", "late"), [(-600.0, 2000), (0.0, 2000), (1.5, 500), (601.0, 1000)])
def test_lateness_counts_from_the_opening_or_the_creation(
    owner: Connection, service: Connection, at: At, asked: float, late: int
) -> None:
    fired = 602 if asked > 2 else 2
    row = add_prebooking(owner, add_venue(owner), available_at=noon(), created_at=noon(asked))
    at(fired)
    claim(service, me := uuid4())
    assert complete(service, row, me, fired_at=noon(fired))
    assert prebooking(owner, row)["lateness_ms"] == late


def test_the_time_of_the_slowest_claim_of_a_run_is_kept(owner: Connection, service: Connection) -> None:
    add_prebooking(owner, add_venue(owner))
    claim(service, me := uuid4())
    first = run(owner, me)["claim_ms"]
    assert 0 <= first < 1500
    owner.execute("update public.prebooking_runs set claim_ms = 9999 where instance_id = %s", [me])
    add_prebooking(owner, add_venue(owner))
    claim(service, me)
    assert run(owner, me)["claim_ms"] == 9999
