"""The turn of an opening: one invocation at a time, until the turn ends."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.calls import claim, claimed, complete, finish
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon

pytestmark = pytest.mark.usefixtures("at")


def test_an_opening_has_one_run_at_a_time(owner: Connection, service: Connection) -> None:
    venue, opening = add_venue(owner), noon(0)
    add_prebooking(owner, venue, available_at=opening)
    claim(service, uuid4())
    add_prebooking(owner, venue, available_at=opening)
    assert claimed(service, uuid4()) == []


@pytest.mark.parametrize(("same_venue", "seconds"), [(True, -1), (False, 0)], ids=["another opening", "another venue"])
def test_another_opening_or_venue_is_free(
    owner: Connection, service: Connection, *, same_venue: bool, seconds: float
) -> None:
    venue = add_venue(owner)
    add_prebooking(owner, venue, available_at=noon(0))
    claim(service, uuid4())
    other = add_prebooking(owner, venue if same_venue else add_venue(owner), available_at=noon(seconds))
    assert claimed(service, uuid4()) == [other]


def test_the_holder_of_the_turn_may_take_more_of_its_opening(owner: Connection, service: Connection) -> None:
    venue, opening, me = add_venue(owner), noon(0), uuid4()
    first = add_prebooking(owner, venue, available_at=opening)
    claim(service, me)
    second = add_prebooking(owner, venue, available_at=opening)
    assert claimed(service, me) == [first, second]


def test_a_killed_run_blocks_its_opening_for_its_turn(owner: Connection, service: Connection, at: At) -> None:
    venue, opening = add_venue(owner), noon(0)
    add_prebooking(owner, venue, available_at=opening)
    claim(service, uuid4(), turn_ms=8000, lease_ms=30_000)
    behind = add_prebooking(owner, venue, available_at=opening)
    at(7.999)
    assert claimed(service, uuid4()) == []
    at(8)
    assert claimed(service, uuid4()) == [behind]


def test_the_rows_of_a_killed_run_wait_for_its_lease(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner))
    claim(service, uuid4(), turn_ms=8000, lease_ms=30_000)
    at(29.999)
    assert claimed(service, uuid4()) == []
    at(30)
    assert claimed(service, uuid4()) == [row]


def test_an_opening_is_free_when_its_last_held_row_is_settled(owner: Connection, service: Connection) -> None:
    venue, opening, me = add_venue(owner), noon(0), uuid4()
    first, second, third = (add_prebooking(owner, venue, available_at=opening) for _ in range(3))
    assert claimed(service, me, fire_within_ms=50) == [first, second]
    complete(service, first, me)
    assert claimed(service, uuid4()) == []
    complete(service, second, me)
    assert claimed(service, uuid4()) == [third]


def test_the_end_of_a_run_ends_its_turn_before_its_leases(owner: Connection, service: Connection) -> None:
    venue, opening, me = add_venue(owner), noon(0), uuid4()
    sent = add_prebooking(owner, venue, available_at=opening)
    claim(service, me)
    behind = add_prebooking(owner, venue, available_at=opening)
    finish(service, me, [{"id": sent, "attempts": 1, "verdict": "unsure"}])
    assert claimed(service, uuid4()) == [behind]
