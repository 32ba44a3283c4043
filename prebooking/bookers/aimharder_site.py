"""AimHarder's pages as its own browser client uses them: the requests, and what the answers say.

There is no public interface and no documentation: paths, fields and answers are those that public clients agree on,
and where they do not, the reader of an answer says "cannot tell". Times are the gym's local clock, without an offset.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from http.cookies import CookieError, SimpleCookie
from typing import Any, Self

import httpx

from prebooking.bookers.call import HEADERS, Reply, ask
from prebooking.errors import BadBookingData, VenueRefused
from prebooking.model import Kind, Outcome

DAY_LIMIT = 1_048_576  # bytes of a day's classes that are read: some gyms have sixty, each with its pictures' addresses
CLASSES = 500  # of a day that are looked at: a megabyte has room for three hundred thousand that are nothing

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.aimharder\.(com|es)", re.ASCII)
_COOKIES = ("amhrdrauth", "PHPSESSID", "AWSALB", "AWSALBCORS")  # the session, and which of their machines has it
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]{1,4096}", re.ASCII)  # RFC 6265, 4.1.1
_TIME = re.compile(r"\s*(\d{1,2}):(\d{2})", re.ASCII)
_WRONG = "AimHarder refused the login: check the e-mail and the password. It locks the account after a few wrong ones."
_LOCKED = "AimHarder refused the login after too many attempts: wait a quarter of an hour, then try once more."
_PLACES = {"1": Kind.BOOKED, "0": Kind.WAITLISTED}  # of a member in a class, by its bookState
_UNMARKED = "unmarked"
_BLOCKED = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Session:
    """A member's login: the token that refreshes it, and the cookies that are it."""

    token: str = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    fingerprint: str = field(repr=False)  # of the browser; the same at every login and refresh

    def as_json(self) -> dict[str, Any]:
        """Return what is sealed and kept."""
        return {"token": self.token, "cookies": dict(self.cookies), "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return the session that was kept. Raises KeyError, TypeError or ValueError if it is none."""
        cookies = {name: value for name, value in dict(kept["cookies"]).items() if name in _COOKIES}
        if not (_is_token(kept["token"]) and all(_COOKIE_VALUE.fullmatch(value) for value in cookies.values())):
            raise ValueError("no session")
        return cls(kept["token"], cookies, str(kept["fingerprint"]))


@dataclass(frozen=True, slots=True)
class Box:
    """A gym at which somebody is a member."""

    box_id: str
    host: str
    name: str


@dataclass(frozen=True, slots=True)
class Login:
    """What a login brings."""

    session: Session
    boxes: list[Box]


@dataclass(frozen=True, slots=True)
class GymClass:
    """One class of a day.

    ``place`` is the member's: booked, waitlisted, not_booked, or unknown. Only an empty mark says not_booked: a class
    without any is what the list shows to somebody it does not know.
    """

    class_id: str
    name: str
    starts: time | None
    taken: int | None
    places: int | None
    place: Kind = Kind.UNKNOWN
    booking_id: str | None = None


def host_problem(host: str | None) -> str | None:
    """Say what is wrong with a venue's host: a session may go to AimHarder's own machines only."""
    if host and _HOST.fullmatch(host):
        url = httpx.URL(f"https://{host}/")
        if (url.host, url.port, url.userinfo, url.path) == (host, None, b"", "/"):
            return None
    return "The venue's host is none of AimHarder's: it is <box>.aimharder.com or <box>.aimharder.es."


def fingerprint(email: str) -> str:
    """Return fifty hexadecimal digits, the same for one account for ever, as its browser would."""
    return hashlib.sha256(f"prebooking-scheduler:{email.strip().lower()}".encode()).hexdigest()[:50]


class AimHarderSite:
    """One box's pages, and those of its family (``.com`` or ``.es``) that all boxes share. Sends nothing twice."""

    def __init__(self, client: httpx.AsyncClient, *, host: str | None, box_id: str | None) -> None:
        self._client, self._box_id = client, box_id or ""
        self.problem = host_problem(host)
        self._box = f"https://{host}"
        self._family = f"aimharder.{(host or '').rpartition('.')[2]}"

    # booking

    def booking(self, session: Session, wish: Mapping[str, str]) -> httpx.Request:
        """Return the call that books: ``id``, ``day``, ``insist`` and ``familyId``."""
        return self._request("POST", f"{self._box}/api/book", session, data=wish)

    async def classes(
        self,
        session: Session | None,
        day: date,
        *,
        family_id: str = "",
        timeout: float,  # noqa: ASYNC109 - of each question
    ) -> list[GymClass] | Outcome:
        """Return a day's classes; without a living session nobody's place is marked in them."""
        params = {"day": f"{day:%Y%m%d}", "box": self._box_id, "familyId": family_id}
        request = self._request("GET", f"{self._box}/api/bookings", session, params=params)
        reply = await ask(self._client, request, timeout=timeout, limit=DAY_LIMIT)
        listed = (_said(reply) or {}).get("bookings")
        if not isinstance(listed, list):
            return _no(reply)
        return [_gym_class(one) for one in listed[:CLASSES] if isinstance(one, dict)]

    async def warm(self, *, timeout: float) -> None:  # noqa: ASYNC109 - as above
        """Open a connection to the box, and leave it open for whoever comes next."""
        await ask(self._client, self._client.build_request("GET", f"{self._box}/", headers=HEADERS), timeout=timeout)

    # sessions

    async def login(self, email: str, password: str, *, timeout: float) -> Login:  # noqa: ASYNC109 - as above
        """Log in. The password is used for this one call and kept nowhere.

        Raises:
            VenueRefused: wrong, too often, blocked, or no answer.

        """
        browser = fingerprint(email)
        credentials = {"username": email, "password": password, "fingerprint": browser, "iniframe": 0}
        request = self._request("POST", f"https://login.{self._family}/api/login", None, json=credentials)
        reply = await ask(self._client, request, timeout=timeout)
        data = _mapping((_said(reply) or {}).get("data"))
        auth = _mapping(data.get("auth"))
        if reply is None or reply.status != httpx.codes.OK or not data:
            raise VenueRefused(_no_login(reply))
        token = auth.get("refreshToken")
        if auth.get("authOK") is not True or not _is_token(token):
            raise VenueRefused(_LOCKED if "ATTEMPTS" in str(auth.get("error")).upper() else _WRONG)
        return Login(Session(str(token), _cookies(reply), browser), _boxes(data))

    async def refresh(self, session: Session, *, timeout: float) -> Session | Outcome:  # noqa: ASYNC109 - as above
        """Exchange a session for a new one; the old one's token is used up then. Or say why that cannot be."""
        form = {"token": session.token, "ciclo": "1", "fingerprint": session.fingerprint}
        request = self._request("POST", f"https://{self._family}/api/tokenUpdate", session, data=form)
        reply = await ask(self._client, request, timeout=timeout)
        token = (_said(reply) or {}).get("newToken")
        if reply is None or not _is_token(token):
            return _no(reply)
        return Session(str(token), {**session.cookies, **_cookies(reply)}, session.fingerprint)

    async def whoami(self, session: Session, *, timeout: float) -> Outcome | None:  # noqa: ASYNC109 - as above
        """Say why this is no login that the venue knows; None: it is one, and somebody stands in ``data``."""
        request = self._request("GET", f"https://{self._family}/api/whoami", session)
        said = _said(reply := await ask(self._client, request, timeout=timeout)) or {}
        if said.get("data") and not said.get("logout"):
            return None
        return Outcome(Kind.SESSION_EXPIRED) if "data" in said else _no(reply)

    def _request(self, method: str, url: str, session: Session | None, **content: Any) -> httpx.Request:
        if self.problem:
            raise BadBookingData(self.problem)
        headers = HEADERS | {"X-Requested-With": "XMLHttpRequest", "Origin": self._box, "Referer": f"{self._box}/"}
        if session:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in session.cookies.items())
        return self._client.build_request(method, url, headers=headers, **content)


def _is_token(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[!-~]{1,4096}", value) is not None


def _said(reply: Reply | None) -> dict[str, Any] | None:
    return reply.json_object() if reply and reply.status == httpx.codes.OK else None


def _no(reply: Reply | None) -> Outcome:
    """Say what an answer means that does not bring what was asked for."""
    if reply and reply.status in _BLOCKED:
        return Outcome(Kind.BLOCKED, detail=f"HTTP {reply.status}")
    if (_said(reply) or {}).get("logout"):
        return Outcome(Kind.SESSION_EXPIRED)
    return Outcome(Kind.UNKNOWN, detail=f"HTTP {reply.status}" if reply else "no answer")


def _no_login(reply: Reply | None) -> str:
    if reply is None:
        return "AimHarder does not answer: try again later."
    if reply.status in _BLOCKED:
        return f"AimHarder blocks this address (HTTP {reply.status}): wait, or log in from a European connection."
    return f"AimHarder's answer to the login cannot be read (HTTP {reply.status}): its login may have changed."


def _cookies(reply: Reply) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in reply.headers.get_list("set-cookie"):
        try:
            morsels = SimpleCookie(line).items()
        except CookieError:
            continue
        found |= {name: one.value for name, one in morsels if name in _COOKIES and _COOKIE_VALUE.fullmatch(one.value)}
    return found


def _boxes(data: Mapping[str, Any]) -> list[Box]:
    roles = _mapping(data.get("userData")).get("roles")
    found = [_box(role) for role in roles if isinstance(role, dict)] if isinstance(roles, list) else []
    return [box for box in found if not host_problem(box.host)]


def _box(role: Mapping[str, Any]) -> Box:
    host = re.sub(r"^https?://|/.*$", "", str(role.get("centre_url", "")).lower())
    return Box(str(role.get("boid", "")), host, str(role.get("gym", ""))[:100])


def _gym_class(said: Mapping[str, Any]) -> GymClass:
    mark = said.get("bookState", _UNMARKED)
    return GymClass(
        class_id=str(said.get("id", "")),
        name=str(said.get("className", ""))[:100],
        starts=_time(str(said.get("time", ""))),
        taken=_count(said.get("ocupation")),
        places=_count(said.get("limit")),
        place=Kind.NOT_BOOKED if mark in (None, "") else _PLACES.get(str(mark), Kind.UNKNOWN),
        booking_id=plain_id(said.get("idres")),
    )


def plain_id(value: object) -> str | None:
    """Return a number of the venue's, if it is one: short and plain."""
    number = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if number and re.fullmatch(r"\w{1,40}", str(value), re.ASCII) else None


def _time(text: str) -> time | None:
    found = _TIME.match(text)
    try:
        return time(int(found[1]), int(found[2])) if found else None
    except ValueError:
        return None


def _count(value: object) -> int | None:
    text = str(value)
    return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
