"""Real processes, killed and cut off, a few of each; and the judge of them, who must be able to complain."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.support.calls import claim
from tests.support.factories import add_prebooking
from tests.verification import harness as module
from tests.verification.harness import BOUND, GUARD, LEASE, TICK, harness
from tests.verification.part import faults, sample
from tests.verification.processes import PART


def test_kills_a_restart_overlaps_and_a_network_that_fails_violate_nothing() -> None:
    assert faults(sample(PART)) == []


def test_the_bound_is_the_promise_s_with_a_shorter_lease_and_tick() -> None:
    assert BOUND == LEASE + TICK + (GUARD + 1) + 5
    assert LEASE >= GUARD + 4 + 1, "what a call may be late, and two clocks: less would not be safe at all"


def test_a_place_without_a_row_a_row_without_a_place_and_an_endless_wait_are_complained_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BOUND", 0.0)
    with harness() as where, where.function() as function:
        claims_to_be_booked = {"status": "completed", "outcome": "booked", "settled_at": datetime.now(UTC)}
        add_prebooking(where.stack.connection, where.places[0].venue, **claims_to_be_booked)
        where.opening(1, ahead=60)
        function.trigger()  # the watch has to have seen somebody
        assert len(list(where.settle_all(function))) == 1
        assert len(where.disagreements()) == 1


def test_leases_are_as_short_on_the_stage_as_it_says() -> None:
    with harness() as where:
        where.opening(1, ahead=-1)
        claim(where.stack.connection, uuid4(), lease_ms=23_000, turn_ms=3000)
        query = "select extract(epoch from claimed_until - clock_timestamp())::float from prebookings"
        (lease,) = where.stack.connection.execute(query).fetchone() or (0,)
    assert LEASE - 5 < lease <= LEASE
