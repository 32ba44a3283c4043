"""Every format of the venue twin's pages is read alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, time
from random import Random

import httpx
import pytest

from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.foreign import name_key
from prebooking.http import isolated_client
from prebooking.local.venue.page import COOKIES, HOURS, LISTS, NAMES, NUMBERS, Page
from prebooking.local.venue.twin import DROP, CallPlan, TwinReply
from prebooking.model import Kind
from tests.support.doubles import VirtualClock
from tests.support.gym import BOX, BOX_ID, DAY, EVENING, OPEN_BOX, PASSWORD, WOD, Browser, email, gym
from tests.support.venues import on_virtual_time


def page_with(knob: str, entry: str) -> Page:
    page = Page()
    setattr(page, knob, entry)
    return page


TABLES: dict[str, Iterable[str]] = {
    "hours": HOURS,
    "names": NAMES,
    "lists": LISTS,
    "numbers": NUMBERS,
    "cookies": COOKIES,
}
PAGES = {f"{knob}: {one}": page_with(knob, one) for knob, table in TABLES.items() for one in table}
PAGES |= {f"seed {seed}": Page.at_random(Random(seed)) for seed in range(20)}  # noqa: S311 - no secret


@pytest.mark.parametrize("page", PAGES)
def test_a_login_and_a_day_are_read_from_every_page(page: str) -> None:
    twin = gym(now=VirtualClock().now)
    twin.page = PAGES[page]

    async def scenario(client: httpx.AsyncClient) -> None:
        site = AimHarderSite(isolated_client(transport=client._transport), host=BOX, box_id=str(BOX_ID))
        login = await site.login(email("ana"), PASSWORD, timeout=5)
        assert [box.box_id for box in login.boxes] == [str(BOX_ID)]
        await site._client.send(site.booking(login.session, {"id": WOD, "day": DAY, "insist": "0", "familyId": ""}))
        await asyncio.sleep(7)
        classes = await site.classes(login.session, date.fromisoformat(DAY), timeout=5)
        assert isinstance(classes, list)
        assert [(one.class_id, one.starts, one.taken, one.places, one.place) for one in classes] == [
            (WOD, time(7), 1, 2, Kind.BOOKED),
            (OPEN_BOX, time(7), 0, 9, Kind.NOT_BOOKED),
            (EVENING, time(19, 30), 0, 9, Kind.NOT_BOOKED),
        ]
        assert name_key(classes[1].name).startswith("open box")

    on_virtual_time(twin, scenario)


def test_a_list_can_be_behind_the_ledger() -> None:
    twin = gym(now=VirtualClock().now)
    twin.page = Page(behind=6)

    async def scenario(client: httpx.AsyncClient) -> list[object]:
        browser = await Browser.of(client, "ana")
        await browser.book(WOD)
        await asyncio.sleep(5.9)
        early = (await browser.classes())[int(WOD)]["bookState"]
        await asyncio.sleep(0.1)
        return [early, (await browser.classes())[int(WOD)]["bookState"]]

    assert on_virtual_time(twin, scenario) == [None, 1]


def test_a_class_can_be_closed_or_cancelled_or_keep_its_mark() -> None:
    twin = gym()
    twin.page = Page(closed={OPEN_BOX}, cancelled={EVENING}, keeps_marks=True)

    async def scenario(client: httpx.AsyncClient) -> dict[int, dict[str, object]]:
        browser = await Browser.of(client, "ana")
        await browser.cancel((await browser.book(WOD)).json()["id"])
        return await browser.classes()

    seen = on_virtual_time(twin, scenario)
    flags = [
        [seen[int(one)][name] for name in ("enabled", "cancelledId", "bookState")] for one in (WOD, OPEN_BOX, EVENING)
    ]
    assert flags == [[1, 77, 1], [0, None, None], [1, 77, None]]


@pytest.mark.parametrize("answer", [TwinReply(200, body=b"<html>"), DROP], ids=["a page", "a cut"])
def test_a_call_can_be_acted_on_after_its_answer(answer: TwinReply) -> None:
    twin = gym(now=VirtualClock().now)
    twin.script(email("ana"), CallPlan(answer=answer, acts_after=0.5))

    async def scenario(client: httpx.AsyncClient) -> list[int]:
        browser = await Browser.of(client, "ana")
        with suppress(httpx.RemoteProtocolError):
            await browser.book(WOD)
        at_once = len(twin.ledger.bookings())
        await asyncio.sleep(0.5)
        return [at_once, len(twin.ledger.bookings())]

    assert on_virtual_time(twin, scenario) == [0, 1]


@pytest.mark.parametrize("how", [{"acts_after": 1.0}, {"acts_after": 1.0, "acts": False, "answer": DROP}], ids=str)
def test_a_venue_that_acts_later_cannot_answer_with_the_result(how: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="acts_after needs"):
        CallPlan(**how)  # type: ignore[arg-type]
