"""The venue twin books, refuses and shows as AimHarder does, over sockets and on virtual time alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import httpx
import pytest

from prebooking.local.venue.aimharder import BOOK
from prebooking.local.venue.twin import DROP, Arrival, CallPlan, Protection, State, VenueTwin
from tests.support import venues
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.gym import BOX, DAY, EVENING, OPEN_BOX, WOD, Browser, email, gym
from tests.support.venues import on_virtual_time

TwinScenario = Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]


def asks(who: str = "ana", **fields: Any) -> TwinScenario:
    """Return a scenario in which a member logs in and books a class."""

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        return await (await Browser.of(client, who)).book(**fields)

    return scenario


def test_members_get_places_then_the_waiting_list_then_nothing(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        requests = [("ana", "0"), ("ben", "1"), ("cleo", "0"), ("cleo", "1"), ("dan", "1")]
        return [(await asks(who, insist=insist)(client)).json() for who, insist in requests]

    result = carried(twin := gym(), scenario)
    assert [answer["bookState"] for answer in result] == [1, 1, 0, 0, -1]
    acts = twin.ledger.bookings()
    assert [(act.member, act.state) for act in acts] == [
        (email("ana"), State.BOOKED),
        (email("ben"), State.BOOKED),
        (email("cleo"), State.WAITLISTED),
    ]
    assert [answer.get("id") for answer in result] == [
        acts[0].booking_id,
        acts[1].booking_id,
        None,
        acts[2].booking_id,
        None,
    ]
    assert {(act.prebooking_id, act.class_id, act.venue) for act in acts} == {("", WOD, BOX)}


def test_a_class_opens_at_its_own_instant() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        await asyncio.sleep(3_590)
        browser = await Browser.of(client, "ana")
        await asyncio.sleep(9.999)
        early = (await browser.book(EVENING)).json()
        await asyncio.sleep(0.001)
        return [early["bookState"], early["errorMssgLang"], (await browser.book(EVENING)).json()["bookState"]]

    result = on_virtual_time(gym(now=VirtualClock().now), scenario)
    assert result == [-12, "ERROR_ANTELACION_CLIENTE", 1]


@pytest.mark.parametrize(
    ("protection", "then", "result", "places"),
    [
        (Protection.NONE, WOD, 1, 2),
        (Protection.IDEMPOTENT, WOD, 1, 2),  # no key is sent
        (Protection.DUPLICATES, WOD, "NOPUEDESRESERVAMISMAHORA", 1),
        (Protection.DUPLICATES, OPEN_BOX, "NOPUEDESRESERVAMISMAHORA", 1),
        (Protection.DUPLICATES, EVENING, 1, 2),
        (Protection.CAPACITY_FIRST, WOD, "NOPUEDESRESERVAMISMAHORA", 1),
    ],
)
def test_a_second_class_at_an_hour_meets_the_venues_protection(
    carried: Any, protection: Protection, then: str, result: int | str, places: int
) -> None:
    twin = gym(protection=protection)
    twin.open_class(EVENING, opens_at=EPOCH, capacity=9, day=DAY, time="19:30")

    async def scenario(client: httpx.AsyncClient) -> Any:
        browser = await Browser.of(client, "ana")
        assert (await browser.book(WOD)).json()["bookState"] == 1
        return (await browser.book(then)).json()

    answer = carried(twin, scenario)
    assert answer.get("errorMssgLang", answer["bookState"]) == result
    assert len(twin.ledger.bookings()) == places
    assert len(twin.ledger.double_bookings()) == int(places == 2 and then == WOD)
    assert len(twin.ledger.bookings_of_member("Ana@Example.com", then, venue=BOX)) == (
        places if then == WOD else places - 1
    )


@pytest.mark.parametrize("where", [{"day": "20300112"}, {"box": "another.aimharder.com"}])
def test_the_same_hour_of_another_day_or_box_is_another_hour(carried: Any, where: dict[str, Any]) -> None:
    twin = gym(protection=Protection.DUPLICATES)
    twin.open_box("another.aimharder.com", box_id=7)
    twin.open_class("3001", opens_at=EPOCH, capacity=9, **{"day": DAY, "time": "07:00"} | where)

    async def scenario(client: httpx.AsyncClient) -> Any:
        browser = await Browser.of(client, "ana")
        await browser.book()
        browser.host = where.get("box", BOX)
        return (await browser.book("3001", day=where.get("day", DAY))).json()["bookState"]

    assert carried(twin, scenario) == 1
    there = where.get("box", BOX)
    assert [len(twin.ledger.bookings_of_member(email("ana"), "3001", venue=venue)) for venue in (there, "x")] == [1, 0]


@pytest.mark.parametrize(("protection", "result"), [(Protection.CAPACITY_FIRST, -1), (Protection.DUPLICATES, -12)])
def test_a_full_class_can_be_full_for_its_members_too(carried: Any, protection: Protection, result: int) -> None:
    twin = gym(protection=protection)
    twin.open_class(WOD, opens_at=EPOCH, capacity=1, day=DAY)

    async def scenario(client: httpx.AsyncClient) -> Any:
        browser = await Browser.of(client, "ana")
        return [(await browser.book()).json()["bookState"] for _ in range(2)]

    assert carried(twin, scenario) == [1, result]


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"X-Requested-With": ""}, 403),
        ({"Origin": "https://another.aimharder.com"}, 403),
        ({"Origin": "https://aimharder.com"}, 403),
        ({"Referer": "https://aimharder.com/"}, 403),
        ({"Content-Type": "application/json"}, 200),
    ],
)
def test_a_booking_without_the_headers_of_the_page_gets_a_page(carried: Any, how: dict[str, str], status: int) -> None:
    answer = carried(twin := gym(), asks(headers=how))

    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert twin.ledger.bookings() == []


@pytest.mark.parametrize(
    "result",
    [
        {"class_id": "9999"},
        {"class_id": ""},
        {"class_id": "wod"},
        {"day": "20300112"},
        {"day": ""},
        {"insist": "2"},
        {"insist": ""},
        {"familyId": None},
        {"class_id": "3001"},
    ],
)
def test_a_booking_of_an_unknown_class_is_an_error_without_a_state(carried: Any, result: dict[str, str]) -> None:
    twin = gym()
    twin.open_class("3001", opens_at=EPOCH, capacity=9, day=DAY, box="another.aimharder.com")
    twin.open_class("wod", opens_at=EPOCH, capacity=9, day=DAY)

    answer = carried(twin, asks(**result))

    assert answer.json() == {"errorMssg": "La clase no existe"}
    assert twin.ledger.bookings() == []


@pytest.mark.parametrize(("acts", "places"), [(False, 0), (True, 1)])
def test_the_answer_to_a_booking_can_be_lost_before_or_after_the_act(carried: Any, *, acts: bool, places: int) -> None:
    twin = gym()
    twin.script(email("ana"), CallPlan(acts=acts, answer=DROP))

    async def scenario(client: httpx.AsyncClient) -> Any:
        browser = await Browser.of(client, "ana")
        with pytest.raises(httpx.RemoteProtocolError):
            await browser.book()
        return (await browser.classes())[int(WOD)]["bookState"]

    assert carried(twin, scenario) == (1 if acts else None)
    assert len(twin.ledger.bookings()) == places


def test_pages_can_be_slow_at_the_opening() -> None:
    def plan(arrival: Arrival) -> CallPlan:
        return CallPlan(delay_before=13) if arrival.path == BOOK else CallPlan(delay_after=0.2)

    async def scenario(client: httpx.AsyncClient) -> float:
        await asks()(client)
        return asyncio.get_running_loop().time()

    assert on_virtual_time(gym(now=VirtualClock().now, plan=plan), scenario) == pytest.approx(13.2)


def test_one_twin_can_be_a_webhook_venue_and_a_box(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[int]:
        answers = [await venues.book(client, "ana", WOD), await asks("ben")(client), await asks("cleo")(client)]
        return [answers[0].status_code, *(answer.json()["bookState"] for answer in answers[1:])]

    twin: VenueTwin = gym(secret=venues.SECRET)
    assert carried(twin, scenario) == [201, 1, 0]
    assert [call.prebooking_id for call in twin.ledger.first_calls()] == ["id of ana", "", ""]


def test_a_twin_s_clock_can_be_ahead(carried: Any) -> None:
    twin = gym(skew=timedelta(hours=1))

    assert carried(twin, asks(class_id=EVENING)).json()["bookState"] == 1
