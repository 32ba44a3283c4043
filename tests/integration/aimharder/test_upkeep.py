"""What is kept of runs and ticks stays small for ever, however long this runs and whatever happens."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.support.calls import claim, finish
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon

_DAY = 86_400.0
_RUNS_A_DAY = 8  # here; what matters is that every run adds a row, and forgets up to a hundred
_KEPT_DAYS = 30


def test_a_quarter_of_runs_with_work_keeps_a_month_of_them(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner), available_at=noon(-1), expires_at=noon(400 * _DAY))
    for tick in range(90 * _RUNS_A_DAY):
        at(tick * _DAY / _RUNS_A_DAY)
        me = uuid4()
        assert claim(service, me)["rows"]
        finish(service, me)
    assert _runs(owner) <= _KEPT_DAYS * _RUNS_A_DAY + 1


def test_a_month_of_old_runs_is_forgotten_a_hundred_a_claim(owner: Connection, service: Connection, at: At) -> None:
    owner.execute(
        """insert into public.prebooking_runs (instance_id, opened_at)
        select gen_random_uuid(), %s - interval '31 days' - n * interval '1 minute' from generate_series(1, 950) n""",
        [noon()],
    )
    add_prebooking(owner, add_venue(owner))
    for left in (*range(851, 0, -100), 1):
        me = uuid4()
        claim(service, me)
        finish(service, me)
        owner.execute("delete from public.prebooking_runs where instance_id = %s", [me])
        assert _runs(owner) == max(left - 1, 0)


def test_runs_without_work_are_forgotten_too(owner: Connection, service: Connection, at: At) -> None:
    for day in range(_KEPT_DAYS * 2):
        at(day * _DAY)
        me = uuid4()
        claim(service, me)
        finish(service, me)  # a claim that was tried twice, and found nothing
    assert _runs(owner) <= _KEPT_DAYS + 1


def test_the_heartbeat_stays_one_row_on_one_page(owner: Connection, service: Connection) -> None:
    for _ in range(500):
        claim(service, uuid4())
    row = owner.execute(
        "select count(*), pg_relation_size('public.prebooking_heartbeat') from public.prebooking_heartbeat"
    ).fetchone()
    assert row == (1, 8192)


def test_the_bell_stays_one_row_on_one_page(owner: Connection) -> None:
    owner.execute("update public.prebooking_bell set url = 'https://app.example.com/api/cron/prebooking_scheduler'")
    for _ in range(500):
        owner.execute("select public.prebooking_bell_begin()")
    row = owner.execute(
        "select count(*), pg_relation_size('public.prebooking_bell') from public.prebooking_bell"
    ).fetchone()
    assert row == (1, 8192)


def _runs(owner: Connection) -> Any:
    (count,) = owner.execute("select count(*) from public.prebooking_runs").fetchone() or (None,)
    return count
