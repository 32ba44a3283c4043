"""An unreadable instant, which an older version may have stored, stops no other booking."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.support.bells import Bell, add_rows
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.world import World

BOOKED = ("completed", "booked")
OLDEST, LATEST = "4714-11-24 00:00+00 BC", "294276-12-31 23:59:59+00"
INSTANTS = (OLDEST, "infinity")


def spoil(connection: Connection, row: UUID, column: str, instant: str) -> None:
    """Write an instant that a database of today refuses."""
    connection.execute("alter domain public.prebooking_instant drop constraint prebooking_instant_check")
    connection.execute("alter table public.prebookings disable trigger user")
    change = b"update public.prebookings set " + column.encode() + b" = %s where id = %s"
    connection.execute(change, [instant, row])
    connection.execute("alter table public.prebookings enable trigger user")


@pytest.mark.parametrize(
    ("column", "instant"),
    [
        *(("available_at", instant) for instant in (OLDEST, "-infinity")),
        *(("expires_at", instant) for instant in (LATEST, "20000-01-01", "infinity")),
        *((column, instant) for column in ("created_at", "retry_after", "early_since") for instant in INSTANTS),
        *((column, instant) for column in ("missing_since", "blocked_at") for instant in INSTANTS),
    ],
)
def test_a_row_with_an_unreadable_instant_stops_no_other_row(world: World, column: str, instant: str) -> None:
    venue = add_venue(world.connection)
    [bad, *same_venue] = world.opening(3, venue=venue)
    others = world.opening(2)
    spoil(world.connection, bad, column, instant)
    world.run(world.invoke())
    assert world.ends([*same_venue, *others]) == [BOOKED] * 4


@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize("column", ["paused_until", "troubled_since", "troubled_at", "answered_at"])
def test_a_venue_with_an_unreadable_instant_stops_no_other_venue(world: World, column: str, instant: str) -> None:
    world.connection.execute("alter domain public.prebooking_instant drop constraint prebooking_instant_check")
    [bad] = world.opening(1)
    rows = world.opening(2)
    of_its_venue = b" = %s where id = (select venue_id from public.prebookings where id = %s)"
    world.connection.execute(b"update public.venues set " + column.encode() + of_its_venue, [instant, bad])
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 2


@pytest.mark.parametrize("instant", [OLDEST, "-infinity"])
def test_a_row_with_an_unreadable_instant_stops_no_ring(owner: Connection, instant: str) -> None:
    bell = Bell(owner)
    bell.on()
    add_rows(owner, 1, 1, opens=30)
    spoil(owner, add_prebooking(owner, add_venue(owner), available_at=noon(3000)), "available_at", instant)
    bell.minute()
    assert 27 in bell.posts()
