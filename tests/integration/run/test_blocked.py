"""What a venue that blocks us costs: the venue is left alone, unless it books others and blocks one row only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from prebooking.local.venue.twin import Arrival, CallPlan, Protection, TwinReply
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import World

BOOKED = ("completed", "booked")
BLOCK = CallPlan(acts=False, answer=TwinReply(403))


def paused_until(world: World, venue: UUID) -> datetime | None:
    query = "select paused_until from public.venues where id = %s"
    (until,) = world.connection.execute(query, [venue]).fetchone() or (None,)
    return until


def blocks(world: World, row: UUID) -> None:
    """Let the venue block one row's calls."""

    def plan(arrival: Arrival) -> CallPlan:
        return BLOCK if arrival.method == "POST" and arrival.prebooking_id == str(row) else CallPlan()

    world.twin.plan = plan


def test_a_repeated_block_pauses_a_venue_only_if_it_books_no_other_row(world: World) -> None:
    venue = add_venue(world.connection)
    others = world.opening(2, venue=venue)
    before: dict[str, Any] = {"blocks": 1, "blocked_at": EPOCH - timedelta(minutes=5), "attempts": 1}
    [row] = world.opening(1, at=-600, venue=venue, maybe_sent=True, **before)
    blocks(world, row)
    world.run(world.invoke())
    assert world.ends(others) == [BOOKED] * 2
    assert (world.row(row)["blocks"], paused_until(world, venue)) == (2, None)


def test_a_repeated_block_pauses_a_venue_that_books_no_other_row(world: World) -> None:
    venue = add_venue(world.connection)
    before: dict[str, Any] = {"blocks": 1, "blocked_at": EPOCH - timedelta(minutes=5), "attempts": 1}
    [row] = world.opening(1, at=-600, venue=venue, maybe_sent=True, **before)
    blocks(world, row)
    world.run(world.invoke())
    assert paused_until(world, venue) is not None


def test_a_first_block_pauses_a_venue_that_books_other_rows(world: World) -> None:
    venue = add_venue(world.connection)
    *others, row = world.opening(5, venue=venue)
    blocks(world, row)
    world.run(world.invoke())
    assert world.ends(others) == [BOOKED] * 4
    assert paused_until(world, venue) is not None


@pytest.mark.parametrize(
    ("idempotent", "refused", "attempts", "end"),
    [
        (True, 2, 2, ("failed", "rejected")),
        (True, 2, 3, ("pending", None)),
        (True, 1, 1, ("pending", None)),
        (False, 2, 2, ("pending", None)),
    ],
)
def test_a_third_block_ends_a_row_without_a_question_only_at_idempotent_venues(
    world: World, refused: int, attempts: int, end: tuple[str, str | None], *, idempotent: bool
) -> None:
    world.twin.protection = Protection.IDEMPOTENT if idempotent else Protection.DUPLICATES
    venue = add_venue(world.connection, idempotent=idempotent)
    world.opening(2, venue=venue)
    before: dict[str, Any] = {"blocks": refused, "blocked_at": EPOCH - timedelta(minutes=5), "attempts": attempts}
    [row] = world.opening(1, at=-600, venue=venue, maybe_sent=True, **before)
    blocks(world, row)
    world.run(world.invoke())
    assert world.ends([row]) == [end]


def test_a_blocked_confirmation_pauses_the_venue(world: World) -> None:
    venue = add_venue(world.connection)
    [row] = world.opening(1, venue=venue)
    world.twin.plan = lambda arrival: CallPlan(acts=False, answer=TwinReply(502 if arrival.method == "POST" else 429))
    world.run(world.invoke())
    assert world.ends([row]) == [("pending", None)]
    assert paused_until(world, venue) is not None


@pytest.mark.parametrize("status", [403, 429])
def test_a_blocked_second_call_to_an_idempotent_venue_pauses_it(world: World, status: int) -> None:
    """Where a key books once, the venue is asked by sending the same key again."""
    world.twin.protection = Protection.IDEMPOTENT
    venue = add_venue(world.connection, idempotent=True)
    [row] = world.opening(1, venue=venue)
    refused = [CallPlan(acts=False, answer=TwinReply(502)), CallPlan(acts=False, answer=TwinReply(status))]
    world.twin.script(row, *refused)
    summary = world.run(world.invoke())
    assert (summary.outcomes, world.row(row)["claimed_by"]) == ({"blocked": 1}, summary.instance_id)
    assert paused_until(world, venue) is not None
