"""A venue that blocks a call is paused, unless it books others and blocks one row only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from prebooking.local.venue.twin import CallPlan, Protection, TwinReply
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import BOOKED, PENDING, World

BLOCK = CallPlan(acts=False, answer=TwinReply(403))


def block_calls_of(world: World, row: UUID) -> None:
    """Let the venue block the calls of one row."""
    world.twin.plan = lambda call: BLOCK if call.method == "POST" and call.prebooking_id == str(row) else CallPlan()


def blocked_before(times: int, attempts: int | None = None) -> dict[str, Any]:
    """Return the columns of a row that was blocked before."""
    blocked_at = EPOCH - timedelta(minutes=5)
    return {"maybe_sent": True, "blocks": times, "blocked_at": blocked_at, "attempts": attempts or times}


@pytest.mark.parametrize("others", [0, 2])
def test_a_repeated_block_pauses_a_venue_only_if_it_books_no_other_row(world: World, others: int) -> None:
    venue = add_venue(world.connection)
    rows = world.opening(others, venue=venue)
    [row] = world.opening(1, at=-600, venue=venue, **blocked_before(1))
    block_calls_of(world, row)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * others
    assert world.row(row)["blocks"] == (2 if others else 1)
    assert (world.paused_until(venue) is None) is (others > 0)


def test_a_first_block_pauses_a_venue_that_books_other_rows(world: World) -> None:
    venue = add_venue(world.connection)
    *others, row = world.opening(5, venue=venue)
    block_calls_of(world, row)
    world.run(world.invoke())
    assert world.ends(others) == [BOOKED] * 4
    assert world.paused_until(venue) is not None


@pytest.mark.parametrize("status", [201, 425])
def test_answers_before_a_block_do_not_end_the_trouble_of_a_venue(world: World, status: int) -> None:
    """Outcomes wait for each other, and a row that is called too early is written at the end of the run."""
    venue = add_venue(world.connection)
    answered, blocked = world.opening(2, venue=venue)
    world.twin.script(answered, CallPlan(acts=status == 201, answer=TwinReply(status)))
    world.twin.script(blocked, BLOCK)
    world.run(world.invoke())
    query = "select troubled_since is not null, answered_at is not null from public.venues"
    assert world.connection.execute(query).fetchall() == [(True, True)]


@pytest.mark.parametrize(
    ("idempotent", "refused", "attempts", "end"),
    [
        (True, 2, 2, ("failed", "rejected")),
        (True, 2, 3, PENDING),
        (True, 1, 1, PENDING),
        (False, 2, 2, PENDING),
    ],
)
def test_a_third_block_ends_a_row_without_a_question_only_at_idempotent_venues(
    world: World, refused: int, attempts: int, end: tuple[str, str | None], *, idempotent: bool
) -> None:
    world.twin.protection = Protection.IDEMPOTENT if idempotent else Protection.DUPLICATES
    venue = add_venue(world.connection, idempotent=idempotent)
    world.opening(2, venue=venue)
    [row] = world.opening(1, at=-600, venue=venue, **blocked_before(refused, attempts))
    block_calls_of(world, row)
    world.run(world.invoke())
    assert world.ends([row]) == [end]


def test_a_blocked_confirmation_pauses_the_venue(world: World) -> None:
    venue = add_venue(world.connection)
    [row] = world.opening(1, venue=venue)
    world.twin.plan = lambda arrival: CallPlan(acts=False, answer=TwinReply(502 if arrival.method == "POST" else 429))
    world.run(world.invoke())
    assert world.ends([row]) == [PENDING]
    assert world.paused_until(venue) is not None


@pytest.mark.parametrize("status", [403, 429])
def test_a_blocked_second_call_to_an_idempotent_venue_pauses_it(world: World, status: int) -> None:
    """An idempotent venue gets the same key again instead of a question."""
    world.twin.protection = Protection.IDEMPOTENT
    venue = add_venue(world.connection, idempotent=True)
    [row] = world.opening(1, venue=venue)
    refused = [CallPlan(acts=False, answer=TwinReply(502)), CallPlan(acts=False, answer=TwinReply(status))]
    world.twin.script(row, *refused)
    summary = world.run(world.invoke())
    assert (summary.outcomes, world.row(row)["claimed_by"]) == ({"blocked": 1}, summary.instance_id)
    assert world.paused_until(venue) is not None
