"""The venue twin's sessions: logins, refreshes and expiry."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from prebooking.local.venue.aimharder import BOOK, BOOKINGS, LOGIN, OTHER_COOKIES, SESSION_COOKIE, TOKEN_UPDATE
from prebooking.local.venue.twin import DROP, CallPlan, TwinReply
from tests.support.doubles import VirtualClock
from tests.support.gym import BOX_ID, EVENING, FINGERPRINT, PASSWORD, WOD, Browser, email, gym
from tests.support.venues import on_virtual_time

MINUTES = 60
RIGHT = {"username": email("ana"), "password": PASSWORD, "fingerprint": FINGERPRINT, "iniframe": 0}


def auth(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200
    data: dict[str, Any] = answer.json()["data"]["auth"]
    return data


async def is_alive(browser: Browser) -> bool:
    """Return whether the session is valid, by every page of the venue."""
    knows = await browser.whoami() != []
    assert all(("bookState" in line) is knows for line in (await browser.classes()).values())
    assert ("logout" in (await browser.book(EVENING)).json()) is not knows
    return knows


def test_a_login_is_known_to_whoami_and_lists_the_boxes(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, list[Any]]:
        browser = Browser(client)
        assert await browser.whoami() == []
        return await browser.log_in("ana"), await browser.whoami()

    answer, people = carried(gym(), scenario)
    data = answer.json()["data"]
    assert auth(answer)["authOK"] is True
    assert data["userData"]["roles"] == [
        {"role": "client", "boid": BOX_ID, "centre_url": "mybox.aimharder.com", "gym": "The Box"}
    ]
    assert people == [data["userData"]]
    lines = answer.headers.get_list("set-cookie")
    assert [line.partition("=")[0] for line in lines] == [SESSION_COOKIE, *OTHER_COOKIES]
    assert all("Domain=.aimharder.com;" in line for line in lines)


@pytest.mark.parametrize(
    "how",
    [{"password": "another"}, {"username": "nobody@example.com"}, {"fingerprint": "0" * 49}, {"fingerprint": "G" * 50}],
)
def test_a_login_that_fails_is_a_200_without_cookies(carried: Any, how: dict[str, str]) -> None:
    answer = carried(gym(), lambda client: Browser(client).log_in("ana", **how))

    assert auth(answer) == {"authOK": False, "error": "WRONG_CREDENTIALS"}
    assert "set-cookie" not in answer.headers


def test_five_wrong_passwords_lock_the_account_for_a_while() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[str | None]:
        browser = Browser(client)
        answers = [await browser.log_in("ana", "wrong") for _ in range(5)]
        answers += [await browser.log_in("ana"), await browser.log_in("ben")]
        await asyncio.sleep(15 * MINUTES)
        answers.append(await browser.log_in("ana"))
        return [auth(answer).get("error") for answer in answers]

    data = on_virtual_time(gym(now=VirtualClock().now), scenario)
    assert data == [*["WRONG_CREDENTIALS"] * 5, "TOO_MANY_ATTEMPTS", None, None]


@pytest.mark.parametrize(
    "how",
    [
        {"data": {"username": email("ana")}},
        {"json": {}},
        {"json": [1]},
        {"content": b"\xff"},
        {"content": json.dumps(RIGHT)},
        {"content": "ciclo=1"},
    ],
)
def test_a_login_or_refresh_in_another_form_gets_a_page(carried: Any, how: dict[str, Any]) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[httpx.Response]:
        doors = {LOGIN: "login.aimharder.com", TOKEN_UPDATE: "aimharder.com"}
        return [await client.post(path, headers={"Host": host}, **how) for path, host in doors.items()]

    for answer in carried(gym(), scenario):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_a_session_expires_after_half_an_hour() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[bool]:
        browser = await Browser.of(client, "ana")
        await asyncio.sleep(30 * MINUTES - 1)
        first = await is_alive(browser)
        await asyncio.sleep(1)
        return [first, await is_alive(browser), "newToken" in (await browser.refresh()).json()]

    twin = gym(now=VirtualClock().now)
    assert on_virtual_time(twin, scenario) == [True, False, False]
    assert twin.ledger.bookings() == []


def test_a_refresh_replaces_the_session_and_the_token(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        browser = await Browser.of(client, "ana")
        old_session, old_token = browser.session, browser.token
        await browser.refresh()
        assert browser.session != old_session
        assert browser.token != old_token
        alive = [await is_alive(browser)]
        again = (await browser.refresh(old_token)).json()
        browser.session = old_session
        return [*alive, again, await is_alive(browser)]

    assert carried(gym(), scenario) == [True, {"logout": 1}, False]


@pytest.mark.parametrize("data", [{"token": "made up"}, {"fingerprint": "f" * 50}])
def test_a_refresh_needs_its_token_and_the_fingerprint_of_its_login(carried: Any, data: dict[str, str]) -> None:
    async def scenario(client: httpx.AsyncClient) -> list[Any]:
        browser = await Browser.of(client, "ana")
        answer = await browser.refresh(**data)
        return [answer.json(), answer.headers.get_list("set-cookie"), await is_alive(browser)]

    assert carried(gym(), scenario) == [{"logout": 1}, [], True]


def test_a_lost_refresh_has_used_the_token(carried: Any) -> None:
    async def scenario(client: httpx.AsyncClient) -> Any:
        browser = await Browser.of(client, "ana")
        with pytest.raises(httpx.RemoteProtocolError):
            await browser.refresh()
        return [(await browser.refresh()).json(), await is_alive(browser)]

    twin = gym()
    twin.script(email("ana"), CallPlan(answer=DROP), path=TOKEN_UPDATE)
    assert carried(twin, scenario) == [{"logout": 1}, False]


@pytest.mark.parametrize(("end", "helps"), [("expire", True), ("log_out", False)])
def test_a_test_can_end_sessions_with_or_without_their_tokens(carried: Any, end: str, *, helps: bool) -> None:
    twin = gym()

    async def scenario(client: httpx.AsyncClient) -> list[bool]:
        browsers = [await Browser.of(client, "ana"), await Browser.of(client, "ben")]
        getattr(twin.members, end)("ANA@example.com")
        alive = [await is_alive(browser) for browser in browsers]
        return [*alive, "newToken" in (await browsers[0].refresh()).json(), await is_alive(browsers[0])]

    assert carried(twin, scenario) == [False, True, helps, helps]


def test_a_twin_can_accept_tokens_of_expired_sessions() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[bool]:
        browser = await Browser.of(client, "ana")
        await asyncio.sleep(47 * 60 * MINUTES)
        return [await is_alive(browser), "newToken" in (await browser.refresh()).json(), await is_alive(browser)]

    twin = gym(now=VirtualClock().now)
    twin.members.token_life = timedelta(days=2)
    assert on_virtual_time(twin, scenario) == [False, True, True]


def test_a_login_is_valid_in_one_family_of_hosts_only(carried: Any) -> None:
    twin = gym()
    twin.open_box("mybox.aimharder.es", box_id=BOX_ID)

    async def scenario(client: httpx.AsyncClient) -> list[bool]:
        browser, there = await Browser.of(client, "ana"), Browser(client, host="mybox.aimharder.es")
        there.session, there.token = browser.session, browser.token
        strange = [await is_alive(there), "newToken" in (await there.refresh()).json()]
        answer = await there.log_in("ana")
        assert "Domain=.aimharder.es;" in answer.headers["set-cookie"]
        assert [role["centre_url"] for role in answer.json()["data"]["userData"]["roles"]] == ["mybox.aimharder.es"]
        return [*strange, await is_alive(there), await is_alive(browser)]

    assert carried(twin, scenario) == [False, False, True, True]


def test_each_kind_of_call_is_counted_and_scripted_separately(carried: Any) -> None:
    twin = gym()
    down = CallPlan(acts=False, answer=TwinReply(503))
    twin.script(email("ana"), down, method="GET", path=BOOKINGS)
    twin.script(email("ana"), down)

    async def scenario(client: httpx.AsyncClient) -> list[int]:
        browser = await Browser.of(client, "ana")
        await browser.refresh()
        await browser.whoami()
        calls = [browser.book(), browser.book(), browser.schedule(), browser.schedule()]
        return [(await call).status_code for call in calls]

    assert carried(twin, scenario) == [503, 200, 503, 200]
    assert [call.path for call in twin.ledger.arrivals()] == [LOGIN, TOKEN_UPDATE, BOOK, BOOK]
    assert len(twin.ledger.arrivals("GET", path=BOOKINGS)) == 2
    assert {call.member for call in twin.ledger.arrivals(None)} == {email("ana")}
    assert [(call.member, call.class_id) for call in twin.ledger.first_calls()] == [(email("ana"), WOD)]
