"""AimHarder's pages: the hosts that get a session, logins, and unexpected answers."""

from __future__ import annotations

import json
from datetime import date, time
from typing import Any

import httpx
import pytest

from prebooking.bookers.aimharder.booker import classify
from prebooking.bookers.aimharder.seal import SEALED_LIMIT, sealed_size
from prebooking.bookers.aimharder.site import CLASSES, AimHarderSite, Session, fingerprint, host_problem
from prebooking.bookers.call import Reply
from prebooking.errors import BadBookingData, LoginRefusal, VenueRefused
from prebooking.http import isolated_client
from prebooking.local.venue.verdicts import VERDICTS
from prebooking.model import Kind, Outcome
from tests.support.gym import BOX, BOX_ID, DAY, EVENING, OPEN_BOX, PASSWORD, WOD, email, gym
from tests.support.venues import on_virtual_time

pytestmark = pytest.mark.anyio

UNREADABLE = Outcome(Kind.UNSURE, detail="unreadable")
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


def json_answer(value: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(value).encode(), headers=headers)


def auth_answer(**auth: Any) -> httpx.Response:
    return json_answer({"data": {"auth": auth}})


async def classes_in(bookings: Any, session: Session | None = None) -> list[Any]:
    """Return the classes that are read from a day's list."""
    site = site_that_answers(json_answer({"bookings": bookings}))
    classes = await site.classes(session, date(2030, 1, 11), timeout=5)
    assert isinstance(classes, list)
    return classes


def box(client: httpx.AsyncClient) -> AimHarderSite:
    """Return the twin's box behind the real client, which stores no cookies."""
    return AimHarderSite(isolated_client(transport=client._transport), host=BOX, box_id=str(BOX_ID))


# the twin


def test_a_login_returns_a_valid_session_and_the_boxes() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        site = box(client)
        login = await site.login(email("ana"), PASSWORD, timeout=5)
        assert [(box.box_id, box.host) for box in login.boxes] == [(str(BOX_ID), BOX)]
        assert await site.whoami(login.session, timeout=5) is None
        fresh = await site.refresh(login.session, timeout=5)
        assert isinstance(fresh, Session)
        assert await site.whoami(fresh, timeout=5) is None
        assert await site.whoami(login.session, timeout=5) == Outcome(Kind.SESSION_EXPIRED)
        assert await site.refresh(login.session, timeout=5) == Outcome(Kind.SESSION_EXPIRED)

    on_virtual_time(gym(), scenario)


def test_the_classes_of_a_day_have_times_places_and_the_member_s_place() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
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
        assert [one.place for one in public] == [Kind.CANNOT_TELL] * 3

    on_virtual_time(gym(), scenario)


def test_a_wrong_password_and_a_lock_have_different_messages() -> None:
    async def scenario(client: httpx.AsyncClient) -> list[str]:
        site, messages = box(client), []
        for _ in range(6):
            with pytest.raises(VenueRefused) as refused:
                await site.login(email("ana"), "canary", timeout=5)
            messages.append(str(refused.value))
        return messages

    messages = on_virtual_time(gym(), scenario)
    assert "check the e-mail and the password" in messages[0]
    assert "wait a quarter of an hour" in messages[-1]
    assert not any("canary" in one or "ana@" in one for one in messages)


# unexpected answers


@pytest.mark.parametrize(
    ("reply", "sentence", "why"),
    [
        (httpx.Response(403), "blocks this address", LoginRefusal.BLOCKED),
        (httpx.Response(429), "blocks this address", LoginRefusal.BLOCKED),
        (httpx.Response(200, text="<html>log in</html>"), "cannot be read", LoginRefusal.UNREADABLE),
        (httpx.Response(302, headers={"location": "https://evil.example"}), "cannot be read", LoginRefusal.UNREADABLE),
        (httpx.Response(500), "cannot be read", LoginRefusal.UNREADABLE),
        (json_answer({"data": None}), "cannot be read", LoginRefusal.UNREADABLE),
        (auth_answer(authOK=False), "refused the login", LoginRefusal.WRONG_PASSWORD),
        (auth_answer(authOK=0, error="WRONG"), "refused the login", LoginRefusal.WRONG_PASSWORD),
        (auth_answer(authOK=False, error="TOO_MANY_ATTEMPTS"), "too many attempts", LoginRefusal.TOO_MANY_ATTEMPTS),
        (auth_answer(), "refused the login", LoginRefusal.UNREADABLE),
        (auth_answer(authOK=None), "refused the login", LoginRefusal.UNREADABLE),
        (auth_answer(authOK=True), "refused the login", LoginRefusal.UNREADABLE),
        (auth_answer(authOK="yes", refreshToken="t"), "refused the login", LoginRefusal.UNREADABLE),
        (auth_answer(authOK=True, refreshToken=7), "refused the login", LoginRefusal.UNREADABLE),
    ],
)
async def test_a_failed_login_has_one_message_and_one_cause(
    reply: httpx.Response, sentence: str, why: LoginRefusal
) -> None:
    with pytest.raises(VenueRefused, match=sentence) as refused:
        await site_that_answers(reply).login("ana@example.com", "password", timeout=5)
    assert refused.value.why is why


async def test_a_login_without_an_answer_has_its_own_cause() -> None:
    with pytest.raises(VenueRefused, match="does not answer") as refused:
        await site_that_answers().login("ana@example.com", "password", timeout=5)
    assert refused.value.why is LoginRefusal.NO_ANSWER


ANSWERED = {"data": {"auth": {"authOK": True, "refreshToken": "t"}, "userData": {"roles": [1, {}, {"boid": 7}]}}}
ANA = {"data": [{"id": 500_001, "name": "ana"}]}


def logged_in(*cookies: str) -> httpx.Response:
    """Return AimHarder's answer to a correct password, with these Set-Cookie lines."""
    return httpx.Response(200, content=json.dumps(ANSWERED).encode(), headers=[("set-cookie", one) for one in cookies])


async def test_a_login_is_two_requests_and_keeps_only_session_cookies() -> None:
    asked: list[httpx.Request] = []
    reply = logged_in("amhrdrauth=abc; Domain=.aimharder.com; Secure", "evil=1", "PHPSESSID=a b", "AWSALB=\x01")
    login = await site_that_answers(reply, json_answer(ANA), asked=asked).login(
        "Ana@example.com", "password", timeout=5
    )
    assert (dict(login.session.cookies), login.boxes) == ({"amhrdrauth": "abc", "PHPSESSID": "a b"}, [])
    assert [str(request.url) for request in asked] == [
        "https://login.aimharder.com/api/login",
        "https://aimharder.com/api/whoami",
    ]
    assert json.loads(asked[0].content)["fingerprint"] == fingerprint("ana@EXAMPLE.com ")
    assert asked[1].headers["cookie"] == "amhrdrauth=abc; PHPSESSID=a b"


@pytest.mark.parametrize("attributes", ["; Path=/; Secure; SameSite=None; Partitioned", "; Priority=High", ";a=b;;=;"])
async def test_a_session_cookie_is_kept_with_any_attributes(attributes: str) -> None:
    site = site_that_answers(logged_in(f"amhrdrauth=abc{attributes}"), json_answer(ANA))
    login = await site.login("ana@example.com", "password", timeout=5)
    assert login.session.cookies == {"amhrdrauth": "abc"}


@pytest.mark.parametrize(
    "cookies",
    [[], ["PHPSESSID=x"], ["amhrdrauth="], ["amhrdrauth=x; Max-Age=0"], ["amhrdrauth=" + "x" * 5000]],
    ids=["none", "another", "empty", "deleted", "too long"],
)
async def test_a_login_without_the_session_s_cookie_is_refused(cookies: list[str]) -> None:
    with pytest.raises(VenueRefused, match="amhrdrauth"):
        await site_that_answers(logged_in(*cookies)).login("ana@example.com", "password", timeout=5)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (json_answer({"data": []}), "names nobody"),
        (json_answer({"data": [{}]}), "names nobody"),
        (json_answer({"data": [{"id": 0, "name": ""}]}), "names nobody"),
        (json_answer({"data": {"0": None}}), "names nobody"),
        (json_answer({"data": {"logged": False}}), "names nobody"),
        (json_answer({"logout": 1}), "names nobody"),
        (httpx.Response(403), "blocks this address"),
        (httpx.Response(503), "no clear answer"),
        (httpx.Response(200, text="<html>"), "no clear answer"),
    ],
)
async def test_a_login_without_a_member_is_refused(answer: httpx.Response, sentence: str) -> None:
    with pytest.raises(VenueRefused, match=sentence) as refused:
        await site_that_answers(logged_in("amhrdrauth=abc"), answer).login("ana@example.com", "password", timeout=5)
    causes = {"names": LoginRefusal.UNREADABLE, "blocks": LoginRefusal.BLOCKED, "no": LoginRefusal.NO_ANSWER}
    assert refused.value.why is causes[sentence.split(maxsplit=1)[0]]


async def test_a_session_is_opened_with_one_request() -> None:
    asked: list[httpx.Request] = []
    login = await site_that_answers(logged_in("amhrdrauth=abc"), asked=asked).open_session("a@b", "pw", timeout=5)
    assert (login.session.token, len(asked)) == ("t", 1)


@pytest.mark.parametrize("data", [[{"id": 7}], {"id": 7}, {"0": {"name": "ana"}}, {"1": {"id": "7"}}], ids=str)
async def test_a_member_is_read_from_every_shape_of_the_answer(data: object) -> None:
    assert await site_that_answers(json_answer({"data": data})).whoami(SESSION, timeout=5) is None


async def test_a_session_with_long_parts_fits_into_the_database() -> None:
    """A refresh uses the old token up, so the new one must be stored."""
    token, cookie = "\\" * 2048, "x" * 4096
    reply = httpx.Response(
        200,
        content=json.dumps({"newToken": token}).encode(),
        headers=[("set-cookie", f"{name}={cookie}") for name in ("AWSALBCORS", "AWSALB", "PHPSESSID", "amhrdrauth")],
    )
    fresh = await site_that_answers(reply).refresh(SESSION, timeout=5)
    assert isinstance(fresh, Session)
    assert (fresh.token, fresh.cookies["amhrdrauth"]) == (token, cookie)
    assert sealed_size(fresh.as_json()) <= SEALED_LIMIT
    assert Session.from_json(fresh.as_json()) == fresh


async def test_a_session_of_twelve_thousand_characters_is_kept_whole() -> None:
    cookies = {"amhrdrauth": "a" * 3874, "PHPSESSID": "p" * 3874}
    session = Session.that_fits("t" * 4096, cookies, "f" * 50)
    assert session.cookies == cookies


@pytest.mark.parametrize("sent", ["amhrdrauth=; Max-Age=0", "PHPSESSID=new"])
async def test_a_refresh_without_a_session_cookie_keeps_the_old_one(sent: str) -> None:
    reply = httpx.Response(200, content=b'{"newToken": "t"}', headers=[("set-cookie", sent)])
    fresh = await site_that_answers(reply).refresh(SESSION, timeout=5)
    assert isinstance(fresh, Session)
    assert fresh.cookies["amhrdrauth"] == "cookie-canary"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_answer({"logout": 1}), Kind.SESSION_EXPIRED),
        (httpx.Response(403), Kind.BLOCKED),
        (httpx.Response(429), Kind.BLOCKED),
        (httpx.Response(500), Kind.CANNOT_TELL),
        (httpx.Response(302, headers={"location": "https://evil.example"}), Kind.CANNOT_TELL),
        (httpx.Response(200, text="<html>"), Kind.CANNOT_TELL),
        (json_answer([]), Kind.CANNOT_TELL),
        (json_answer({}), Kind.CANNOT_TELL),
        (json_answer({"newToken": None, "bookings": {}, "data": 0}, status=201), Kind.CANNOT_TELL),
    ],
)
async def test_an_answer_without_the_expected_content_has_a_kind(reply: httpx.Response, kind: Kind) -> None:
    site = site_that_answers(*[reply] * 3)
    refreshed = await site.refresh(SESSION, timeout=5)
    classes = await site.classes(SESSION, date(2030, 1, 11), timeout=5)
    member = await site.whoami(SESSION, timeout=5)
    assert [one.kind for one in (refreshed, classes, member) if isinstance(one, Outcome)] == [kind] * 3


@pytest.mark.parametrize("answer", [[], None, {}, 0, "", {"boxes": [7]}, {"id": 7}])
async def test_a_whoami_without_a_member_is_an_expired_session(answer: object) -> None:
    site = site_that_answers(json_answer({"data": answer, "logout": int(answer == {"id": 7})}))
    assert await site.whoami(SESSION, timeout=5) == Outcome(Kind.SESSION_EXPIRED)


async def test_an_incomplete_class_is_read_as_far_as_possible() -> None:
    odd = [1, None, {}, {"id": 7, "time": "25:99", "limit": "many", "ocupation": -1, "idres": [], "bookState": ""}]
    classes = await classes_in(odd)
    assert [(one.class_id, one.starts, one.taken, one.places, one.place) for one in classes] == [
        ("", None, None, None, Kind.CANNOT_TELL),
        ("7", None, None, None, Kind.NOT_BOOKED),
    ]


@pytest.mark.parametrize(
    "shape", [[{"id": 7}], {"0": {"id": 7}}, {"3": {"id": 7}, "9": None}, [None, {"id": 7}]], ids=str
)
async def test_a_list_of_classes_is_read_in_every_shape_of_php(shape: object) -> None:
    classes = await classes_in(shape)
    assert [one.class_id for one in classes] == ["7"]


@pytest.mark.parametrize("shape", [None, {}, []], ids=str)
async def test_a_day_without_classes_is_an_empty_list(shape: object) -> None:
    assert await classes_in(shape) == []


@pytest.mark.parametrize(
    ("line", "closed", "cancelled", "place"),
    [
        ({"enabled": 1, "cancelledId": None, "bookState": None}, False, False, Kind.NOT_BOOKED),
        ({"enabled": 0, "bookState": None}, True, False, Kind.NOT_BOOKED),
        ({"enabled": "0", "bookState": 1}, True, False, Kind.BOOKED),
        ({"cancelledId": 77, "bookState": None}, False, True, Kind.NOT_BOOKED),
        ({"cancelledId": "77", "bookState": 1, "idres": 5}, False, True, Kind.NOT_BOOKED),
        ({"cancelledId": 77, "bookState": 0}, False, True, Kind.NOT_BOOKED),
        ({"cancelledId": 0, "bookState": 0}, False, False, Kind.WAITLISTED),
        ({"enabled": 0, "cancelledId": 77}, True, True, Kind.CANNOT_TELL),
    ],
    ids=str,
)
async def test_a_class_is_closed_or_cancelled(
    line: dict[str, Any], *, closed: bool, cancelled: bool, place: Kind
) -> None:
    classes = await classes_in([{"id": 7, **line}], SESSION)
    assert [(one.closed, one.cancelled, one.place) for one in classes] == [(closed, cancelled, place)]


async def test_a_class_keeps_its_hours_as_written() -> None:
    lines = [{"id": "7 ", "className": "WOD &amp; more ", "time": "6:00 pm - 7:00 pm"}, {"id": 8, "time": "soon"}]
    classes = await classes_in(lines)
    assert [(one.class_id, one.name, one.starts, one.hours) for one in classes] == [
        ("7", "WOD & more", time(18), "6:00 pm - 7:00 pm"),
        ("8", "", None, "soon"),
    ]


@pytest.mark.parametrize(
    ("marked", "place"),
    [
        ({"bookState": "1"}, Kind.BOOKED),
        ({"bookState": 0}, Kind.WAITLISTED),
        ({"bookState": ""}, Kind.NOT_BOOKED),
        ({"bookState": None}, Kind.NOT_BOOKED),
        ({"bookState": "None"}, Kind.CANNOT_TELL),
        ({"bookState": 7}, Kind.CANNOT_TELL),
        ({"bookState": [1]}, Kind.CANNOT_TELL),
        ({"bookState": False}, Kind.CANNOT_TELL),
        ({}, Kind.CANNOT_TELL),
    ],
)
async def test_only_an_empty_mark_means_no_place(marked: dict[str, Any], place: Kind) -> None:
    classes = await classes_in([{"id": 7, **marked}], SESSION)
    assert [one.place for one in classes] == [place]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"bookState": 1, "id": 7}, Outcome(Kind.BOOKED, "7")),
        ({"bookState": "1", "id": "b 7"}, Outcome(Kind.BOOKED)),
        ({"bookState": 1, "errorMssgLang": "ERROR_ANTELACION_CLIENTE"}, Outcome(Kind.TOO_EARLY)),
        ({"bookState": -2, "errorMssgLang": "ERROR_ANTELACION_CLIENTE"}, Outcome(Kind.TOO_EARLY)),
        ({"bookState": -1}, Outcome(Kind.FULL)),
        ({"bookState": -2}, Outcome(Kind.NO_CREDIT)),
        ({"bookState": -4}, Outcome(Kind.TOO_EARLY)),
        ({"bookState": -5}, Outcome(Kind.PAYMENT_DUE)),
        ({"bookState": -7}, Outcome(Kind.TOO_LATE)),
        ({"bookState": -8}, Outcome(Kind.LIMIT_REACHED)),
        ({"bookState": 1, "errorMssgLang": "OTRA"}, Outcome(Kind.BOOKED)),
        ({"bookState": 1, "errorMssgLang": ["x"]}, Outcome(Kind.BOOKED)),
        ({"bookState": -12, "errorMssgLang": "HASSUPERADOLIMITCONTR"}, Outcome(Kind.LIMIT_REACHED)),
        ({"bookState": -12}, None),
        ({"logout": 1, "bookState": 1}, Outcome(Kind.SESSION_EXPIRED)),
        ({"logout": "0", "bookState": 1}, Outcome(Kind.BOOKED)),
        ({"bookState": -12, "errorMssgLang": " HASSUPERADOLIMITCONTR\n"}, Outcome(Kind.LIMIT_REACHED)),
        ({"errorMssg": "Error"}, None),
        ({"bookState": 10**30}, None),
        ({"bookState": 1.0}, None),
        ({"bookState": [1]}, None),
    ],
)
def test_a_key_counts_before_a_number_or_the_answer_is_unsure(body: dict[str, Any], outcome: Outcome | None) -> None:
    assert classify(Reply(200, json.dumps(body).encode())) == (outcome or UNREADABLE)


@pytest.mark.parametrize("status", [200, 202, 302, 400, 404])
@pytest.mark.parametrize("body", [b"<html>", b"{}", b"null", b"[]", b"", b'{"bookState": 1, "id'])
def test_an_unreadable_answer_is_unsure(status: int, body: bytes) -> None:
    """The box may act on the call later, so not even a question at once makes a refusal of it (I4)."""
    assert classify(Reply(status, body)) == UNREADABLE


def test_a_disputed_answer_is_a_refusal_only_after_a_confirmation() -> None:
    waiting, same_hour = (Reply(200, VERDICTS[name].body) for name in ("waiting_list_offered", "same_hour"))
    assert classify(waiting) == Outcome(Kind.UNSURE, if_booked=Kind.BOOKED, if_not_booked=Kind.FULL)
    assert classify(same_hour).if_not_booked is Kind.CONFLICT_SAME_HOUR


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, Outcome(Kind.SESSION_EXPIRED)),
        (403, Outcome(Kind.BLOCKED, detail="HTTP 403")),
        (429, Outcome(Kind.BLOCKED, detail="HTTP 429")),
        (408, Outcome(Kind.UNSURE, detail="HTTP 408")),
        (500, Outcome(Kind.UNSURE, detail="HTTP 500")),
        (404, UNREADABLE),
    ],
)
def test_a_status_counts_before_the_body(status: int, outcome: Outcome) -> None:
    assert classify(Reply(status, b'{"bookState": 1}')) == outcome


# hosts that get a session


@pytest.mark.parametrize(
    "host", ["mybox.aimharder.com", "mybox.aimharder.es", "a.aimharder.com", "my-box2.aimharder.es"]
)
def test_a_host_of_aimharder_is_accepted(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "aimharder.com", "a.b.aimharder.com", "a.aimharder.com:1", "a@b.aimharder.com", "A.aimharder.com"),
        *("xn--x.aimharder.com", "xn--80ak6aa92e.aimharder.com", "-a.aimharder.com"),
    ],
)
async def test_no_request_is_sent_to_another_host(host: str | None) -> None:
    asked: list[httpx.Request] = []
    site = AimHarderSite(site_that_answers(asked=asked)._client, host=host, box_id=None)
    for request in (site.refresh(SESSION, timeout=1), site.whoami(SESSION, timeout=1)):
        with pytest.raises(BadBookingData, match="host"):
            await request
    assert asked == []


def test_a_session_is_not_in_its_repr() -> None:
    assert "canary" not in f"{SESSION} {SESSION!r}"


async def test_the_number_of_classes_of_a_day_is_limited() -> None:
    classes = await classes_in([{"id": 1}] * (CLASSES + 1))
    assert len(classes) == CLASSES
