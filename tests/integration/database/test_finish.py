"""Releases, pauses of a venue, and the end of a run."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.calls import claim, claimed, complete, finish, prebooking, release, run
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon


def test_a_released_row_can_be_claimed_at_once(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    assert release(service, me, [row]) == 1
    assert claimed(service, uuid4()) == [row]


def test_only_the_named_rows_are_released(owner: Connection, service: Connection) -> None:
    me, rows = uuid4(), [add_prebooking(owner, add_venue(owner)) for _ in range(3)]
    claim(service, me)
    assert release(service, me, rows[:2]) == 2
    assert claimed(service, uuid4()) == rows[:2]


def test_rows_of_another_run_are_not_released(owner: Connection, service: Connection) -> None:
    me, you = uuid4(), uuid4()
    yours = add_prebooking(owner, add_venue(owner))
    claim(service, you)
    assert release(service, me, [yours, uuid4()]) == 0
    assert prebooking(owner, yours)["claimed_by"] == you


def test_a_venue_that_blocks_us_is_paused_for_five_minutes(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    row = add_prebooking(owner, venue)
    claim(service, me)
    release(service, me, [row], blocked_venue=venue)
    at(299.999)
    assert claimed(service, uuid4()) == []
    at(300)
    assert claimed(service, uuid4()) == [row]


def test_a_pause_is_never_shortened(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner, paused_until=noon(3600))
    release(service, uuid4(), [], blocked_venue=venue)
    assert owner.execute("select paused_until from public.venues").fetchall() == [(noon(3600),)]


def test_no_other_venue_is_paused(owner: Connection, service: Connection) -> None:
    blocked, _other = add_venue(owner), add_venue(owner)
    release(service, uuid4(), [], blocked_venue=blocked)
    assert owner.execute("select id from public.venues where paused_until is not null").fetchall() == [(blocked,)]


def test_the_end_of_a_run_releases_unsent_rows(owner: Connection, service: Connection) -> None:
    me, rows = uuid4(), [add_prebooking(owner, add_venue(owner)) for _ in range(3)]
    claim(service, me)
    assert finish(service, me) == 3
    assert claimed(service, uuid4()) == rows


def test_the_end_of_a_run_keeps_rows_of_other_runs(owner: Connection, service: Connection) -> None:
    row, you = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, you)
    assert finish(service, uuid4()) == 0
    assert prebooking(owner, row)["claimed_by"] == you


def _finish_with_one_sent(owner: Connection, service: Connection, **sent: object) -> tuple[UUID, UUID]:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me, lease_ms=30_000)
    finish(service, me, [{"id": row, **sent}])
    return row, me


def test_a_row_that_may_have_been_sent_stays_leased(owner: Connection, service: Connection, at: At) -> None:
    row, me = _finish_with_one_sent(owner, service, attempts=1, verdict="unsure")
    stored = prebooking(owner, row)
    assert (stored["claimed_by"], stored["claimed_until"]) == (me, noon(30))


def test_a_sent_row_is_taken_over_as_maybe_sent_after_its_lease(owner: Connection, service: Connection, at: At) -> None:
    row, _ = _finish_with_one_sent(owner, service, attempts=1, verdict="unsure")
    at(29.999)
    assert claimed(service, uuid4()) == []
    at(30)
    answer = claim(service, uuid4())
    assert [(taken["id"], taken["maybe_sent"]) for taken in answer["rows"]] == [(str(row), True)]


def test_released_rows_are_counted_and_leased_rows_are_not(owner: Connection, service: Connection) -> None:
    me, rows = uuid4(), [add_prebooking(owner, add_venue(owner)) for _ in range(3)]
    claim(service, me)
    assert finish(service, me, [{"id": rows[1], "attempts": 1, "verdict": "unsure"}]) == 2


@pytest.mark.parametrize("verdict", ["unsure", "blocked", "too_early", "logged_out"])
def test_the_end_of_a_run_stores_its_calls(owner: Connection, service: Connection, at: At, verdict: str) -> None:
    row, _ = _finish_with_one_sent(owner, service, attempts=2, fired_at=noon(0.5).isoformat(), verdict=verdict)
    stored = prebooking(owner, row)
    assert (stored["attempts"], stored["fired_at"], stored["lateness_ms"]) == (2, noon(0.5), 1500)


def test_a_too_early_row_is_claimed_again_after_a_minute(owner: Connection, service: Connection, at: At) -> None:
    row, _ = _finish_with_one_sent(owner, service, attempts=3, verdict="too_early")
    at(54.999)
    assert claimed(service, uuid4()) == []
    at(55)
    (again,) = claim(service, uuid4())["rows"]
    assert (again["id"], again["early_since"], again["maybe_sent"]) == (str(row), noon(0).isoformat(), False)


def test_an_unsent_row_keeps_its_counts(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner), attempts=1, setbacks=2, maybe_sent=True), uuid4()
    claim(service, me)
    finish(service, me)
    stored = prebooking(owner, row)
    assert (stored["attempts"], stored["setbacks"], stored["maybe_sent"]) == (1, 2, True)


def test_results_of_settled_or_foreign_rows_are_ignored(owner: Connection, service: Connection) -> None:
    me, you = uuid4(), uuid4()
    mine, yours = (add_prebooking(owner, add_venue(owner)) for _ in range(2))
    claim(service, me, limit=1)
    claim(service, you)
    complete(service, mine, me)
    before = [prebooking(owner, row) for row in (mine, yours)]
    assert finish(service, me, [{"id": row, "attempts": 5, "verdict": "too_early"} for row in (mine, yours)]) == 0
    assert [prebooking(owner, row) for row in (mine, yours)] == before


def test_finishing_twice_returns_the_same_and_changes_nothing(owner: Connection, service: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    results = [{"id": row, "attempts": 1, "verdict": "too_early"}]
    assert finish(service, me, results, {"message": "first"}) == 1
    before = prebooking(owner, row)
    assert finish(service, me, results, {"message": "second"}) == 1
    assert prebooking(owner, row) == before
    assert run(owner, me)["summary"] == {"message": "first"}


def test_finishing_closes_the_run_that_the_claim_opened(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner))
    me = uuid4()
    claim(service, me)
    at(8)
    finish(service, me, summary={"success": True})
    recorded = run(owner, me)
    assert (recorded["opened_at"], recorded["closed_at"]) == (noon(0), noon(8))
    assert (recorded["claimed"], recorded["released"], recorded["summary"]) == (1, 1, {"success": True})


def test_a_run_whose_claim_failed_is_recorded_as_closed(owner: Connection, service: Connection, at: At) -> None:
    me = uuid4()
    assert finish(service, me, summary={"success": False}) == 0
    recorded = run(owner, me)
    assert (recorded["opened_at"], recorded["closed_at"], recorded["claimed"]) == (noon(), noon(), 0)
    assert recorded["summary"] == {"success": False}


def test_runs_are_deleted_after_thirty_days(owner: Connection, service: Connection, at: At) -> None:
    old, recent = uuid4(), uuid4()
    for instance, age in ((old, timedelta(days=30, seconds=1)), (recent, timedelta(days=30))):
        owner.execute(
            "insert into public.prebooking_runs (instance_id, opened_at) values (%s, %s)", [instance, noon() - age]
        )
    add_prebooking(owner, add_venue(owner))
    me = uuid4()
    claim(service, me)
    kept = owner.execute("select instance_id from public.prebooking_runs").fetchall()
    assert {instance for (instance,) in kept} == {recent, me}
