"""A later choice is booked in the run in which the earlier one is refused, at its own opening."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from prebooking.local.venue.twin import HANG, CallPlan
from tests.support.choices import MEMBER, states
from tests.support.doubles import EPOCH
from tests.support.factories import add_venue
from tests.support.world import BOOKED, PENDING, World

FULL, WAITLISTED, NOT_NEEDED = ("failed", "full"), ("completed", "waitlisted"), ("cancelled", None)


@pytest.fixture
def venue(world: World) -> UUID:
    return add_venue(world.connection)


def choose(world: World, venue: UUID, *classes: dict[str, Any]) -> list[UUID]:
    """Add one member's choices, with a class of its own for each."""
    rows: list[UUID] = []
    for about in classes:
        later: dict[str, Any] = {"stands_after": rows[-1]} if rows else {}
        rows += world.opening(1, venue=venue, user_email=MEMBER, **later, **about)
    return rows


def test_a_full_class_leads_to_the_next_choice_in_the_same_run(world: World, venue: UUID) -> None:
    rows = choose(world, venue, {"capacity": 0}, {"capacity": 0}, {}, {})
    summary = world.run(world.invoke())
    assert world.ends(rows) == [FULL, FULL, BOOKED, NOT_NEEDED]
    assert (summary.details["completed"], summary.details["failed"]) == (1, 2)
    assert len(world.twin.ledger.bookings()) == 1


def test_a_promoted_choice_is_called_at_its_own_opening(world: World, venue: UUID) -> None:
    rows = choose(world, venue, {"capacity": 0}, {"at": 3.0})
    world.run(world.invoke(LEAD_SECONDS="5"))
    assert world.ends(rows) == [FULL, BOOKED]
    assert world.sent()[1] >= 3.0


def test_a_promoted_choice_that_opens_after_the_run_waits_for_the_next_one(world: World, venue: UUID) -> None:
    rows = choose(world, venue, {"capacity": 0}, {"at": 60.0})

    async def steps() -> None:
        await world.invoke()
        assert world.ends(rows) == [FULL, PENDING]
        await asyncio.sleep(60)
        await world.invoke()

    world.run(steps())
    assert world.ends(rows) == [FULL, BOOKED]


def test_a_choice_whose_opening_is_over_is_booked_as_soon_as_the_earlier_one_is_refused(
    world: World, venue: UUID
) -> None:
    rows = choose(world, venue, {"capacity": 0, "at": 3.0}, {"at": -86_000.0})
    world.run(world.invoke(LEAD_SECONDS="5"))
    assert world.ends(rows) == [FULL, BOOKED]
    assert world.sent()[1] < 3.5


def test_a_place_on_a_waiting_list_ends_the_request(world: World, venue: UUID) -> None:
    rows = choose(world, venue, {"capacity": 0, "waiting": 1}, {})
    world.run(world.invoke())
    assert world.ends(rows) == [WAITLISTED, NOT_NEEDED]


def test_a_call_without_an_answer_promotes_nothing(world: World, venue: UUID) -> None:
    rows = choose(world, venue, {}, {})
    world.twin.script(str(rows[0]), CallPlan(answer=HANG))
    world.run(world.invoke())
    assert states(world.connection, rows) == ["pending", "waiting"]
    assert len(world.sent()) == 1


def test_a_promoted_choice_overtakes_nobody(world: World, venue: UUID) -> None:
    first, later = choose(world, venue, {"capacity": 0}, {})
    others = world.opening(2, venue=venue)
    world.run(world.invoke())
    assert world.called() == [first, *others, later]
    assert figures(world)["order"] == {"pairs": 3, "overtaken": 0}


def test_a_promoted_choice_is_late_from_its_promotion(world: World, venue: UUID) -> None:
    _, later = choose(world, venue, {"capacity": 0}, {"at": -3600.0})
    summary = world.run(world.invoke())
    assert world.row(later)["lateness_ms"] < 200
    assert 0 <= (summary.lateness_ms["max"] or 0) < 200
    assert figures(world)["lateness_ms"]["calls"] == 1, "of rows that could be called before the opening"


def figures(world: World) -> Any:
    [(found,)] = world.connection.execute("select public.prebooking_figures_v1(%s)", [EPOCH]).fetchall()
    return found
