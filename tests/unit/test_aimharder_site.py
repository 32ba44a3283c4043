"""AimHarder's pages: whom a session may go to, what a login brings, and what is made of answers nobody foresaw."""

from __future__ import annotations

import json
from datetime import date, time
from typing import Any

import httpx
import pytest

from prebooking.bookers.aimharder import classify
from prebooking.bookers.aimharder_site import CLASSES, AimHarderSite, Session, fingerprint, host_problem
from prebooking.bookers.call import Reply
from prebooking.errors import BadBookingData, VenueRefused
from prebooking.http import isolated_client
from prebooking.model import Kind, Outcome
from tests.gym import BOX, BOX_ID, DAY, EVENING, OPEN_BOX, PASSWORD, WOD, email, gym
from tests.venues import on_virtual_time

pytestmark = pytest.mark.anyio

SESSION = Session("token-canary", {"amhrdrauth": "cookie-canary"}, "f" * 50)


def site_that_answers(*replies: httpx.Response, asked: list[httpx.Request] | None = None) -> AimHarderSite:
    left = list(replies)

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        reply = left.pop(0)
        return httpx.Response(reply.status_code, headers=reply.headers, stream=httpx.ByteStream(reply.content))

    client = isolated_client(transport=httpx.MockTransport(answer))
    return AimHarderSite(client, host=BOX, box_id=str(BOX_ID))


def said(value: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(value).encode(), headers=headers)


def box(client: httpx.AsyncClient) -> AimHarderSite:
    """Return the twin's box as it is spoken to in earnest: with a client that keeps no cookie."""
    return AimHarderSite(isolated_client(transport=client._transport), host=BOX, box_id=str(BOX_ID))


# the twin


def test_a_login_brings_a_session_and_the_boxes_and_the_session_is_known() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        site = box(client)
        login = await site.login(email("ana"), PASSWORD, timeout=5)
        assert [(box.box_id, box.host) for box in login.boxes] == [(str(BOX_ID), BOX)]
        assert await site.whoami(login.session, timeout=5) is None
        fresh = await site.refresh(login.session, timeout=5)
        assert isinstance(fresh, Session)
        assert await site.whoami(fresh, timeout=5) is None
        assert await site.whoami(login.session, timeout=5) == Outcome(Kind.SESSION_EXPIRED)
        assert await site.refresh(login.session, timeout=5) == Outcome(Kind.SESSION_EXPIRED)

    on_virtual_time(gym(), story)


def test_a_day_s_classes_have_times_places_and_the_member_s_own_place() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        site = box(client)
        session = (await site.login(email("ana"), PASSWORD, timeout=5)).session
        await site._client.send(site.booking(session, {"id": WOD, "day": DAY, "insist": "0", "familyId": ""}))
        day = date.fromisoformat(DAY)
        classes = await site.classes(session, day, timeout=5)
        assert isinstance(classes, list)
        assert [(one.class_id, one.starts, one.taken, one.places, one.place) for one in classes] == [
            (WOD, time(7), 1, 2, Kind.BOOKED),
            (OPEN_BOX, time(7), 0, 9, Kind.NOT_BOOKED),
            (EVENING, time(19, 30), 0, 9, Kind.NOT_BOOKED),
        ]
        public = await site.classes(None, day, timeout=5)
        assert isinstance(public, list)
        assert [one.place for one in public] == [Kind.UNKNOWN] * 3

    on_virtual_time(gym(), story)


def test_a_wrong_password_and_too_many_of_them_are_two_sentences() -> None:
    async def story(client: httpx.AsyncClient) -> list[str]:
        site, told = box(client), []
        for _ in range(6):
            with pytest.raises(VenueRefused) as refused:
                await site.login(email("ana"), "canary", timeout=5)
            told.append(str(refused.value))
        return told

    told = on_virtual_time(gym(), story)
    assert "check the e-mail and the password" in told[0]
    assert "wait a quarter of an hour" in told[-1]
    assert not any("canary" in one or "ana@" in one for one in told)


# answers nobody foresaw


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (httpx.Response(403), "blocks this address"),
        (httpx.Response(429), "blocks this address"),
        (httpx.Response(200, text="<html>log in</html>"), "cannot be read"),
        (httpx.Response(302, headers={"location": "https://evil.example"}), "cannot be read"),
        (httpx.Response(500), "cannot be read"),
        (said({"data": None}), "cannot be read"),
        (said({"data": {"auth": {"authOK": False}}}), "refused the login"),
        (said({"data": {"auth": {"authOK": True}}}), "refused the login"),
        (said({"data": {"auth": {"authOK": "yes", "refreshToken": "t"}}}), "refused the login"),
        (said({"data": {"auth": {"authOK": True, "refreshToken": 7}}}), "refused the login"),
    ],
)
async def test_a_login_that_brings_nothing_is_one_sentence(reply: httpx.Response, sentence: str) -> None:
    with pytest.raises(VenueRefused, match=sentence):
        await site_that_answers(reply).login("ana@example.com", "password", timeout=5)


async def test_a_login_is_one_call_to_its_family_and_keeps_only_the_cookies_that_are_it() -> None:
    asked: list[httpx.Request] = []
    cookies = [
        ("set-cookie", "amhrdrauth=abc; Domain=.aimharder.com; Secure"),
        ("set-cookie", "evil=1"),
        ("set-cookie", "PHPSESSID=a b"),
        ("set-cookie", 'AWSALB="x;y"'),
    ]
    body = {"data": {"auth": {"authOK": True, "refreshToken": "t"}, "userData": {"roles": [1, {}, {"boid": 7}]}}}
    reply = httpx.Response(200, content=json.dumps(body).encode(), headers=cookies)
    login = await site_that_answers(reply, asked=asked).login("Ana@example.com", "password", timeout=5)
    assert (dict(login.session.cookies), login.boxes) == ({"amhrdrauth": "abc"}, [])
    assert [str(request.url) for request in asked] == ["https://login.aimharder.com/api/login"]
    assert json.loads(asked[0].content)["fingerprint"] == fingerprint("ana@EXAMPLE.com ")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (said({"logout": 1}), Kind.SESSION_EXPIRED),
        (httpx.Response(403), Kind.BLOCKED),
        (httpx.Response(429), Kind.BLOCKED),
        (httpx.Response(500), Kind.UNKNOWN),
        (httpx.Response(302, headers={"location": "https://evil.example"}), Kind.UNKNOWN),
        (httpx.Response(200, text="<html>"), Kind.UNKNOWN),
        (said([]), Kind.UNKNOWN),
        (said({}), Kind.UNKNOWN),
        (said({"newToken": None, "bookings": {}, "data": 0}, status=201), Kind.UNKNOWN),
    ],
)
async def test_an_answer_that_does_not_bring_it_says_why_not(reply: httpx.Response, kind: Kind) -> None:
    site = site_that_answers(*[reply] * 3)
    refreshed = await site.refresh(SESSION, timeout=5)
    classes = await site.classes(SESSION, date(2030, 1, 11), timeout=5)
    nobody = await site.whoami(SESSION, timeout=5)
    assert [one.kind for one in (refreshed, classes, nobody) if isinstance(one, Outcome)] == [kind] * 3


@pytest.mark.parametrize("data", [[], None, {}, 0, ""])
async def test_nobody_in_who_am_i_is_a_dead_session(data: object) -> None:
    assert await site_that_answers(said({"data": data})).whoami(SESSION, timeout=5) == Outcome(Kind.SESSION_EXPIRED)


async def test_a_class_that_is_half_there_is_read_as_far_as_it_goes() -> None:
    odd = [1, None, {}, {"id": 7, "time": "25:99", "limit": "many", "ocupation": -1, "idres": [], "bookState": ""}]
    classes = await site_that_answers(said({"bookings": odd})).classes(None, date(2030, 1, 11), timeout=5)
    assert isinstance(classes, list)
    assert [(one.class_id, one.starts, one.taken, one.places, one.place) for one in classes] == [
        ("", None, None, None, Kind.UNKNOWN),
        ("7", None, None, None, Kind.NOT_BOOKED),
    ]


@pytest.mark.parametrize(
    ("marked", "place"),
    [
        ({"bookState": "1"}, Kind.BOOKED),
        ({"bookState": 0}, Kind.WAITLISTED),
        ({"bookState": ""}, Kind.NOT_BOOKED),
        ({"bookState": None}, Kind.NOT_BOOKED),
        ({"bookState": "None"}, Kind.UNKNOWN),
        ({"bookState": 7}, Kind.UNKNOWN),
        ({"bookState": [1]}, Kind.UNKNOWN),
        ({"bookState": False}, Kind.UNKNOWN),
        ({}, Kind.UNKNOWN),
    ],
)
async def test_only_an_empty_mark_says_that_the_member_has_no_place(marked: dict[str, Any], place: Kind) -> None:
    listed = said({"bookings": [{"id": 7, **marked}]})
    classes = await site_that_answers(listed).classes(SESSION, date(2030, 1, 11), timeout=5)
    assert isinstance(classes, list)
    assert [one.place for one in classes] == [place]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"bookState": 1, "id": 7}, Outcome(Kind.BOOKED, "7")),
        ({"bookState": "1", "id": "b 7"}, Outcome(Kind.BOOKED)),
        ({"bookState": 1, "errorMssgLang": "ERROR_ANTELACION_CLIENTE"}, Outcome(Kind.TOO_EARLY)),
        ({"bookState": 1, "errorMssgLang": "OTRA"}, Outcome(Kind.BOOKED)),
        ({"bookState": 1, "errorMssgLang": ["x"]}, Outcome(Kind.BOOKED)),
        ({"bookState": -12, "errorMssgLang": "HASSUPERADOLIMITCONTR"}, Outcome(Kind.LIMIT_REACHED)),
        ({"bookState": -12}, None),
        ({"logout": 1, "bookState": 1}, Outcome(Kind.SESSION_EXPIRED)),
        ({"errorMssg": "Error"}, None),
        ({"bookState": 10**30}, None),
        ({"bookState": 1.0}, None),
        ({"bookState": [1]}, None),
    ],
)
def test_a_key_counts_before_a_number_and_what_nobody_knows_is_made_sure_of(
    said: dict[str, Any], outcome: Outcome | None
) -> None:
    unreadable = Outcome(Kind.UNSURE, detail="unreadable", if_not_booked=Kind.REJECTED)
    assert classify(Reply(200, json.dumps(said).encode())) == (outcome or unreadable)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Kind.SESSION_EXPIRED), (408, Kind.UNSURE), (500, Kind.UNSURE), (404, Kind.UNSURE)]
)
def test_a_status_says_what_no_body_can(status: int, kind: Kind) -> None:
    assert classify(Reply(status, b'{"bookState": 1}')).kind is kind


# whom a session may go to


@pytest.mark.parametrize(
    "host", ["mybox.aimharder.com", "mybox.aimharder.es", "a.aimharder.com", "my-box2.aimharder.es"]
)
def test_a_box_of_aimharder_s_is_one(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(
    "host",
    [None, "", "aimharder.com", "a.b.aimharder.com", "a.aimharder.com:1", "a@b.aimharder.com", "A.aimharder.com"],
)
async def test_nothing_can_be_asked_of_any_other_host(host: str | None) -> None:
    asked: list[httpx.Request] = []
    site = AimHarderSite(site_that_answers(asked=asked)._client, host=host, box_id=None)
    for request in (site.refresh(SESSION, timeout=1), site.whoami(SESSION, timeout=1)):
        with pytest.raises(BadBookingData, match="host"):
            await request
    assert asked == []


def test_a_session_is_not_shown_by_accident() -> None:
    assert "canary" not in f"{SESSION} {SESSION!r}"


async def test_of_a_day_with_more_classes_than_there_can_be_only_so_many_are_looked_at() -> None:
    classes = await site_that_answers(said({"bookings": [{"id": 1}] * (CLASSES + 1)})).classes(
        None, date(2030, 1, 11), timeout=5
    )
    assert isinstance(classes, list)
    assert len(classes) == CLASSES
