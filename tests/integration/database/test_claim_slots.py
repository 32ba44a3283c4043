"""How many rows a claim takes: a slot every stagger, forty of a venue before the forty-first of any."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.support.calls import claim, claimed
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon


def test_a_venue_gives_no_more_rows_than_can_start_in_time(owner: Connection, service: Connection, at: At) -> None:
    venue, opening = add_venue(owner), noon(0)
    rows = [add_prebooking(owner, venue, available_at=opening) for _ in range(6)]
    assert claimed(service, uuid4(), fire_within_ms=149, stagger_ms=50) == rows[:3]


def test_a_slot_exactly_at_the_end_counts(owner: Connection, service: Connection, at: At) -> None:
    venue, opening = add_venue(owner), noon(0)
    rows = [add_prebooking(owner, venue, available_at=opening) for _ in range(6)]
    assert claimed(service, uuid4(), fire_within_ms=150, stagger_ms=50) == rows[:4]


def test_every_venue_has_its_own_slots(owner: Connection, service: Connection, at: At) -> None:
    opening, venues = noon(0), [add_venue(owner) for _ in range(3)]
    for venue in venues:
        for _ in range(4):
            add_prebooking(owner, venue, available_at=opening)
    answer = claim(service, uuid4(), fire_within_ms=100, stagger_ms=50)
    assert Counter(row["venue"]["id"] for row in answer["rows"]) == {str(venue): 3 for venue in venues}


def test_slots_within_the_lead_start_at_their_opening(owner: Connection, service: Connection, at: At) -> None:
    venue, opening = add_venue(owner), noon(3)
    rows = [add_prebooking(owner, venue, available_at=opening) for _ in range(6)]
    assert claimed(service, uuid4(), lead_ms=3000, fire_within_ms=3100, stagger_ms=50) == rows[:3]


def test_a_row_that_opens_after_the_last_slot_is_not_claimed(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner), available_at=noon(3))
    assert claimed(service, uuid4(), lead_ms=3000, fire_within_ms=2999) == []


def test_due_rows_delay_the_slots_of_later_rows(owner: Connection, service: Connection, at: At) -> None:
    venue, soon, now = add_venue(owner), noon(0.1), noon(0)
    due = [add_prebooking(owner, venue, available_at=now) for _ in range(4)]  # slots at 0, 50, 100 and 150 ms
    held = [add_prebooking(owner, venue, available_at=soon) for _ in range(2)]  # 200 and 250 ms, not 100 and 150
    assert claimed(service, uuid4(), lead_ms=1000, fire_within_ms=200, stagger_ms=50) == [*due, held[0]]


def test_rows_already_held_take_the_first_slots(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner), uuid4()
    rows = [add_prebooking(owner, venue, available_at=noon(0)) for _ in range(6)]
    assert claimed(service, me, limit=2) == rows[:2]
    assert claimed(service, me, fire_within_ms=150, stagger_ms=50) == rows[:4]


@pytest.mark.parametrize("fire_within_ms", [-1, -5000])
def test_nothing_is_claimed_without_time_to_call(owner: Connection, service: Connection, fire_within_ms: int) -> None:
    add_prebooking(owner, add_venue(owner))
    assert claimed(service, uuid4(), fire_within_ms=fire_within_ms) == []


def test_a_venue_that_exceeds_the_limit_is_left_to_the_next_claim(owner: Connection, service: Connection) -> None:
    rows = []
    for _ in range(3):
        venue = add_venue(owner)
        rows += [add_prebooking(owner, venue), add_prebooking(owner, venue)]
    assert claimed(service, uuid4(), limit=5) == rows[:4]
    assert claimed(service, uuid4(), limit=1) == rows[4:5], "a venue larger than the limit is split"


def test_the_limit_includes_rows_already_held(owner: Connection, service: Connection) -> None:
    me = uuid4()
    rows = [add_prebooking(owner, add_venue(owner)) for _ in range(4)]
    assert claimed(service, me, limit=2) == rows[:2]
    assert claimed(service, me, limit=3) == rows[:3]
    assert claimed(service, me, limit=1) == rows[:3]


@pytest.mark.parametrize("limit", [0, -1, None])
def test_nothing_is_claimed_without_a_positive_limit(owner: Connection, service: Connection, limit: int | None) -> None:
    add_prebooking(owner, add_venue(owner))
    assert claimed(service, uuid4(), limit=limit) == []


def test_a_claim_takes_at_most_five_hundred_rows(owner: Connection, service: Connection) -> None:
    for _ in range(4):
        _add_crowd(owner, 150)
    assert len(claimed(service, uuid4(), limit=100_000, fire_within_ms=600_000)) == 500


def test_a_claim_takes_at_most_two_hundred_rows_of_a_venue(owner: Connection, service: Connection) -> None:
    _add_crowd(owner, 250)
    assert len(claimed(service, uuid4(), limit=500, fire_within_ms=600_000, lease_ms=300_000)) == 200


def test_a_crowded_venue_does_not_starve_another(owner: Connection, service: Connection) -> None:
    crowded = _add_crowd(owner, 150)
    quiet = [add_prebooking(owner, add_venue(owner)) for _ in range(3)]
    answer = claim(service, uuid4(), limit=43, fire_within_ms=10_000)
    assert {str(row) for row in quiet} < {row["id"] for row in answer["rows"]}
    assert Counter(row["venue"]["id"] for row in answer["rows"])[crowded] == 40


def test_forty_rows_of_each_venue_are_claimed_before_more(owner: Connection, service: Connection) -> None:
    venues = [_add_crowd(owner, 60) for _ in range(2)]
    answer = claim(service, uuid4(), limit=85, fire_within_ms=10_000)
    assert Counter(row["venue"]["id"] for row in answer["rows"]) == {venues[0]: 45, venues[1]: 40}


def test_rows_already_held_count_towards_the_forty(owner: Connection, service: Connection) -> None:
    me, first = uuid4(), _add_crowd(owner, 60)
    claim(service, me, limit=30, fire_within_ms=10_000)
    second = _add_crowd(owner, 60)
    answer = claim(service, me, limit=80, fire_within_ms=10_000)
    assert Counter(row["venue"]["id"] for row in answer["rows"]) == {first: 40, second: 40}


def _add_crowd(owner: Connection, members: int) -> str:
    """Add a venue with one opening, and a prebooking of it per member."""
    venue = add_venue(owner)
    owner.execute(
        """insert into public.prebookings (venue_id, user_email, booking_data, available_at)
        select %s, n || '@example.com', jsonb_build_object('class_id', n), %s from generate_series(1, %s) n""",
        [venue, datetime.now(UTC) - timedelta(seconds=1), members],
    )
    return str(venue)
