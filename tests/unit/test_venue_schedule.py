"""The pages of the venue twin's AimHarder, and cancelled places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from prebooking.local.venue.aimharder import BOOKINGS, LOGIN, WHOAMI
from tests.support.doubles import EPOCH
from tests.support.gym import BOX, DAY, EVENING, OPEN_BOX, WOD, Browser, email, gym


def test_the_schedule_shows_the_day_and_the_member_s_places(carried: Any) -> None:
    twin = gym()
    twin.open_class("1", opens_at=EPOCH, capacity=9, day="20300112")
    twin.open_class("2", opens_at=EPOCH, capacity=9)
    twin.open_class("wod", opens_at=EPOCH, capacity=9, day=DAY)
    twin.open_class("3", opens_at=EPOCH, capacity=9, day=DAY, box="another.aimharder.com")

    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        browsers = [await Browser.of(client, who) for who in ("ana", "ben", "cleo")]
        booked = [(await browser.book(insist="1")).json() for browser in browsers]
        return [booked, [await browser.classes() for browser in browsers], await Browser(client).classes()]

    booked, seen, unproved = carried(twin, scenario)
    assert list(seen[0]) == [int(WOD), int(OPEN_BOX), int(EVENING)]
    lines = [classes[int(WOD)] for classes in seen]
    assert [(line["bookState"], line["idres"]) for line in lines] == [
        (1, int(booked[0]["id"])),
        (1, int(booked[1]["id"])),
        (0, int(booked[2]["id"])),
    ]
    evening = {"bookState": None, "idres": None, "className": "WOD", "time": "19:30 - 20:30", "timeid": "1930_60"}
    assert seen[0][int(EVENING)].items() >= evening.items()
    assert {(line["ocupation"], line["limit"]) for line in lines} == {(2, 2)}
    own = {"bookState", "idres"}
    assert unproved == {
        number: {name: value for name, value in line.items() if name not in own} for number, line in seen[0].items()
    }


@pytest.mark.parametrize("asked", [{"box": 1}, {"box": ""}, {"day": "20300113"}, {"day": ""}])
def test_a_schedule_of_another_box_or_day_is_empty(carried: Any, asked: dict[str, Any]) -> None:
    twin = gym()
    twin.open_class("2", opens_at=EPOCH, capacity=9)

    assert carried(twin, lambda client: Browser(client).classes(**asked)) == {}


def test_a_place_can_be_cancelled_by_its_member(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        ana, ben = await Browser.of(client, "ana"), await Browser.of(client, "ben")
        number = (await ana.book()).json()["id"]
        states = [await ana.cancel(number, late="?")]
        states += [await browser.cancel(number) for browser in (ben, ana, ana)]
        return [*states, (await ana.classes())[int(WOD)]["bookState"], (await ana.book()).json()["bookState"]]

    assert carried(twin := gym(), scenario) == [3, 3, 1, 3, None, 1]
    assert [act.member for act in twin.ledger.bookings()] == [email("ana")]
    assert twin.ledger.double_bookings() == {}
    assert [type(entry).__name__ for entry in twin.ledger.entries].count("Act") == 3


def test_a_late_cancellation_needs_a_word_for_the_lost_credit(carried: Any) -> None:
    twin = gym()
    twin.classes[WOD] = replace(twin.classes[WOD], late_from=EPOCH)

    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        ana = await Browser.of(client, "ana")
        number = (await ana.book()).json()["id"]
        return [await ana.cancel(number), len(twin.ledger.bookings()), await ana.cancel(number, late="1")]

    assert carried(twin, scenario) == [2, 1, 1]
    assert twin.ledger.bookings() == []


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        (BOX, "/", 200),
        ("aimharder.com", "/", 200),
        ("login.aimharder.es", "/", 200),
        (BOX, WHOAMI, 404),
        ("aimharder.com", LOGIN, 404),
        ("login.aimharder.com", BOOKINGS, 404),
        ("unknown.aimharder.com", "/", 302),
        ("unknown.aimharder.es", BOOKINGS, 302),
        ("mybox.aimharder.es", "/", 302),
        ("a.b.aimharder.com", "/", 401),
        ("aimharder.com.venue.test", "/", 401),
    ],
)
def test_each_host_has_its_pages_and_others_are_the_webhook(carried: Any, host: str, path: str, status: int) -> None:
    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path, headers={"Host": host})

    assert carried(gym(), scenario).status_code == status
