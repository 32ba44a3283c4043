"""Rows whose class has begun: how a claim ends and counts them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.calls import claim, claimed, prebooking, release, run
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon

pytestmark = pytest.mark.usefixtures("at")


@pytest.mark.parametrize(
    ("maybe_sent", "outcome", "message"),
    [
        (False, "expired", "The class began before this could be booked."),
        (True, "unknown", "The request may have reached the venue"),
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_row_ends_as_expired_or_in_doubt_as_unknown(
    owner: Connection, service: Connection, at: At, *, maybe_sent: bool, outcome: str, message: str, enabled: bool
) -> None:
    row = add_prebooking(owner, add_venue(owner, enabled=enabled), expires_at=noon(10), maybe_sent=maybe_sent)
    at(10)
    assert claim(service, uuid4())["rows"] == []
    stored = prebooking(owner, row)
    assert (stored["status"], stored["outcome"], stored["settled_at"]) == ("failed", outcome, noon(10))
    assert stored["error_message"].startswith(message)


def test_a_row_does_not_expire_early(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), expires_at=noon(10))
    at(9.999)
    assert claimed(service, uuid4()) == [row]


def test_a_row_of_a_killed_run_ends_as_unknown(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), expires_at=noon(10))
    claim(service, uuid4(), lease_ms=30_000)
    at(30)
    claim(service, uuid4())
    stored = prebooking(owner, row)
    assert (stored["outcome"], stored["claimed_by"]) == ("unknown", None)


def test_a_claimed_row_does_not_expire_during_its_lease(owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), expires_at=noon(10))
    claim(service, uuid4(), lease_ms=30_000)
    at(29.999)
    claim(service, uuid4())
    assert prebooking(owner, row)["status"] == "pending"


def test_a_released_row_ends_as_expired(owner: Connection, service: Connection, at: At) -> None:
    row, me = add_prebooking(owner, add_venue(owner), expires_at=noon(10)), uuid4()
    claim(service, me)
    release(service, me, [row])
    at(10)
    claim(service, uuid4())
    assert prebooking(owner, row)["outcome"] == "expired"


def test_a_repeated_claim_returns_the_same_counts(owner: Connection, service: Connection, at: At) -> None:
    venue, end, me = add_venue(owner), noon(10), uuid4()
    for maybe_sent in (True, False, False):
        add_prebooking(owner, venue, expires_at=end, maybe_sent=maybe_sent)
    at(10)
    first, again = claim(service, me), claim(service, me)
    assert (first["expired"], first["unknown"]) == (again["expired"], again["unknown"]) == (2, 1)
    assert (run(owner, me)["expired"], run(owner, me)["unknown"]) == (2, 1)


def test_the_counts_of_all_claims_of_a_run_are_added_up(owner: Connection, service: Connection, at: At) -> None:
    venue, me = add_venue(owner, enabled=False), uuid4()
    for seconds in (10, 20):
        add_prebooking(owner, venue, expires_at=noon(seconds))
    at(10)
    assert claim(service, me)["expired"] == 1
    at(20)
    assert claim(service, me)["expired"] == 2


def test_the_counts_of_another_run_are_not_included(owner: Connection, service: Connection, at: At) -> None:
    add_prebooking(owner, add_venue(owner), expires_at=noon(10))
    at(10)
    claim(service, uuid4())
    assert claim(service, uuid4())["expired"] == 0


@pytest.mark.parametrize(("maybe_sent", "end"), [(False, "expired"), (True, "unknown")])
def test_a_claim_ends_at_most_five_thousand_rows_oldest_first(
    owner: Connection, service: Connection, at: At, *, maybe_sent: bool, end: str
) -> None:
    venue = add_venue(owner)
    owner.execute(
        """insert into public.prebookings (venue_id, user_email, booking_data, available_at, expires_at, maybe_sent)
        select %s, n || '@example.com', jsonb_build_object('class_id', n), %s, %s + n * interval '1 second', %s
        from generate_series(1, 5001) n""",
        [venue, noon(0), noon(0), maybe_sent],
    )
    at(10_000)
    answer = claim(service, uuid4())
    assert (answer[end], answer["rows"]) == (5000, [])
    left = owner.execute("select user_email from public.prebookings where status = 'pending'").fetchall()
    assert left == [("5001@example.com",)]
