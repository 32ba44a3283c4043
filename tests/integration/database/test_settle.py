"""Completing and failing: which claim may settle a row, what is stored, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import claim, complete, fail, finish, prebooking
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon


@pytest.fixture(params=(complete, fail))
def settle(request: pytest.FixtureRequest) -> Any:
    """Each of the two functions that settle a row."""
    return request.param


def _held(owner: Connection, service: Connection) -> tuple[UUID, UUID]:
    """Add a row, and return it with the invocation that holds it."""
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    return row, me


@pytest.mark.parametrize(
    ("function", "outcome", "more", "result"),
    [
        (complete, "waitlisted", {"booking_id": "b1"}, ("completed", "waitlisted", "b1", None)),
        (fail, "no_credit", {"message": "No credit left."}, ("failed", "no_credit", None, "No credit left.")),
    ],
)
def test_a_claimed_row_is_completed_or_failed(
    owner: Connection, service: Connection, at: At, *, function: Any, outcome: str, more: dict[str, str], result: Any
) -> None:
    row, me = _held(owner, service)
    at(1)
    assert function(service, row, me, outcome, answered_at=noon(0.9), **more)
    stored = prebooking(owner, row)
    assert (stored["status"], stored["outcome"], stored["booking_id"], stored["error_message"]) == result
    assert (stored["settled_at"], stored["settled_by"], stored["answered_at"]) == (noon(1), me, noon(0.9))


def test_a_settled_row_has_no_claim(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = _held(owner, service)
    settle(service, row, me)
    stored = prebooking(owner, row)
    assert (stored["claimed_by"], stored["claimed_until"], stored["turn_until"]) == (None, None, None)


def test_settling_twice_succeeds_and_counts_once(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = _held(owner, service)
    assert settle(service, row, me)
    first = prebooking(owner, row)
    assert settle(service, row, me)
    assert prebooking(owner, row) == first


def test_a_row_of_another_claim_is_not_settled_again(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = _held(owner, service)
    settle(service, row, me)
    first = prebooking(owner, row)
    assert not settle(service, row, uuid4())
    assert prebooking(owner, row) == first


def test_a_row_that_was_taken_over_is_not_settled(owner: Connection, service: Connection, at: At, settle: Any) -> None:
    row, me = _held(owner, service)
    at(30)
    claim(service, uuid4())
    assert not settle(service, row, me)
    assert prebooking(owner, row)["status"] == "pending"


def test_a_row_with_an_expired_lease_is_settled_until_it_is_taken_over(
    owner: Connection, service: Connection, at: At, settle: Any
) -> None:
    row, me = _held(owner, service)
    at(60)
    assert settle(service, row, me)


def test_an_unclaimed_row_is_not_settled(owner: Connection, service: Connection, settle: Any) -> None:
    row = add_prebooking(owner, add_venue(owner))
    assert not settle(service, row, uuid4())
    assert prebooking(owner, row)["status"] == "pending"


def test_a_row_that_does_not_exist_is_not_settled(service: Connection, settle: Any) -> None:
    assert not settle(service, uuid4(), uuid4())


@pytest.mark.parametrize(("first", "second"), [(complete, fail), (fail, complete)])
def test_a_completed_row_cannot_fail_and_vice_versa(
    owner: Connection, service: Connection, first: Any, second: Any
) -> None:
    row, me = _held(owner, service)
    first(service, row, me)
    settled = prebooking(owner, row)
    assert not second(service, row, me)
    assert prebooking(owner, row) == settled


@pytest.mark.parametrize(
    ("function", "first", "second"), [(complete, "booked", "waitlisted"), (fail, "full", "no_credit")]
)
def test_a_settled_outcome_cannot_be_changed_by_its_claim(
    owner: Connection, service: Connection, function: Any, first: str, second: str
) -> None:
    row, me = _held(owner, service)
    function(service, row, me, first)
    assert not function(service, row, me, second)
    assert prebooking(owner, row)["outcome"] == first


@pytest.mark.parametrize("outcome", ["unknown", "expired"])
def test_a_claim_cannot_fail_a_row_as_expired_or_unknown(owner: Connection, service: Connection, outcome: str) -> None:
    row, me = _held(owner, service)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=outcome):
        fail(service, row, me, outcome)
    assert prebooking(owner, row)["status"] == "pending"


@pytest.mark.parametrize(("settle", "outcome"), [(complete, "full"), (fail, "booked"), (fail, None), (complete, None)])
def test_an_outcome_that_does_not_fit_the_status_is_refused(
    owner: Connection, service: Connection, settle: Any, outcome: str | None
) -> None:
    row, me = _held(owner, service)
    with pytest.raises(psycopg.errors.CheckViolation, match="outcome_fits_status"):
        settle(service, row, me, outcome)
    assert prebooking(owner, row)["status"] == "pending"


def test_settling_adds_the_calls_that_were_sent(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), attempts=2), uuid4()
    claim(service, me)
    settle(service, row, me, attempts=3)
    assert prebooking(owner, row)["attempts"] == 5


def test_the_lateness_of_the_first_call_is_stored(owner: Connection, service: Connection, at: At, settle: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), available_at=noon()), uuid4()
    claim(service, me)
    settle(service, row, me, fired_at=noon(0.0426))
    stored = prebooking(owner, row)
    assert (stored["fired_at"], stored["lateness_ms"]) == (noon(0.0426), 43)


def test_lateness_counts_from_a_later_creation(owner: Connection, service: Connection, at: At) -> None:
    row, me = add_prebooking(owner, add_venue(owner), available_at=noon(-600), created_at=noon(-2)), uuid4()
    claim(service, me)
    complete(service, row, me, fired_at=noon(0.1))
    assert prebooking(owner, row)["lateness_ms"] == 2100


def test_an_opening_of_long_ago_has_a_lateness_too(owner: Connection, service: Connection, settle: Any) -> None:
    opening, end = datetime.now(UTC) - timedelta(days=30), datetime.now(UTC) + timedelta(days=1)
    row, me = add_prebooking(owner, add_venue(owner), available_at=opening, expires_at=end), uuid4()
    claim(service, me)
    assert settle(service, row, me, fired_at=opening + timedelta(days=30))
    assert prebooking(owner, row)["lateness_ms"] == 30 * 86_400_000


def test_the_first_call_of_an_earlier_run_is_kept(owner: Connection, service: Connection, at: At, settle: Any) -> None:
    row, first, second = add_prebooking(owner, add_venue(owner)), uuid4(), uuid4()
    claim(service, first)
    finish(service, first, [{"id": row, "attempts": 1, "fired_at": noon(1).isoformat(), "verdict": "too_early"}])
    at(60)
    claim(service, second)
    settle(service, row, second, fired_at=noon(60))
    assert prebooking(owner, row)["fired_at"] == noon(1)


def test_a_row_settled_without_a_call_has_no_lateness(owner: Connection, service: Connection) -> None:
    row, me = _held(owner, service)
    fail(service, row, me, "bad_data", attempts=0)
    stored = prebooking(owner, row)
    assert (stored["fired_at"], stored["lateness_ms"], stored["attempts"]) == (None, None, 0)


def test_a_message_that_is_too_long_is_cut(owner: Connection, service: Connection) -> None:
    row, me = _held(owner, service)
    fail(service, row, me, message="x" * 400)
    assert prebooking(owner, row)["error_message"] == "x" * 300
