"""One run of the bell: its end, its sleeps, and its behaviour on days without openings and when it is off."""

from __future__ import annotations

import pytest

from tests.support.bells import Bell, add_rows
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue, noon


@pytest.mark.parametrize("start", [0, 0.0015, 7, 31.4, 59, 59.7])
def test_a_run_ends_before_the_next_one_begins(owner: Connection, bell: Bell, start: float) -> None:
    add_rows(owner, 1, 1, opens=62.7)
    add_rows(owner, 1, 1, opens=62.76)
    add_rows(owner, 1, 1, opens=63)
    assert bell.minute(start) == 59.75


def test_a_run_that_starts_too_late_ends_at_once(bell: Bell) -> None:
    assert bell.minute(59.9) == 59.9


def test_no_sleep_is_longer_than_half_a_second(owner: Connection, bell: Bell) -> None:
    bell.minute()
    steps = "select max(until - before) from (select until, lag(until) over () as before from testing.sleeps) s"
    ((longest,),) = owner.execute(steps).fetchall()
    assert longest.total_seconds() == 0.5


def test_a_day_without_openings_has_no_request(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 20, 10, opens=2 * 86_400)  # the day after tomorrow
    add_prebooking(owner, add_venue(owner, enabled=False), available_at=noon(3600))
    add_prebooking(owner, add_venue(owner), available_at=noon(-60), maybe_sent=True)
    _oversleep(owner)
    for minute in range(0, 1440, 5):
        bell.minute(60 * minute)
    assert bell.posts() == []
    assert bell.status()["looked_at"] == noon(1435 * 60).isoformat()


def _oversleep(owner: Connection) -> None:
    """Let every sleep last a minute, so that a day takes a second of real time."""
    owner.execute(
        """create or replace function public.prebooking_bell_sleep(p_until timestamptz) returns void
        language sql set search_path = '' as
        $$update testing.clock set instant = instant + interval '1 minute'$$"""
    )


def test_a_bell_that_is_switched_off_stops_during_a_run(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(10.1, "select public.prebooking_bell_off()")
    assert bell.minute() == 10.5
    assert bell.posts() == []


def test_a_run_of_a_bell_that_is_off_does_nothing(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=0)
    bell.off()
    assert bell.minute() == 0
    assert (bell.posts(), bell.status()["looked_at"]) == ([], None)


def test_records_of_runs_are_deleted_after_a_day(owner: Connection, bell: Bell) -> None:
    job = _job(owner)
    for jobid, age in ((job, -86_401), (job, -86_399), (job + 1, -90_000)):
        _note(owner, jobid, start=age - 60, end=age)
    bell.minute()
    assert _noted(owner) == [(job, noon(-86_399)), (job + 1, noon(-90_000))]


def test_records_of_runs_without_an_end_are_deleted(owner: Connection, bell: Bell) -> None:
    job = _job(owner)
    _note(owner, job)
    _note(owner, job, start=-86_401)
    _note(owner, job, start=-90_000, end=-80_000)  # over for less than a day
    _note(owner, job, start=-86_399)
    _note(owner, job)  # may have been noted just now
    bell.minute()
    assert _noted(owner) == [(job, noon(-80_000)), (job, None), (job, None)]


def test_records_of_earlier_jobs_of_the_bell_are_deleted(owner: Connection, bell: Bell) -> None:
    earlier, (block,) = _job(owner), owner.execute("select command from cron.job").fetchone() or ("",)
    _note(owner, earlier, start=-90_000, end=-90_000, command=block)
    _note(owner, earlier + 7, start=-90_000, end=-90_000, command="select 1")
    bell.off()
    bell.on()
    assert _job(owner) != earlier
    bell.minute()
    assert _noted(owner) == [(earlier + 7, noon(-90_000))]


def _job(owner: Connection) -> int:
    (job,) = owner.execute("select jobid from cron.job").fetchone() or (0,)
    return int(job)


def _note(
    owner: Connection, jobid: int, *, start: float | None = None, end: float | None = None, command: str = ""
) -> None:
    instants = [None if at is None else noon(at) for at in (start, end)]
    owner.execute(
        "insert into cron.job_run_details (jobid, command, start_time, end_time) values (%s, %s, %s, %s)",
        [jobid, command, *instants],
    )


def _noted(owner: Connection) -> list[tuple[int, object]]:
    return owner.execute("select jobid, end_time from cron.job_run_details order by runid").fetchall()
