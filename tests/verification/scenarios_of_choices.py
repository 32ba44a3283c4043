"""Scenarios of a member with two choices, who gets two places, or none, only without one guard (I11)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from prebooking.local.venue.twin import HANG, CallPlan
from tests.verification.scenario import Interference, Scenario
from tests.verification.simulation import Simulation

_PROMOTE = "update public.prebookings set promoted_at = public.prebooking_clock() where stands_after is not null"


def _choices(
    *, at: Sequence[float] = (0, 0), capacity: int = 1000, waiting: int = 0, lasts: float = 900
) -> Interference:
    """Add a member with choices that open at these seconds; the first class has this many places."""

    def interfere(sim: Simulation, _: list[UUID]) -> None:
        venue, (first, *later) = sim.add_venue(), at
        classes = [(first, sim.offer(venue, at=first, capacity=capacity, waiting=waiting))]
        classes += [(second, sim.offer(venue, at=second)) for second in later]
        sim.add_choices(1, venue=venue, classes=classes, lasts=lasts)

    return interfere


def _promote_by_hand(sim: Simulation, _: list[UUID]) -> None:
    sim.set_database_clock()
    try:
        with sim.connection.transaction():
            sim.connection.execute(_PROMOTE)
    except psycopg.Error as refused:
        sim.note(f"promoted by hand: {refused.sqlstate}")


a_first_choice_is_booked = Scenario(0, (0.1, 40), interference={0: _choices()})

a_first_choice_is_on_a_waiting_list = Scenario(0, (0.1, 40), interference={0: _choices(capacity=0, waiting=1)})

a_first_choice_is_full = Scenario(0, (0.1, 40), interference={0: _choices(capacity=0)})

a_choice_is_promoted_by_hand = Scenario(0, (1, 40), interference={0: _choices(), 0.5: _promote_by_hand})

# The first class begins before its booking is confirmed. The second one opens later.
a_first_choice_is_unknown = Scenario(
    0,
    (0.1, 60, 75),
    interference={0: _choices(at=(0, 70), lasts=20)},
    faults={"bookings": {"i0": [CallPlan(answer=HANG)]}},
)
