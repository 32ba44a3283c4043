"""The tables of runs and ticks stay small, however long the scheduler runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.support.calls import claim, finish
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon

_DAY = 86_400.0
_RUNS_A_DAY = 8  # in this test; every run adds a row, and deletes up to a hundred
_KEPT_DAYS = 30


def test_runs_older_than_a_month_are_deleted(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner), available_at=noon(-1), expires_at=noon(400 * _DAY))
    for tick in range(90 * _RUNS_A_DAY):
        at(tick * _DAY / _RUNS_A_DAY)
        me = uuid4()
        assert claim(service, me)["rows"]
        finish(service, me)
    assert _runs(owner) <= _KEPT_DAYS * _RUNS_A_DAY + 1


def test_a_claim_deletes_at_most_a_hundred_old_runs(owner: Connection, service: Connection, at: At) -> None:
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


def test_runs_without_work_are_deleted_too(owner: Connection, service: Connection, at: At) -> None:
    for day in range(_KEPT_DAYS * 2):
        at(day * _DAY)
        me = uuid4()
        claim(service, me)
        finish(service, me)
    assert _runs(owner) <= _KEPT_DAYS + 1


@pytest.mark.parametrize(
    ("table", "write"),
    [
        ("prebooking_heartbeat", lambda owner: claim(owner, uuid4())),
        ("prebooking_bell", lambda owner: owner.execute("select public.prebooking_bell_begin()")),
    ],
)
def test_the_heartbeat_and_the_bell_stay_one_row_on_one_page(
    owner: Connection, table: str, write: Callable[[Connection], object]
) -> None:
    owner.execute("update public.prebooking_bell set url = 'https://app.example.com/api/cron/prebooking_scheduler'")
    for _ in range(500):
        write(owner)
    size = f"select count(*), pg_relation_size('public.{table}') from public.{table}"  # noqa: S608 - of this test
    assert owner.execute(size.encode()).fetchone() == (1, 8192)


def _runs(owner: Connection) -> Any:
    return owner.execute("select count(*) from public.prebooking_runs").fetchall()[0][0]


def test_a_locked_old_run_does_not_delay_a_claim(
    database: Database, owner: Connection, service: Connection, at: At
) -> None:
    insert = "insert into public.prebooking_runs (instance_id, opened_at) values (gen_random_uuid(), %s)"
    for age in (31, 32):
        owner.execute(insert, [noon(-age * _DAY)])
    with database.connect() as other, other.transaction():
        other.execute("select from public.prebooking_runs where opened_at = %s for update", [noon(-31 * _DAY)])
        claim(service, uuid4())
    assert _runs(owner) == 1
    claim(service, uuid4())
    assert _runs(owner) == 0
