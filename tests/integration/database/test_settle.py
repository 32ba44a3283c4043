"""Completing and failing: whose row it must be, what is kept, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import claim, complete, fail, finish, prebooking
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon


def _held(owner: Connection, service: Connection) -> tuple[UUID, UUID]:
    """Return a row and the invocation that holds it."""
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claim(service, me)
    return row, me


def _endings(stored: dict[str, Any]) -> tuple[Any, ...]:
    return (stored["status"], stored["outcome"], stored["booking_id"], stored["error_message"])


def test_completes_a_row_that_is_mine(owner: Connection, service: Connection, at: At) -> None:
    row, me = _held(owner, service)
    at(1)
    assert complete(service, row, me, "waitlisted", booking_id="b1", answered_at=noon(0.9))
    stored = prebooking(owner, row)
    assert _endings(stored) == ("completed", "waitlisted", "b1", None)
    assert (stored["settled_at"], stored["settled_by"], stored["answered_at"]) == (noon(1), me, noon(0.9))


def test_fails_a_row_that_is_mine(owner: Connection, service: Connection, at: At) -> None:
    row, me = _held(owner, service)
    at(1)
    assert fail(service, row, me, "no_credit", message="No credit left.", answered_at=noon(0.9))
    stored = prebooking(owner, row)
    assert _endings(stored) == ("failed", "no_credit", None, "No credit left.")
    assert (stored["settled_at"], stored["settled_by"], stored["answered_at"]) == (noon(1), me, noon(0.9))


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_settled_row_is_held_by_nobody(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = _held(owner, service)
    settle(service, row, me)
    stored = prebooking(owner, row)
    assert (stored["claimed_by"], stored["claimed_until"], stored["turn_until"]) == (None, None, None)


@pytest.mark.parametrize("settle", [complete, fail])
def test_settling_twice_by_the_same_claim_says_yes_twice_and_counts_once(
    owner: Connection, service: Connection, settle: Any
) -> None:
    row, me = _held(owner, service)
    assert settle(service, row, me)
    first = prebooking(owner, row)
    assert settle(service, row, me)
    assert prebooking(owner, row) == first


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_row_that_another_claim_settled_is_lost(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = _held(owner, service)
    settle(service, row, me)
    first = prebooking(owner, row)
    assert not settle(service, row, uuid4())
    assert prebooking(owner, row) == first


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_row_that_another_claim_took_over_is_lost(
    owner: Connection, service: Connection, at: At, settle: Any
) -> None:
    row, me = _held(owner, service)
    at(30)
    claim(service, uuid4())
    assert not settle(service, row, me)
    assert prebooking(owner, row)["status"] == "pending"


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_row_whose_lease_is_over_is_still_mine_while_nobody_took_it(
    owner: Connection, service: Connection, at: At, settle: Any
) -> None:
    row, me = _held(owner, service)
    at(60)
    assert settle(service, row, me)


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_row_that_nobody_claimed_is_not_mine(owner: Connection, service: Connection, settle: Any) -> None:
    row = add_prebooking(owner, add_venue(owner))
    assert not settle(service, row, uuid4())
    assert prebooking(owner, row)["status"] == "pending"


@pytest.mark.parametrize("settle", [complete, fail])
def test_a_row_that_does_not_exist_is_not_mine(service: Connection, settle: Any) -> None:
    assert not settle(service, uuid4(), uuid4())


@pytest.mark.parametrize(("first", "second"), [(complete, fail), (fail, complete)])
def test_a_claim_that_settled_one_way_may_not_say_the_other(
    owner: Connection, service: Connection, first: Any, second: Any
) -> None:
    row, me = _held(owner, service)
    first(service, row, me)
    settled = prebooking(owner, row)
    assert not second(service, row, me)
    assert prebooking(owner, row) == settled


def test_a_claim_that_settled_with_one_outcome_may_not_say_another(owner: Connection, service: Connection) -> None:
    row, me = _held(owner, service)
    complete(service, row, me, "booked")
    assert not complete(service, row, me, "waitlisted")
    assert prebooking(owner, row)["outcome"] == "booked"


def test_a_claim_that_failed_with_one_outcome_may_not_say_another(owner: Connection, service: Connection) -> None:
    row, me = _held(owner, service)
    fail(service, row, me, "full")
    assert not fail(service, row, me, "no_credit")
    assert prebooking(owner, row)["outcome"] == "full"


@pytest.mark.parametrize("outcome", ["unknown", "expired"])
def test_no_claim_may_fail_a_row_as_only_the_passing_of_time_does(
    owner: Connection, service: Connection, outcome: str
) -> None:
    row, me = _held(owner, service)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=outcome):
        fail(service, row, me, outcome)
    assert prebooking(owner, row)["status"] == "pending"


@pytest.mark.parametrize(("settle", "outcome"), [(complete, "full"), (fail, "booked"), (fail, None), (complete, None)])
def test_an_outcome_of_the_wrong_kind_is_refused(
    owner: Connection, service: Connection, settle: Any, outcome: str | None
) -> None:
    row, me = _held(owner, service)
    with pytest.raises(psycopg.errors.CheckViolation, match="outcome_fits_status"):
        settle(service, row, me, outcome)
    assert prebooking(owner, row)["status"] == "pending"


@pytest.mark.parametrize("settle", [complete, fail])
def test_adds_the_calls_that_were_sent(owner: Connection, service: Connection, settle: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), attempts=2), uuid4()
    claim(service, me)
    settle(service, row, me, attempts=3)
    assert prebooking(owner, row)["attempts"] == 5


@pytest.mark.parametrize("settle", [complete, fail])
def test_says_how_late_the_first_call_was(owner: Connection, service: Connection, at: At, settle: Any) -> None:
    row, me = add_prebooking(owner, add_venue(owner), available_at=noon()), uuid4()
    claim(service, me)
    settle(service, row, me, fired_at=noon(0.0426))
    stored = prebooking(owner, row)
    assert (stored["fired_at"], stored["lateness_ms"]) == (noon(0.0426), 43)


def test_a_row_that_is_asked_for_after_its_opening_is_late_from_then_on(
    owner: Connection, service: Connection, at: At
) -> None:
    row, me = add_prebooking(owner, add_venue(owner), available_at=noon(-600), created_at=noon(-2)), uuid4()
    claim(service, me)
    complete(service, row, me, fired_at=noon(0.1))
    assert prebooking(owner, row)["lateness_ms"] == 2100


@pytest.mark.parametrize("settle", [complete, fail])
def test_an_opening_of_long_ago_is_late_in_milliseconds_too(
    owner: Connection, service: Connection, settle: Any
) -> None:
    opening, end = datetime.now(UTC) - timedelta(days=30), datetime.now(UTC) + timedelta(days=1)
    row, me = add_prebooking(owner, add_venue(owner), available_at=opening, expires_at=end), uuid4()
    claim(service, me)
    assert settle(service, row, me, fired_at=opening + timedelta(days=30))
    assert prebooking(owner, row)["lateness_ms"] == 30 * 86_400_000


@pytest.mark.parametrize("settle", [complete, fail])
def test_the_first_call_of_an_earlier_run_stays_the_first(
    owner: Connection, service: Connection, at: At, settle: Any
) -> None:
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


def test_cuts_a_message_that_is_too_long(owner: Connection, service: Connection) -> None:
    row, me = _held(owner, service)
    fail(service, row, me, message="x" * 400)
    assert prebooking(owner, row)["error_message"] == "x" * 300
