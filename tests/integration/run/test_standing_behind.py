"""Rows behind others are called in the same run, when those before them are settled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prebooking.local.venue.twin import CallPlan
from tests.support.doubles import EPOCH
from tests.support.world import BOOKED, World, minutes


@pytest.mark.parametrize(("ago", "latest"), [(30, 3.5), (3600, 2.1)])
def test_all_rows_of_a_venue_that_had_trouble_are_booked(world: World, ago: int, latest: float) -> None:
    """The first ten rows show whether the venue works again. Trouble of long ago does not count."""
    rows = world.opening(40)
    since = EPOCH - timedelta(seconds=ago)
    world.connection.execute("update public.venues set troubled_since = %s, paused_until = %s", [since, since])
    world.twin.plan = lambda _: CallPlan(delay_after=1.0)
    world.run(world.invoke())
    assert world.ends(rows) == [BOOKED] * 40
    assert world.sent()[-1] < latest


def test_all_rows_of_a_venue_that_opens_late_are_booked_in_one_run(world: World) -> None:
    world.twin.skew = timedelta(seconds=-30)
    rows = world.opening(40)
    world.twin.plan = lambda _: CallPlan(delay_after=0.5)
    world.run(minutes(world, 2))
    assert world.ends(rows) == [BOOKED] * 40


def test_all_rows_of_a_dead_run_are_confirmed_within_two_runs(world: World) -> None:
    rows = world.opening(40, maybe_sent=True)
    world.twin.plan = lambda _: CallPlan(delay_after=1.0)
    world.run(minutes(world, 2))
    assert world.ends(rows) == [BOOKED] * 40
