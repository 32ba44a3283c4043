"""Rows without progress are queued behind fresh rows, and are claimed less and less often."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.calls import claim, claimed, complete, fail, finish, prebooking, release, settle_many
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon

pytestmark = pytest.mark.usefixtures("at")

_HELD_BACK: list[dict[str, Any]] = [{"maybe_sent": True}, {"retry_after": noon(-1)}, {"blocks": 1}]


@pytest.mark.parametrize("held_back", _HELD_BACK)
def test_a_held_back_row_waits_for_fresh_rows(
    owner: Connection, service: Connection, held_back: dict[str, Any]
) -> None:
    venue = add_venue(owner)
    older = [add_prebooking(owner, venue, available_at=noon(-60), **held_back) for _ in range(4)]
    fresh = [add_prebooking(owner, venue, available_at=noon(0)) for _ in range(3)]
    assert claimed(service, uuid4(), fire_within_ms=100, stagger_ms=50) == fresh
    assert set(claimed(service, uuid4(), fire_within_ms=100, stagger_ms=50)) == set(older[:3])


def test_a_row_of_a_killed_run_is_queued_behind_fresh_rows(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    older = [add_prebooking(owner, venue, available_at=noon(-60)) for _ in range(3)]
    claim(service, uuid4(), lease_ms=30_000)
    at(30)
    fresh = [add_prebooking(owner, venue, available_at=noon(0)) for _ in range(3)]
    assert claimed(service, uuid4(), fire_within_ms=100, stagger_ms=50) == fresh
    assert claimed(service, uuid4()) == older


@pytest.mark.parametrize("held_back", _HELD_BACK)
def test_at_most_ten_held_back_rows_of_a_venue_are_claimed(
    owner: Connection, service: Connection, held_back: dict[str, Any]
) -> None:
    venue, me = add_venue(owner), uuid4()
    rows = [add_prebooking(owner, venue, available_at=noon(-60), **held_back) for _ in range(23)]
    assert claimed(service, me) == rows[:10]
    assert claimed(service, me) == rows[:10], "what is held already is part of the ten"
    for row in rows[:4]:
        complete(service, row, me)
    assert claimed(service, me) == rows[4:14], "what is settled makes room"


def test_held_back_rows_are_claimed_longest_wait_first(owner: Connection, service: Connection) -> None:
    venue = add_venue(owner)
    hopeless = [
        add_prebooking(owner, venue, available_at=noon(-60), maybe_sent=True, setbacks=1, retry_after=noon(-1))
        for _ in range(10)
    ]
    waiting = [
        add_prebooking(owner, venue, available_at=noon(-30), maybe_sent=True, setbacks=1, retry_after=noon(-5))
        for _ in range(4)
    ]
    never_asked = [add_prebooking(owner, venue, available_at=noon(-20), maybe_sent=True) for _ in range(3)]
    assert set(claimed(service, uuid4())) == {*never_asked, *waiting, *hopeless[:3]}


def test_many_rows_in_doubt_do_not_delay_fresh_rows(owner: Connection, service: Connection) -> None:
    venue = add_venue(owner)
    for _ in range(121):
        add_prebooking(owner, venue, available_at=noon(-60), maybe_sent=True)
    fresh = [add_prebooking(owner, venue, available_at=noon(0)) for _ in range(7)]
    answer = claim(service, uuid4(), fire_within_ms=6000, stagger_ms=1000)
    assert [UUID(row["id"]) for row in answer["rows"]] == fresh


def test_a_hundred_held_back_rows_are_claimed_over_all_venues(owner: Connection, service: Connection) -> None:
    crowded = [add_venue(owner) for _ in range(12)]
    for venue in crowded:
        for _ in range(10):
            add_prebooking(owner, venue, available_at=noon(-60), maybe_sent=True)
    quiet = add_venue(owner)
    one = add_prebooking(owner, quiet, available_at=noon(-1), maybe_sent=True)
    taken = Counter(row["venue"]["id"] for row in claim(service, uuid4(), limit=500)["rows"])
    assert taken.total() == 100
    assert set(taken) == {str(venue) for venue in (*crowded, quiet)}
    assert prebooking(owner, one)["claimed_by"] is not None


def test_rows_of_a_troubled_venue_are_queued_behind_others(owner: Connection, service: Connection) -> None:
    troubled, healthy = add_venue(owner, troubled_since=noon(-900), paused_until=noon(-1)), add_venue(owner)
    theirs = [add_prebooking(owner, troubled, available_at=noon(-60)) for _ in range(13)]
    ours = [add_prebooking(owner, healthy, available_at=noon(0)) for _ in range(3)]
    assert claimed(service, uuid4(), limit=3) == ours
    me = uuid4()
    assert claimed(service, me) == theirs[:10]
    assert claimed(service, me) == theirs[:10]


def test_troubled_venues_take_no_slots_of_a_healthy_venue(owner: Connection, service: Connection) -> None:
    for _ in range(13):
        box = add_venue(owner, troubled_since=noon(-60))
        for _ in range(40):
            add_prebooking(owner, box, available_at=noon(-30))
    healthy = add_venue(owner)
    ours = [add_prebooking(owner, healthy, available_at=noon(0)) for _ in range(40)]
    answer = claim(service, uuid4(), limit=500)
    assert {UUID(row["id"]) for row in answer["rows"]} >= set(ours)
    assert len(answer["rows"]) == 40 + 100


def test_a_held_back_row_waits_for_fresh_rows_of_its_opening(owner: Connection, service: Connection) -> None:
    first, second = add_venue(owner), add_venue(owner)
    for _ in range(3):
        add_prebooking(owner, first, available_at=noon(-2))
    fresh = [add_prebooking(owner, second, available_at=noon(-1)) for _ in range(3)]
    add_prebooking(owner, second, available_at=noon(-1), maybe_sent=True)
    assert len(claimed(service, uuid4(), limit=5)) == 3
    assert set(claimed(service, uuid4())) > set(fresh)


@pytest.mark.parametrize("verdict", ["logged_out", "not_ready", "cannot_tell", "missing"])
def test_a_held_back_row_waits_1_2_5_15_minutes(owner: Connection, service: Connection, at: At, verdict: str) -> None:
    row, now = add_prebooking(owner, add_venue(owner), available_at=noon(0), maybe_sent=True), 0.0
    for wait in (60, 120, 300, 900, 900):
        me = uuid4()
        assert claimed(service, me) == [row]
        finish(service, me, [{"id": row, "attempts": 1, "verdict": verdict}])
        at(now + wait - 0.001)
        assert claimed(service, uuid4()) == []
        now += wait
        at(now)
    assert prebooking(owner, row)["setbacks"] == 5
    assert prebooking(owner, row)["maybe_sent"] is True


def test_a_row_without_progress_is_not_written_while_it_waits(owner: Connection, service: Connection, at: At) -> None:
    row, me = add_prebooking(owner, add_venue(owner), maybe_sent=True), uuid4()
    claim(service, me)
    finish(service, me, [{"id": row, "attempts": 0, "verdict": "cannot_tell"}])
    before = owner.execute("select xmin, ctid from public.prebookings").fetchall()
    for seconds in (15, 30, 45):
        at(seconds)
        claim(service, uuid4())
    assert owner.execute("select xmin, ctid from public.prebookings").fetchall() == before


def test_a_back_off_longer_than_possible_is_ignored(owner: Connection, service: Connection) -> None:
    venue = add_venue(owner)
    ahead = add_prebooking(owner, venue, retry_after=noon(3600), setbacks=1)
    add_prebooking(owner, venue, retry_after=noon(900), setbacks=4)
    assert claimed(service, uuid4()) == [ahead]


@pytest.mark.parametrize("seconds", [300.001, 3600, 86_400 * 365])
def test_an_impossibly_long_lease_or_turn_is_ignored(owner: Connection, service: Connection, seconds: float) -> None:
    venue, opening = add_venue(owner), noon(-1)
    ahead = {"claimed_by": uuid4(), "claimed_until": noon(seconds), "turn_until": noon(seconds)}
    row = add_prebooking(owner, venue, available_at=opening, **ahead)
    behind = add_prebooking(owner, venue, available_at=opening)
    answer = claim(service, uuid4())
    assert {(UUID(taken["id"]), taken["maybe_sent"]) for taken in answer["rows"]} == {(row, True), (behind, False)}


def test_a_row_with_an_impossible_lease_still_expires(owner: Connection, service: Connection) -> None:
    ahead = {"claimed_by": uuid4(), "claimed_until": noon(3600), "turn_until": noon(3600)}
    row = add_prebooking(owner, add_venue(owner), available_at=noon(-10), expires_at=noon(0), **ahead)
    claim(service, uuid4())
    assert prebooking(owner, row)["outcome"] == "unknown"


def test_the_longest_possible_lease_is_respected(owner: Connection, service: Connection) -> None:
    add_prebooking(owner, add_venue(owner))
    claim(service, uuid4(), lease_ms=300_000)
    assert claimed(service, uuid4()) == []


def test_a_row_that_alone_is_blocked_is_claimed_last(owner: Connection, service: Connection, at: At) -> None:
    venue, first = add_venue(owner), uuid4()
    opening = noon(-1)
    oldest, *others = (add_prebooking(owner, venue, available_at=opening) for _ in range(4))
    claim(service, first)
    release(service, first, others, blocked_venue=venue)
    finish(service, first, [{"id": oldest, "attempts": 1, "verdict": "blocked"}])
    at(300)
    second = uuid4()
    answer = claim(service, second, limit=3)
    assert {UUID(row["id"]) for row in answer["rows"]} == set(others), "the others are first after the pause"
    complete(service, others[0], second, answered_at=noon(301))
    finish(service, second)
    at(310)
    alone = {row["id"]: row["alone"] for row in claim(service, uuid4())["rows"]}
    assert alone == {str(oldest): True, str(others[1]): False, str(others[2]): False}


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_clear_answer_ends_a_venue_s_trouble(owner: Connection, service: Connection, settle: Any) -> None:
    venue, me = add_venue(owner, troubled_since=noon(-60)), uuid4()
    row = add_prebooking(owner, venue)
    claim(service, me)
    settle(service, row, me, answered_at=noon(1))
    assert _venue(owner) == (None, noon(0))


def settle_together(service: Connection, row: UUID, me: UUID, *, answered_at: datetime) -> bool:
    result = {"id": str(row), "outcome": "booked", "booking_id": None, "answered_at": answered_at.isoformat()}
    return settle_many(service, me, result) == [True]


@pytest.mark.parametrize(("answered", "since"), [(4.9, 0), (5.1, None)])
@pytest.mark.parametrize("settle", [complete, fail, settle_together])
def test_an_answer_before_the_last_block_ends_no_trouble(  # noqa: PLR0917 - three of them are fixtures
    owner: Connection, service: Connection, at: At, settle: Any, answered: float, since: float | None
) -> None:
    """It is written after the block. Answers between two blocks are written late, too."""
    venue, me = add_venue(owner), uuid4()
    row = add_prebooking(owner, venue)
    claim(service, me)
    for seconds in (0, 5):
        at(seconds)
        release(service, me, [], blocked_venue=venue)
    at(6)
    assert settle(service, row, me, answered_at=noon(answered))
    assert _venue(owner) == (since if since is None else noon(since), noon(answered))


def test_a_block_by_a_clock_that_was_set_back_can_be_ended(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    row = add_prebooking(owner, venue)
    claim(service, me)
    at(3600)
    release(service, me, [], blocked_venue=venue)
    at(1)
    complete(service, row, me, answered_at=noon(1))
    assert _venue(owner) == (None, noon(1))


def test_a_row_settled_without_an_answer_ends_no_trouble(owner: Connection, service: Connection) -> None:
    venue, me = add_venue(owner, troubled_since=noon(-60)), uuid4()
    row = add_prebooking(owner, venue)
    claim(service, me)
    fail(service, row, me, "bad_data", attempts=0)
    assert _venue(owner) == (noon(-60), None)


def test_an_answer_is_written_at_most_once_per_second(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    rows = [add_prebooking(owner, venue) for _ in range(3)]
    claim(service, me)
    for row, seconds in zip(rows, (0, 0.9, 1.1), strict=True):
        at(seconds)
        complete(service, row, me, answered_at=noon(seconds))
        assert _venue(owner)[1] == noon(0 if seconds < 1 else seconds)


def test_trouble_begins_with_the_first_block(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    release(service, uuid4(), [], blocked_venue=venue, pause=60)
    at(100)
    release(service, uuid4(), [], blocked_venue=venue)
    assert _venue(owner)[0] == noon(0)


@pytest.mark.parametrize(("pause", "until"), [(60, 60), (300, 300), (-5, 0), (10**9, 3600)])
def test_a_blocked_venue_is_paused_as_requested(
    owner: Connection, service: Connection, pause: int, until: float
) -> None:
    release(service, uuid4(), [], blocked_venue=add_venue(owner), pause=pause)
    assert owner.execute("select paused_until from public.venues").fetchall() == [(noon(until),)]


def _venue(owner: Connection) -> Any:
    return owner.execute("select troubled_since, answered_at from public.venues").fetchone()


def test_due_rows_are_claimed_before_rows_within_the_lead(owner: Connection, service: Connection) -> None:
    soon, late = add_venue(owner), add_venue(owner)
    for _ in range(3):
        add_prebooking(owner, soon, available_at=noon(2), created_at=noon(-9999))
    due = [add_prebooking(owner, late, available_at=noon(0) - timedelta(seconds=0.01 * n)) for n in (3, 2, 1)]
    assert claimed(service, uuid4(), lead_ms=3000, limit=3) == due


@pytest.mark.parametrize(("answered", "alone"), [(None, False), (noon(-60), False), (noon(-10), True)])
def test_a_blocked_row_is_alone_if_the_venue_answered_others(
    owner: Connection, service: Connection, answered: datetime | None, *, alone: bool
) -> None:
    add_prebooking(owner, add_venue(owner, answered_at=answered), blocks=1, blocked_at=noon(-30))
    assert [row["alone"] for row in claim(service, uuid4())["rows"]] == [alone]


def test_a_row_without_current_blocks_is_not_alone(owner: Connection, service: Connection, at: At) -> None:
    """Its last holder died: calls may have been made that nobody has noted."""
    venue = add_venue(owner, answered_at=noon(-30))
    add_prebooking(owner, venue, blocks=0, blocked_at=noon(-60))
    assert [row["alone"] for row in claim(service, uuid4())["rows"]] == [False]
