"""Scenarios of repeats: what upkeep makes of a day that its member does not want any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tests.support.calls import cancel
from tests.support.doubles import EPOCH
from tests.support.repeats import ANA, add_gym, add_repeat, look_again
from tests.verification.sim_database import SimDatabase

_PENDING = "select id, repeat_day from public.prebookings where status = 'pending' order by repeat_day"


def a_day_of_a_repeat_is_cancelled(sim_database: SimDatabase) -> list[str]:
    """Let the member cancel the first class of a repeat, and look at the repeat on each of the next days."""
    with sim_database.scenario() as connection:
        sim_database.set_clock(EPOCH)
        add_repeat(connection, add_gym(connection))
        rows: list[tuple[UUID, object]] = connection.execute(_PENDING).fetchall()
        (first, cancelled_day), *kept = rows
        assert cancel(connection, first, ANA) == "cancelled"
        for day in range(4):
            sim_database.set_clock(EPOCH + timedelta(days=day))
            look_again(connection)
        found: list[tuple[UUID, object]] = connection.execute(_PENDING).fetchall()
        reborn = [f"the day {day} is made again" for _, day in found if day == cancelled_day]
        twice = ["a day is made twice"] if len({day for _, day in found}) < len(found) else []
        return reborn + twice + ([] if kept[0] in found else ["the other day is gone"])
