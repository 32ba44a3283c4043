"""The AimHarder protocol of the venue twin, independent of the transport.

The service has no documentation; this is the behaviour that its public clients rely on. The two families of hosts
(``.com`` and ``.es``) have separate cookies: a login at one is not valid at the other.

- ``login.aimharder.com``: ``POST /api/login``, JSON. The status is always 200; ``data.auth.authOK`` has the result
- ``aimharder.com``: ``POST /api/tokenUpdate``, a form: ``newToken`` and new cookies, or ``logout``;
  ``GET /api/whoami``: ``data`` is a list with the member, or an empty list
- ``<box>.aimharder.com``: ``GET /`` a page; ``GET /api/bookings`` a day's classes, with ``bookState`` only for a
  valid session; ``POST /api/book`` and ``POST /api/cancelBook``, forms

Where the real behaviour is unknown, the twin is strict: a form without ``X-Requested-With``, ``Origin`` and ``Referer``
of the box gets a 403 page; a body of the wrong type gets the home page with status 200; a box that does not exist
redirects to the home page. A full class with room on its waiting list answers bookState 0 to a call without ``insist``,
and adds no booking.
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
from prebooking.local.venue.verdicts import FORBIDDEN, HOME, NOT_FOUND, VERDICTS, json_reply

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
_CANCELLATIONS = {
    State.CANCELLED: "cancelled",
    State.TOO_LATE: "cancelled_late",
    State.NOT_BOOKED: "cancel_refused",
}


def is_meant(call: TwinCall) -> bool:
    """Return whether a call is for one of AimHarder's hosts."""
    return _HOST.fullmatch(_host(call)) is not None


def parse(twin: VenueTwin, call: TwinCall) -> Arrival:
    """Return the ledger entry for a call. The member is read from the login or the session, which may have ended."""
    content = _json(call) if call.path == LOGIN else _form(call)
    member = _text(content, "username").lower() if call.path == LOGIN else ""
    member = member or twin.members.owner(cookie=_cookie(call), token=_text(content, "token"))
    books = call.method == "POST" and call.path == BOOK
    class_id = _text(content, "id") if books else ""
    return Arrival(call.at, call.method, "", member, class_id, _host(call), path=call.path, books=books)


def answer(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    """Carry out a call, and return the reply."""
    site = _subdomain(call)
    if site not in {"", "login"}:
        if _host(call) not in twin.boxes:
            return TwinReply(302, {"location": f"https://aimharder.{_family(call)}/"})
        site = "box"
    route = _ROUTES.get((site, call.method, call.path))
    return route(twin, call, arrival) if route else NOT_FOUND


def _show_page(_twin: VenueTwin, _call: TwinCall, _arrival: Arrival) -> TwinReply:
    return HOME


def _log_in(twin: VenueTwin, call: TwinCall, _arrival: Arrival) -> TwinReply:
    content = _json(call)
    if not _is(call, _JSON) or content.get("iniframe") != 0:
        return HOME
    fingerprint = _text(content, "fingerprint")
    if not _FINGERPRINT.fullmatch(fingerprint):
        return VERDICTS["login_refused"]
    credentials = (_text(content, "username"), _text(content, "password"))
    session = twin.members.log_in(*credentials, family=_family(call), fingerprint=fingerprint)
    if isinstance(session, LoginRefused):
        return VERDICTS["login_locked" if session is LoginRefused.LOCKED else "login_refused"]
    auth = {"authOK": True, "refreshToken": session.token}
    return json_reply({"data": {"auth": auth, "userData": _person(twin, session)}}, cookies=_cookies(twin, session))


def _refresh(twin: VenueTwin, call: TwinCall, _arrival: Arrival) -> TwinReply:
    form = _form(call)
    if not _is(call, _FORM) or form.get("ciclo") != "1":
        return HOME
    token, fingerprint = _text(form, "token"), _text(form, "fingerprint")
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
    by_time = sorted(classes.items(), key=lambda item: (item[1].time, item[0]))
    entries = [_class_entry(twin, class_id, gym_class, box, session) for class_id, gym_class in by_time]
    return json_reply({"day": day, "clasesDisp": "", "timetable": [], "bookings": LISTS[twin.page.lists](entries)})


def _class_entry(
    twin: VenueTwin, class_id: str, gym_class: TwinClass, box: TwinBox, session: TwinSession | None
) -> dict[str, Any]:
    page, acts = twin.page, [act for act in twin.shown() if act.class_id == class_id]
    own = next((act for act in acts if session and (act.member, act.venue) == (session.email, box.host)), None)
    cancelled = twin.ledger.cancelled(session.email, class_id) if session and own is None else []
    entry = {
        "id": NUMBERS[page.numbers](int(class_id)),
        "classId": zlib.crc32(gym_class.name.encode()),
        "className": NAMES[page.names](gym_class.name),
        "time": page.label(gym_class.time),
        "timeid": gym_class.time.replace(":", "") + "_60",
        "ocupation": NUMBERS[page.numbers](sum(act.state is State.BOOKED for act in acts)),
        "limit": NUMBERS[page.numbers](gym_class.capacity),
        **page.flags(class_id, cancelled_by_member=bool(cancelled)),
    }
    if session is None:
        return entry
    marked = own or (cancelled[0] if cancelled and page.keeps_marks else None)
    state = None if marked is None else int(marked.state is not State.WAITLISTED)
    return entry | {"bookState": state, "idres": int(marked.booking_id) if marked else None}


def _write(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    if not _has_page_headers(call):
        return FORBIDDEN
    if not _is(call, _FORM):
        return HOME
    if _session(twin, call) is None:
        return VERDICTS["logout"]
    return _book(twin, call, arrival) if arrival.books else _cancel(twin, call, arrival)


def _book(twin: VenueTwin, call: TwinCall, request: Arrival) -> TwinReply:
    form = _form(call)
    gym_class = twin.classes.get(request.class_id)
    is_complete = form.get("insist") in {"0", "1"} and "familyId" in form and request.class_id.isdecimal()
    if not (is_complete and gym_class and gym_class.day == form.get("day") and gym_class.box in {"", request.venue}):
        return VERDICTS["no_such_class"]
    result = twin.book(request, join_waiting_list=form["insist"] == "1")
    if result.booking_id is None:
        return VERDICTS[_REFUSALS[result.state]]
    return json_reply({"bookState": int(result.state is State.BOOKED), "id": result.booking_id})


def _cancel(twin: VenueTwin, call: TwinCall, arrival: Arrival) -> TwinReply:
    form = _form(call)
    if form.get("late") not in {"0", "1"} or "familyId" not in form:
        return VERDICTS["cancel_refused"]
    return VERDICTS[_CANCELLATIONS[twin.cancel(form.get("id", ""), arrival.member, late=form["late"] == "1")]]


def _has_page_headers(call: TwinCall) -> bool:
    """Return whether a call has the headers of the box's own page."""
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


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""


_ROUTES: dict[tuple[str, str, str], Callable[[VenueTwin, TwinCall, Arrival], TwinReply]] = {
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
