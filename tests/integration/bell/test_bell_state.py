"""What the state of the bell counts, and what it leaves out."""

from __future__ import annotations

import pytest

from tests.support.bells import Bell
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_venue, noon


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell.switched_on(owner, arrives=False)


@pytest.mark.parametrize(("rung_at", "claimed", "unclaimed"), [(-1.0, False, 1), (-0.9, False, 0), (-1.0, True, 0)])
def test_a_due_row_is_unclaimed_if_no_invocation_claimed_it_within_a_second_of_its_ring(
    owner: Connection, bell: Bell, *, rung_at: float, claimed: bool, unclaimed: int
) -> None:
    row = add_prebooking(owner, add_venue(owner), available_at=noon(-5))
    insert = "insert into public.prebooking_bell_rung (id, available_at, rung_at, claimed) values (%s, %s, %s, %s)"
    owner.execute(insert, [row, noon(-5), noon(rung_at), claimed])
    assert bell.status()["unclaimed"] == unclaimed


def test_a_queue_is_not_open_to_those_who_may_only_see_its_schema(owner: Connection, bell: Bell) -> None:
    owner.execute("grant usage on schema net to anon")
    assert bell.status()["queue_open"] is False
    owner.execute("grant select on net.http_request_queue to anon")
    assert bell.status()["queue_open"] is True


@pytest.mark.parametrize("unsent", [1, 2])
def test_a_request_that_was_not_sent_is_reported_before_one_that_was_answered_slowly(
    owner: Connection, bell: Bell, unsent: int
) -> None:
    owner.execute("update public.prebooking_bell set request_ids = '{1, 2}'")
    insert = "insert into net._http_response (id, timed_out, error_msg) values (%s, %s, %s)"
    owner.execute(insert, [unsent, False, "Could not resolve host"])
    owner.execute(insert, [3 - unsent, True, "Timeout of 1000 ms reached. Response time: 950 ms"])
    assert bell.status()["answer_kind"] == "unsent"
