"""The limits of the values in the bell's state."""

from __future__ import annotations

import pytest

from tests.support.bells import Bell
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue, noon


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell.switched_on(owner, arrives=False)


@pytest.mark.parametrize(
    ("triggered_at", "claimed", "unclaimed"), [(-1.0, False, 1), (-0.9, False, 0), (-1.0, True, 0)]
)
def test_a_due_row_is_unclaimed_a_second_after_its_ring(
    owner: Connection, bell: Bell, *, triggered_at: float, claimed: bool, unclaimed: int
) -> None:
    row = add_prebooking(owner, add_venue(owner), available_at=noon(-5))
    insert = (
        "insert into public.prebooking_bell_triggered (id, available_at, triggered_at, claimed) values (%s, %s, %s, %s)"
    )
    owner.execute(insert, [row, noon(-5), noon(triggered_at), claimed])
    assert bell.status()["unclaimed"] == unclaimed


def test_a_queue_needs_more_than_a_visible_schema_to_be_open(owner: Connection, bell: Bell) -> None:
    owner.execute("grant usage on schema net to anon")
    assert bell.status()["queue_open"] is False
    owner.execute("grant select on net.http_request_queue to anon")
    assert bell.status()["queue_open"] is True


@pytest.mark.parametrize("unsent", [1, 2])
def test_an_unsent_request_is_reported_before_a_slow_one(owner: Connection, bell: Bell, unsent: int) -> None:
    owner.execute("update public.prebooking_bell set request_ids = '{1, 2}'")
    insert = "insert into net._http_response (id, timed_out, error_msg) values (%s, %s, %s)"
    owner.execute(insert, [unsent, False, "Could not resolve host"])
    owner.execute(insert, [3 - unsent, True, "Timeout of 1000 ms reached. Response time: 950 ms"])
    assert bell.status()["answer_kind"] == "unsent"
