"""The venue twin books and remembers as a venue does, over sockets and on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import httpx
import pytest

from prebooking.local.venue.twin import DROP, HANG, Arrival, CallPlan, Protection, State, TwinReply
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.venues import BEARER, book, confirm, on_virtual_time, venue


def test_members_get_places_then_the_waiting_list_then_nothing(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[tuple[int, str]]:
        answers = [await book(client, who) for who in ("ana", "ben", "cleo", "dan")]
        return [(answer.status_code, answer.json()["state"]) for answer in answers]

    assert carried(twin := venue(), scenario) == [(201, "booked"), (201, "booked"), (200, "waitlisted"), (422, "full")]
    assert [act.member for act in twin.ledger.bookings()] == ["ana", "ben", "cleo"]


@pytest.mark.parametrize(
    ("status", "state", "how"),
    [
        (410, "class_gone", {"class_id": "no such class"}),
        (401, "unauthorized", {"headers": {"Authorization": "Bearer another"}}),
        (400, "bad_request", {"headers": {"Idempotency-Key": "another"}}),
        (400, "bad_request", {"class_id": ""}),
    ],
)
def test_a_refused_call_has_a_reason_and_no_place(carried: Any, status: int, state: str, how: dict[str, Any]) -> None:
    answer = carried(twin := venue(), lambda client: book(client, "ana", **how))

    assert (answer.status_code, answer.json()) == (status, {"state": state})
    assert twin.ledger.bookings() == []


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"booking_data": 1}', b"\xff"])
def test_an_unreadable_call_is_a_bad_request(carried: Any, body: bytes) -> None:
    answer = carried(twin := venue(), lambda client: client.post("/book", content=body, headers=BEARER))

    assert answer.status_code == 400
    assert twin.ledger.entries == (Arrival(EPOCH, "POST"),)


@pytest.mark.parametrize(("ahead", "status"), [(-1, 425), (0, 201), (1, 201)])
def test_a_class_opens_by_the_venues_own_clock(ahead: int, status: int) -> None:
    twin = venue(skew=timedelta(milliseconds=ahead))

    assert on_virtual_time(twin, lambda client: book(client, "ana")).status_code == status


def test_a_call_a_moment_too_early_is_refused(carried: Any) -> None:
    twin = venue(now=lambda: EPOCH - timedelta(microseconds=1))

    answer = carried(twin, lambda client: book(client, "ana"))

    assert (answer.status_code, answer.json()) == (425, {"state": "too_early"})
    assert twin.ledger.bookings() == []


def test_a_confirmation_is_answered_from_the_ledger(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[tuple[int, Any]]:
        booked = [(await book(client, who)).json() for who in ("ana", "ben", "cleo")]
        answers = [await confirm(client, who) for who in ("ana", "cleo", "dan")]
        assert [answer.json() for answer in answers[:2]] == [booked[0], booked[2] | {"position": 1}]
        return [(answer.status_code, answer.json()["state"]) for answer in answers]

    assert carried(venue(), scenario) == [(200, "booked"), (200, "waitlisted"), (200, "not_booked")]


def test_a_venue_that_cannot_tell_answers_501(carried: Any) -> None:
    twin = venue()
    twin.can_tell = False

    assert carried(twin, lambda client: confirm(client, "ana")).status_code == 501


def give_back(client: httpx.AsyncClient, who: str, **more: str) -> Awaitable[httpx.Response]:
    return client.delete("/book", params={"prebooking_id": f"id of {who}", **more}, headers=BEARER)


def test_a_place_that_is_given_back_goes_to_the_next_on_the_waiting_list(carried: Any) -> None:
    twin = venue()
    twin.open_class("wod", opens_at=EPOCH, capacity=1, waiting_list=2)

    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        for who in ("ana", "ben", "cleo"):
            await book(client, who)
        seen = [(await confirm(client, who)).json().get("position") for who in ("ana", "ben", "cleo")]
        answers = [await give_back(client, "ana"), await give_back(client, "ana"), await give_back(client, "cleo")]
        seen += [(answer.status_code, answer.json()["state"]) for answer in answers]
        return seen + [(await confirm(client, who)).json()["state"] for who in ("ana", "ben", "cleo")]

    back = [(200, "given_back"), (404, "not_booked"), (200, "given_back")]
    assert carried(twin, scenario) == [None, 1, 2, *back, "not_booked", "booked", "not_booked"]
    [ben] = twin.ledger.bookings()
    assert (ben.member, ben.state, twin.ledger.was_waitlisted(ben.booking_id)) == ("ben", State.BOOKED, True)


def test_a_late_give_back_needs_a_word_for_the_lost_credit(carried: Any) -> None:
    twin = venue()
    twin.open_class("wod", opens_at=EPOCH, capacity=1, late_from=EPOCH)

    async def scenario(client: httpx.AsyncClient) -> list[tuple[int, str]]:
        await book(client, "ana")
        answers = [await give_back(client, "ana"), await give_back(client, "ana", late="1")]
        return [(answer.status_code, answer.json()["state"]) for answer in answers]

    assert carried(twin, scenario) == [(409, "late"), (200, "given_back")]


def test_a_venue_that_takes_no_places_back_answers_405(carried: Any) -> None:
    twin = venue()
    twin.can_give_back = False

    assert carried(twin, lambda client: give_back(client, "ana")).status_code == 405


@pytest.mark.parametrize(("method", "status"), [("HEAD", 204), ("OPTIONS", 204), ("PUT", 405)])
def test_other_methods_warm_a_connection_or_are_refused(carried: Any, method: str, status: int) -> None:
    answer = carried(twin := venue(), lambda client: client.request(method, "/book", headers=BEARER))

    assert answer.status_code == status
    assert [arrival.method for arrival in twin.ledger.arrivals(method=None)] == [method]


@pytest.mark.parametrize(
    ("protection", "capacity", "status", "bookings"),
    [
        (Protection.NONE, 2, 201, 2),
        (Protection.DUPLICATES, 2, 409, 1),
        (Protection.DUPLICATES, 1, 409, 1),
        (Protection.CAPACITY_FIRST, 2, 409, 1),
        (Protection.CAPACITY_FIRST, 1, 422, 1),
        (Protection.IDEMPOTENT, 2, 201, 1),
    ],
)
def test_a_repeated_call_meets_the_venue_s_protection(
    carried: Any, protection: Protection, capacity: int, status: int, bookings: int
) -> None:
    twin = venue(protection=protection)
    twin.open_class("wod", opens_at=EPOCH, capacity=capacity)

    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await book(client, "ana"), await book(client, "ana")

    first, second = carried(twin, scenario)
    assert (first.status_code, second.status_code) == (201, status)
    assert len(twin.ledger.bookings_of("id of ana")) == bookings
    assert (list(twin.ledger.double_bookings()) == ["id of ana"]) is (bookings > 1)
    assert (first.content == second.content) is (protection is Protection.IDEMPOTENT)


def test_classes_without_a_known_hour_do_not_conflict(carried: Any) -> None:
    twin = venue(protection=Protection.DUPLICATES)
    twin.open_class("yoga", opens_at=EPOCH, capacity=1)

    async def scenario(client: httpx.AsyncClient) -> list[int]:
        return [(await book(client, "ana", class_id)).status_code for class_id in ("wod", "yoga", "yoga")]

    assert carried(twin, scenario) == [201, 201, 409]


def test_too_early_is_not_remembered() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[int]:
        early = await book(client, "ana")
        await asyncio.sleep(2)
        return [early.status_code, (await book(client, "ana")).status_code]

    twin = venue(now=VirtualClock(wall_skew=timedelta(seconds=-1)).now, protection=Protection.IDEMPOTENT)
    assert on_virtual_time(twin, scenario) == [425, 201]


def test_the_ledger_keeps_the_order_of_events() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for who in ("ben", "ana", "ben", "cleo"):
            await book(client, who)
            await confirm(client, who)
            await asyncio.sleep(60)

    on_virtual_time(twin := venue(now=VirtualClock().now), scenario)
    firsts = [(arrival.member, (arrival.at - EPOCH).seconds) for arrival in twin.ledger.first_calls()]
    assert firsts == [("ben", 0), ("ana", 60), ("cleo", 180)]
    assert [arrival.method for arrival in twin.ledger.arrivals(method=None)] == ["POST", "GET"] * 4
    assert [type(entry).__name__ for entry in twin.ledger.entries] == [
        *["Arrival", "Act", "Arrival"] * 3,
        *["Arrival"] * 2,
    ]
    assert [len(acts) for acts in twin.ledger.double_bookings().values()] == [2]
    assert list(twin.ledger.double_bookings()) == ["id of ben"]


def test_the_ledger_cannot_be_changed_afterwards() -> None:
    on_virtual_time(twin := venue(), lambda client: book(client, "ana"))

    with pytest.raises(FrozenInstanceError):
        twin.ledger.bookings()[0].member = "ben"  # type: ignore[misc]


def test_a_script_is_for_one_member_or_prebooking_and_one_method() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[int]:
        asks = [book(client, "ben"), book(client, "ana"), confirm(client, "ana"), book(client, "ana")]
        return [(await ask).status_code for ask in asks]

    twin = venue(protection=Protection.DUPLICATES)
    twin.script("ana", CallPlan(acts=False, answer=TwinReply(500)))
    twin.script("id of ana", CallPlan(answer=TwinReply(502)), method="GET")

    assert on_virtual_time(twin, scenario) == [201, 500, 502, 201]


@pytest.mark.parametrize("answer", [DROP, HANG, TwinReply(500)])
def test_a_plan_without_an_act_needs_an_answer(answer: Any) -> None:
    CallPlan(acts=False, answer=answer)

    with pytest.raises(ValueError, match="DROP, HANG or TwinReply"):
        CallPlan(acts=False)
