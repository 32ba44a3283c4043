"""What an AimHarder call says to the venue twin, and what it is told. Pure: calls and replies, whatever carries them.

The service is closed; this is what its public clients have seen of it. Two families of hosts (``.com`` and ``.es``)
have cookies of their own: a login in one is nothing in the other.

- ``login.aimharder.com``: ``POST /api/login``, JSON. 200 whatever comes of it: look at ``data.auth.authOK``
- ``aimharder.com``: ``POST /api/tokenUpdate``, a form: ``newToken`` and new cookies, or ``logout``;
  ``GET /api/whoami``: ``data`` is a list with the member in it, or an empty one
- ``<box>.aimharder.com``: ``GET /`` a page; ``GET /api/bookings`` a day's classes, with ``bookState`` only for a
  session that is alive; ``POST /api/book`` and ``POST /api/cancelBook``, forms

Not known, and decided the less forgiving way: a form without ``X-Requested-With``, ``Origin`` and ``Referer`` of the
box is a 403 page; a body of the wrong type gets the home page, with 200; a box that does not exist redirects to the
home page; a full class whose waiting list has room says bookState 0 to those who do not insist, and puts nobody on it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from prebooking.local.venue.members import LoginRefused, TwinSession
from prebooking.local.venue.page import COOKIES, LISTS, NAMES, NUMBERS
from prebooking.local.venue.twin import Arrival, State, TwinBox, TwinCall, TwinClass, TwinReply, VenueTwin
from prebooking.local.venue.verdicts import HOME, NOT_FOUND, STRANGER, VERDICTS, json_reply

LOGIN, TOKEN_UPDATE, WHOAMI = "/api/login", "/api/tokenUpdate", "/api/whoami"
BOOKINGS, BOOK, CANCEL_BOOK = "/api/bookings", "/api/book", "/api/cancelBook"
SESSION_COOKIE, OTHER_COOKIES = "amhrdrauth", ("PHPSESSID", "AWSALB", "AWSALBCORS")

_HOST = re.compile(r"(?:(?P<box>[a-z0-9-]+)\.)?aimharder\.(?P<family>com|es)")
_FINGERPRINT = re.compile(r"[0-9a-f]{50}")
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_REFUSALS = {
    State.CLASS_GONE: "no_such_class",
    State.TOO_EARLY: "too_early",
    State.ALREADY_BOOKED: "same_hour",
    State.SAME_HOUR: "same_hour",
    State.NOT_BOOKED: "waiting_list_offered",
    State.FULL: "full",
}


def is_meant(call: TwinCall) -> bool:
    """Return whether a call is for one of AimHarder's hosts."""
    return _HOST.fullmatch(_host(call)) is not None


def hear(twin: VenueTwin, call: TwinCall) -> Arrival:
    """Read who wants what, as far as the call says it: the member is known by the session, be it dead, or the login."""
    said = _json(call) if call.path == LOGIN else _form(call)
    member = _text(said, "username").lower() if call.path == LOGIN else ""
    member = member or twin.members.owner(cookie=_cookie(call), token=_text(said, "token"))
    books = call.method == "POST" and call.path == BOOK
    class_id = _text(said, "id") if books else ""
    return Arrival(call.at, call.method, "", member, class_id, _host(call), path=call.path, books=books)


def answer(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    """Act on a call and say what came of it."""
    door = _subdomain(call)
    if door not in {"", "login"}:
        if _host(call) not in twin.boxes:
            return TwinReply(302, {"location": f"https://aimharder.{_family(call)}/"})
        door = "box"
    act = _ACTS.get((door, call.method, call.path))
    return act(twin, call, arrival) if act else NOT_FOUND


def _show_page(_twin: VenueTwin, _call: TwinCall, _arrival: Arrival) -> TwinReply:
    return HOME


def _log_in(twin: VenueTwin, call: TwinCall, _arrival: Arrival) -> TwinReply:
    said = _json(call)
    if not _is(call, _JSON) or said.get("iniframe") != 0:
        return HOME
    fingerprint = _text(said, "fingerprint")
    if not _FINGERPRINT.fullmatch(fingerprint):
        return VERDICTS["login_refused"]
    who = (_text(said, "username"), _text(said, "password"))
    session = twin.members.log_in(*who, family=_family(call), fingerprint=fingerprint)
    if isinstance(session, LoginRefused):
        return VERDICTS["login_locked" if session is LoginRefused.LOCKED else "login_refused"]
    auth = {"authOK": True, "refreshToken": session.token}
    return json_reply({"data": {"auth": auth, "userData": _person(twin, session)}}, cookies=_cookies(twin, session))


def _refresh(twin: VenueTwin, call: TwinCall, _arrival: Arrival) -> TwinReply:
    said = _form(call)
    if not _is(call, _FORM) or said.get("ciclo") != "1":
        return HOME
    token, fingerprint = _text(said, "token"), _text(said, "fingerprint")
    session = twin.members.refresh(token, family=_family(call), fingerprint=fingerprint)
    return json_reply({"newToken": session.token}, cookies=_cookies(twin, session)) if session else VERDICTS["logout"]


def _whoami(twin: VenueTwin, call: TwinCall, _arrival: Arrival) -> TwinReply:
    session = _session(twin, call)
    return json_reply({"data": LISTS[twin.page.lists]([_person(twin, session)] if session else [])})


def _person(twin: VenueTwin, session: TwinSession) -> dict[str, Any]:
    boxes = [box for box in twin.boxes.values() if box.host.endswith(f".{session.family}")]
    roles = [{"role": "client", "boid": box.box_id, "centre_url": box.host, "gym": box.name} for box in boxes]
    about = {"id": twin.members.number_of(session.email), "name": session.email.partition("@")[0]}
    return about | {"roles": LISTS[twin.page.lists](roles)}


def _schedule(twin: VenueTwin, call: TwinCall, _arrival: Arrival) -> TwinReply:
    day, box = call.query.get("day", ""), twin.boxes[_host(call)]
    session = _session(twin, call)
    classes = {
        class_id: gym_class
        for class_id, gym_class in twin.classes.items()
        if gym_class.day == day and gym_class.box in {"", box.host} and class_id.isdecimal()
    }
    if not day or call.query.get("box") != str(box.box_id):
        classes = {}
    in_order = sorted(classes.items(), key=lambda item: (item[1].time, item[0]))
    lines = [_line(twin, class_id, gym_class, box, session) for class_id, gym_class in in_order]
    return json_reply({"day": day, "clasesDisp": "", "timetable": [], "bookings": LISTS[twin.page.lists](lines)})


def _line(
    twin: VenueTwin, class_id: str, gym_class: TwinClass, box: TwinBox, session: TwinSession | None
) -> dict[str, Any]:
    page, acts = twin.page, [act for act in twin.shown() if act.class_id == class_id]
    own = next((act for act in acts if session and (act.member, act.venue) == (session.email, box.host)), None)
    given_back = twin.ledger.given_back(session.email, class_id) if session and own is None else []
    line = {
        "id": NUMBERS[page.numbers](int(class_id)),
        "classId": zlib.crc32(gym_class.name.encode()),
        "className": NAMES[page.names](gym_class.name),
        "time": page.label(gym_class.time),
        "timeid": gym_class.time.replace(":", "") + "_60",
        "ocupation": NUMBERS[page.numbers](sum(act.state is State.BOOKED for act in acts)),
        "limit": NUMBERS[page.numbers](gym_class.capacity),
        **page.flags(class_id, given_back=bool(given_back)),
    }
    if session is None:
        return line
    marked = own or (given_back[0] if given_back and page.keeps_marks else None)
    state = None if marked is None else int(marked.state is not State.WAITLISTED)
    return line | {"bookState": state, "idres": int(marked.booking_id) if marked else None}


def _write(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    if not _comes_from_the_page(call):
        return STRANGER
    if not _is(call, _FORM):
        return HOME
    if _session(twin, call) is None:
        return VERDICTS["logout"]
    return _book(twin, call, arrival) if arrival.books else _cancel(twin, call, arrival)


def _book(twin: VenueTwin, call: TwinCall, wish: Arrival) -> TwinReply:
    said = _form(call)
    gym_class = twin.classes.get(wish.class_id)
    is_whole = said.get("insist") in {"0", "1"} and "familyId" in said and wish.class_id.isdecimal()
    if not (is_whole and gym_class and gym_class.day == said.get("day") and gym_class.box in {"", wish.venue}):
        return VERDICTS["no_such_class"]
    verdict = twin.book(wish, insists=said["insist"] == "1")
    if verdict.booking_id is None:
        return VERDICTS[_REFUSALS[verdict.state]]
    return json_reply({"bookState": int(verdict.state is State.BOOKED), "id": verdict.booking_id})


def _cancel(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    said = _form(call)
    is_whole = said.get("late") in {"0", "1"} and "familyId" in said
    is_done = is_whole and twin.cancel(said.get("id", ""), arrival.member)
    return VERDICTS["cancelled" if is_done else "cancel_refused"]


def _comes_from_the_page(call: TwinCall) -> bool:
    page = f"https://{_host(call)}"
    is_here = call.headers.get("origin") == page and call.headers.get("referer", "").startswith(f"{page}/")
    return is_here and call.headers.get("x-requested-with") == "XMLHttpRequest"


def _session(twin: VenueTwin, call: TwinCall) -> TwinSession | None:
    return twin.members.alive(_cookie(call), family=_family(call))


def _cookies(twin: VenueTwin, session: TwinSession) -> list[str]:
    about = f"Domain=.aimharder.{session.family}; {COOKIES[twin.page.cookies]}"
    values = {name: f"{name.lower()}-{session.cookie[:8]}" for name in OTHER_COOKIES}
    return [f"{name}={value}; {about}" for name, value in {SESSION_COOKIE: session.cookie, **values}.items()]


def _cookie(call: TwinCall) -> str:
    pairs = (pair.strip().partition("=") for pair in call.headers.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == SESSION_COOKIE), "")


def _host(call: TwinCall) -> str:
    return call.headers.get("host", "").lower()


def _subdomain(call: TwinCall) -> str:
    found = _HOST.fullmatch(_host(call))
    return (found and found["box"]) or ""


def _family(call: TwinCall) -> str:
    return _host(call).rpartition(".")[2]


def _is(call: TwinCall, content_type: str) -> bool:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower() == content_type


def _json(call: TwinCall) -> dict[str, Any]:
    try:
        value = json.loads(call.body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _form(call: TwinCall) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


_ACTS: dict[tuple[str, str, str], Callable[[VenueTwin, TwinCall, Arrival], TwinReply]] = {
    ("login", "GET", "/"): _show_page,
    ("login", "POST", LOGIN): _log_in,
    ("", "GET", "/"): _show_page,
    ("", "POST", TOKEN_UPDATE): _refresh,
    ("", "GET", WHOAMI): _whoami,
    ("box", "GET", "/"): _show_page,
    ("box", "GET", BOOKINGS): _schedule,
    ("box", "POST", BOOK): _write,
    ("box", "POST", CANCEL_BOOK): _write,
}
