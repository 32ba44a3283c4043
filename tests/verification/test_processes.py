"""A sample of faults of real processes, and tests that their checks can complain."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.support.calls import claim
from tests.support.factories import add_prebooking
from tests.verification import harness as module
from tests.verification.harness import BOUND, GUARD, LEASE, TICK, new_harness
from tests.verification.part import failures, sample
from tests.verification.processes import PART


def test_kills_restarts_overlaps_and_network_faults_violate_nothing() -> None:
    assert failures(sample(PART)) == []


def test_the_bound_is_that_of_i2_with_a_shorter_lease_and_tick() -> None:
    assert BOUND == LEASE + TICK + (GUARD + 1) + 5
    assert LEASE >= GUARD + 4 + 1, "a shorter lease could end before a late venue acts"


def test_a_completed_row_without_a_place_and_a_pending_row_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOUND", 0.0)
    with new_harness() as harness, harness.function() as function:
        completed = {"status": "completed", "outcome": "booked", "settled_at": datetime.now(UTC)}
        add_prebooking(harness.stack.connection, harness.venues[0].id, **completed)
        harness.add_opening(1, ahead=60)
        function.trigger()  # so that the watch has seen a connection
        assert len(list(harness.settle_all(function))) == 1
        assert len(harness.disagreements()) == 1


def test_leases_in_the_harness_have_the_documented_length() -> None:
    with new_harness() as harness:
        harness.add_opening(1, ahead=-1)
        claim(harness.stack.connection, uuid4(), lease_ms=23_000, turn_ms=3000)
        query = "select extract(epoch from claimed_until - clock_timestamp())::float from prebookings"
        (lease,) = harness.stack.connection.execute(query).fetchone() or (0,)
    assert LEASE - 5 < lease <= LEASE
