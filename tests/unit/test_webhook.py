"""The outcome of each answer of an endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prebooking.bookers.call import Reply
from prebooking.bookers.webhook.booker import classify, classify_state
from prebooking.model import Kind, Outcome

PLACED = [200, 201, 204]
BLOCKED = [401, 403, 404, 405, 407, 421, 426, 429, 431]
REFUSALS = [
    Kind.FULL,
    Kind.NO_CREDIT,
    Kind.LIMIT_REACHED,
    Kind.PAYMENT_DUE,
    Kind.TOO_LATE,
    Kind.CONFLICT_SAME_HOUR,
    Kind.CLASS_GONE,
]
REFUSED = [400, 406, 410, 418, 422, 451, 499]
EVERY = [*PLACED, *BLOCKED, *REFUSED, 202, 402, 301, 408, 409, 425, 500, 503]


def kind_of(status: int) -> Kind:
    """Return the meaning of a status: the table that an endpoint's author reads."""
    if status in PLACED:
        return Kind.BOOKED
    if status in BLOCKED or status == 402:
        return Kind.BLOCKED
    if status == 409:
        return Kind.ALREADY_BOOKED
    if status == 425:
        return Kind.TOO_EARLY
    return Kind.REJECTED if 400 <= status < 500 and status != 408 else Kind.UNSURE


def reply(status: int, body: Any = None) -> Reply:
    """Return an answer with JSON in it, or without a body."""
    return Reply(status, b"" if body is None else json.dumps(body).encode())


# Bodies that are no JSON object. None: longer than we read, or compressed.
UNREADABLE = {
    "text": b"booked",
    "HTML": b"<!doctype html><title>Sign in</title>",
    "a blank": b" ",
    "a list": b'["booked"]',
    "a string": b'"booked"',
    "a number": b"200",
    "true": b"true",
    "null": b"null",
    "half an object": b'{"state": "booked"',
    "two objects": b'{"state": "booked"}{"state": "booked"}',
    "single quotes": b"{'state': 'booked'}",
    "invalid UTF-8": b'{"state": "booked\xff"}',
    "null bytes": b"\x00\x00\x00\x00",
    "deep lists": b"[" * 60_000,
    "deep objects": b'{"a":' * 12_000,
    "a deep value beside a state": b'{"state": "booked", "a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a huge number": b'{"booking_id": ' + b"9" * 60_000 + b"}",
    "a compressed object": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "too much": None,
}


def test_a_status_without_a_body_has_the_outcome_of_the_table() -> None:
    means = {status: classify(reply(status)).kind for status in range(100, 600)}
    assert means == {status: kind_of(status) for status in range(100, 600)}


@pytest.mark.parametrize("status", [0, 99, 600, 999])
def test_a_status_that_does_not_exist_is_unsure(status: int) -> None:
    assert classify(reply(status)).kind is Kind.UNSURE


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_only_a_success_needs_a_readable_body(
    body: bytes | None,
) -> None:
    means = {status: classify(Reply(status, body)).kind for status in EVERY}
    assert means == {status: Kind.UNSURE if status in PLACED else kind_of(status) for status in EVERY}


@pytest.mark.parametrize("status", PLACED)
@pytest.mark.parametrize("state", [Kind.BOOKED, Kind.WAITLISTED])
def test_a_success_can_have_a_state_and_a_booking_id(status: int, state: Kind) -> None:
    assert classify(reply(status, {"state": state, "booking_id": "b-1"})) == Outcome(state, "b-1")


def test_a_success_without_a_state_is_a_booking() -> None:
    assert classify(reply(200, {})) == Outcome(Kind.BOOKED)
    assert classify(reply(201, {"booking_id": 7, "more": ["of", "it"]})) == Outcome(Kind.BOOKED, "7")


def strange(*known: Kind) -> list[Any]:
    """Return values of a state that are not known."""
    return ["", "BOOKED", "ok", None, True, 1, 0.5, [], {}, ["booked"], ["full"], *sorted(set(Kind) - {*known})]


@pytest.mark.parametrize("state", REFUSALS)
def test_a_402_is_a_refusal_only_with_a_known_state(state: Kind) -> None:
    """A hosting platform answers 402 for a disabled deployment."""
    assert classify(reply(402, {"state": state})) == Outcome(state)
    assert classify(reply(402, {"error": "DEPLOYMENT_DISABLED"})) == Outcome(Kind.BLOCKED, detail="HTTP 402")


@pytest.mark.parametrize("state", strange(Kind.BOOKED, Kind.WAITLISTED), ids=repr)
def test_a_success_with_another_state_is_unsure(state: Any) -> None:
    for status in PLACED:
        assert classify(reply(status, {"state": state})) == Outcome(Kind.UNSURE, detail="unreadable")


@pytest.mark.parametrize("state", REFUSALS)
def test_a_refusal_can_have_a_state(state: Kind) -> None:
    for status in REFUSED:
        assert classify(reply(status, {"state": state, "booking_id": "b-1"})) == Outcome(state)


@pytest.mark.parametrize("state", strange(*REFUSALS), ids=repr)
def test_a_refusal_with_an_unknown_state_is_rejected(state: Any) -> None:
    for status in REFUSED:
        assert classify(reply(status, {"state": state})) == Outcome(Kind.REJECTED, detail=f"(HTTP {status})")


@pytest.mark.parametrize("state", [*REFUSALS, Kind.BOOKED])
def test_a_state_counts_only_with_a_success_or_refusal(state: Kind) -> None:
    for status in [*BLOCKED, 202, 302, 408, 409, 425, 500]:
        assert classify(reply(status, {"state": state})).kind is kind_of(status)


def test_a_conflict_can_have_a_booking_id() -> None:
    assert classify(reply(409, {"booking_id": "b-1"})) == Outcome(Kind.ALREADY_BOOKED, "b-1")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("b-1", "b-1"),
        ("2030.01:A_b-7", "2030.01:A_b-7"),
        (4711, "4711"),
        (-1, "-1"),
        (0, "0"),
        ("x" * 100, "x" * 100),
        ("x" * 101, None),
        (10**100, None),
        ("", None),
        (" ", None),
        ("b 1", None),
        ("b-1\n", None),
        ("ana@example.com", None),
        ("<script>", None),
        ("número", None),
        ("٤٧", None),
        (1.5, None),
        (True, None),
        (None, None),
        ([], None),
        (["b-1"], None),
        ({"id": "b-1"}, None),
    ],
    ids=repr,
)
def test_a_booking_id_must_be_short_and_plain(value: Any, number: str | None) -> None:
    body = {"state": "booked", "booking_id": value}
    assert classify(reply(200, body)) == classify_state(reply(200, body)) == Outcome(Kind.BOOKED, number)


@pytest.mark.parametrize("state", [Kind.BOOKED, Kind.WAITLISTED, Kind.NOT_BOOKED])
def test_a_confirmation_is_answered_by_a_state(state: Kind) -> None:
    assert classify_state(reply(200, {"state": state, "booking_id": "b-1"})) == Outcome(state, "b-1")


@pytest.mark.parametrize("state", [Kind.BOOKED, Kind.WAITLISTED, Kind.NOT_BOOKED])
def test_a_confirmation_without_a_200_cannot_tell(state: Kind) -> None:
    for status in range(100, 600):
        if status not in {200, 403, 429}:
            assert classify_state(reply(status, {"state": state})) == Outcome(Kind.CANNOT_TELL)


@pytest.mark.parametrize("status", [403, 429])
def test_a_blocked_confirmation_is_blocked(status: int) -> None:
    assert classify_state(reply(status, {"state": "booked"})) == Outcome(Kind.BLOCKED, detail=f"HTTP {status}")


@pytest.mark.parametrize("body", [b"", b"{}", *UNREADABLE.values()], ids=["nothing", "{}", *UNREADABLE.keys()])
def test_a_confirmation_without_a_state_cannot_tell(body: bytes | None) -> None:
    assert classify_state(Reply(200, body)) == Outcome(Kind.CANNOT_TELL)


@pytest.mark.parametrize("state", strange(Kind.BOOKED, Kind.WAITLISTED, Kind.NOT_BOOKED), ids=repr)
def test_a_confirmation_with_another_state_cannot_tell(state: Any) -> None:
    assert classify_state(reply(200, {"state": state})) == Outcome(Kind.CANNOT_TELL)


@pytest.mark.parametrize("status", [200, 409, 410, 422, 500])
def test_an_outcome_contains_no_text_of_the_answer(status: int) -> None:
    body = {"state": "canary", "message": "canary", "error": "canary", "booking_id": "can ary"}
    assert "canary" not in repr(classify(reply(status, body)))
    assert "canary" not in classify(reply(status, body)).sentence
