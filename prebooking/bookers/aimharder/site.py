"""AimHarder's website: the requests of its own pages, and the meaning of the answers.

There is no public interface and no documentation. Paths, fields and answers are those on which public clients agree;
where they disagree, the meaning is ``cannot_tell``. Times are in the gym's local time, without an offset.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

import httpx

from prebooking.bookers.aimharder.classes import GymClass, read_class
from prebooking.bookers.aimharder.seal import SEALED_LIMIT, sealed_size
from prebooking.bookers.call import HEADERS, Reply, ask
from prebooking.errors import BadBookingData, LoginRefusal, VenueRefused
from prebooking.foreign import fits, is_on, is_set, read_cookies, read_host, read_id, read_list, read_name
from prebooking.model import Kind, Outcome

DAY_LIMIT = 1_048_576  # bytes of a day's list that are read: some gyms have sixty classes, each with long picture URLs
CLASSES = 500  # classes of a day that are read: DAY_LIMIT alone would allow 300,000 empty ones

# A label in Punycode ("xn--") may be invalid, and httpx cannot build a URL from it.
_HOST = re.compile(r"(?!xn--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.aimharder\.(com|es)", re.ASCII)
SESSION_COOKIE = "amhrdrauth"
_COOKIES = (SESSION_COOKIE, "PHPSESSID", "AWSALB", "AWSALBCORS")  # the others identify the server with the session
_WRONG = "AimHarder refused the login: check the e-mail and the password. It locks the account after a few wrong ones."
_LOCKED = "AimHarder refused the login after too many attempts: wait a quarter of an hour, then try once more."
_NO_SESSION = "AimHarder accepted the password, but not the login: "
_BLOCKED = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)
# Of a session that the venue has just opened and does not accept.
_WHY = {Kind.BLOCKED: LoginRefusal.BLOCKED, Kind.SESSION_EXPIRED: LoginRefusal.UNREADABLE}


@dataclass(frozen=True, slots=True)
class Session:
    """A member's open session: its cookies, and the token that refreshes it."""

    token: str = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    fingerprint: str = field(repr=False)  # of the browser: the same in every login and refresh

    def as_json(self) -> dict[str, Any]:
        """Return the content that is encrypted and stored."""
        return {"token": self.token, "cookies": dict(self.cookies), "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return a stored session. Raises KeyError, TypeError or ValueError if the content is not a session."""
        if not _is_token(content["token"]):
            raise ValueError("no session")
        lines = [f"{name}={value}" for name, value in dict(content["cookies"]).items()]
        return cls(content["token"], read_cookies(lines, _COOKIES), str(content["fingerprint"]))

    @classmethod
    def that_fits(cls, token: str, cookies: Mapping[str, str], fingerprint: str) -> Self:
        """Return a session that is short enough to be stored; the least important cookies are dropped if needed.

        The token and the session cookie always fit, so that no refresh uses up a token without a stored result.
        """
        kept = {name: cookies[name] for name in _COOKIES if name in cookies}
        while sealed_size((session := cls(token, kept, fingerprint)).as_json()) > SEALED_LIMIT:
            kept.popitem()
        return session


@dataclass(frozen=True, slots=True)
class Box:
    """A gym of which the account is a member."""

    box_id: str
    host: str
    name: str


@dataclass(frozen=True, slots=True)
class Login:
    """The result of a login."""

    session: Session
    boxes: list[Box]


def host_problem(host: str | None) -> str | None:
    """Return what is wrong with a venue's host, or None. Sessions may be sent to AimHarder's own hosts only."""
    if host and _HOST.fullmatch(host):
        return None
    return "The venue's host is none of AimHarder's: it is <box>.aimharder.com or <box>.aimharder.es."


def fingerprint(email: str) -> str:
    """Return fifty hexadecimal digits that are always the same for one account, as those of one browser are."""
    return hashlib.sha256(f"prebooking-scheduler:{email.strip().lower()}".encode()).hexdigest()[:50]


class AimHarderSite:
    """The pages of one box, and the shared pages of its family (``.com`` or ``.es``). No request is repeated."""

    def __init__(self, client: httpx.AsyncClient, *, host: str | None, box_id: str | None) -> None:
        self._client, self._box_id = client, box_id or ""
        self.problem = host_problem(host)
        self._box = f"https://{host}"
        self._family = f"aimharder.{(host or '').rpartition('.')[2]}"

    # booking

    def booking(self, session: Session, form: Mapping[str, str]) -> httpx.Request:
        """Return the booking call; ``form`` has ``id``, ``day``, ``insist`` and ``familyId``."""
        return self._request("POST", f"{self._box}/api/book", session, data=form)

    def cancellation(self, session: Session, form: Mapping[str, str]) -> httpx.Request:
        """Return the call that gives a place back; ``form`` has ``id`` (of the booking), ``late`` and ``familyId``."""
        return self._request("POST", f"{self._box}/api/cancelBook", session, data=form)

    async def classes(
        self,
        session: Session | None,
        day: date,
        *,
        family_id: str = "",
        timeout: float,  # noqa: ASYNC109 - the callers divide their time between several queries
    ) -> list[GymClass] | Outcome:
        """Return a day's classes; the member's places are marked only with a valid session."""
        params = {"day": f"{day:%Y%m%d}", "box": self._box_id, "familyId": family_id}
        request = self._request("GET", f"{self._box}/api/bookings", session, params=params)
        reply = await ask(self._client, request, timeout=timeout, limit=DAY_LIMIT)
        body = _json(reply) or {}
        listed = read_list(body["bookings"]) if "bookings" in body else None
        if listed is None:
            return _failure(reply)
        return [read_class(one) for one in listed[:CLASSES] if isinstance(one, dict)]

    # sessions

    async def login(self, email: str, password: str, *, timeout: float) -> Login:  # noqa: ASYNC109 - as above
        """Log in, and check that the session has a member. The password is used for one call.

        Raises:
            VenueRefused: see ``open_session``; or the session has no member, or the check was not answered.

        """
        login = await self.open_session(email, password, timeout=timeout)
        if refusal := await self.whoami(login.session, timeout=timeout):
            raise VenueRefused(_NO_SESSION + _explain_whoami(refusal), _WHY.get(refusal.kind, LoginRefusal.NO_ANSWER))
        return login

    async def open_session(self, email: str, password: str, *, timeout: float) -> Login:  # noqa: ASYNC109 - as above
        """Log in with one call.

        Raises:
            VenueRefused: wrong password, too many attempts, blocked, no answer, or no session in the answer.

        """
        browser = fingerprint(email)
        credentials = {"username": email, "password": password, "fingerprint": browser, "iniframe": 0}
        request = self._request("POST", f"https://login.{self._family}/api/login", None, json=credentials)
        reply = await ask(self._client, request, timeout=timeout)
        data = _mapping((_json(reply) or {}).get("data"))
        auth = _mapping(data.get("auth"))
        if reply is None or reply.status != httpx.codes.OK or not data:
            raise _login_failure(reply)
        token = auth.get("refreshToken")
        if not is_on(auth.get("authOK")) or not _is_token(token):
            raise _login_refusal(auth)
        session = Session.that_fits(str(token), _cookies(reply), browser)
        if SESSION_COOKIE not in session.cookies:
            missing = f"there is no cookie {SESSION_COOKIE} in its answer that can be read."
            raise VenueRefused(_NO_SESSION + missing, LoginRefusal.UNREADABLE)
        return Login(session, _boxes(data))

    async def refresh(self, session: Session, *, timeout: float) -> Session | Outcome:  # noqa: ASYNC109 - as above
        """Exchange this session, whose token is used up, for a new one; or return the reason for the failure."""
        form = {"token": session.token, "ciclo": "1", "fingerprint": session.fingerprint}
        request = self._request("POST", f"https://{self._family}/api/tokenUpdate", session, data=form)
        reply = await ask(self._client, request, timeout=timeout)
        token = (_json(reply) or {}).get("newToken")
        if reply is None or not _is_token(token):
            return _failure(reply)
        return Session.that_fits(str(token), {**session.cookies, **_cookies(reply)}, session.fingerprint)

    async def whoami(self, session: Session, *, timeout: float) -> Outcome | None:  # noqa: ASYNC109 - as above
        """Return why the venue does not accept this session, or None if it does, and ``data`` names a member."""
        request = self._request("GET", f"https://{self._family}/api/whoami", session)
        body = _json(reply := await ask(self._client, request, timeout=timeout)) or {}
        if not is_set(body.get("logout")) and _names_member(body.get("data")):
            return None
        return Outcome(Kind.SESSION_EXPIRED) if "data" in body else _failure(reply)

    def _request(self, method: str, url: str, session: Session | None, **content: Any) -> httpx.Request:
        if self.problem:
            raise BadBookingData(self.problem)
        headers = HEADERS | {"X-Requested-With": "XMLHttpRequest", "Origin": self._box, "Referer": f"{self._box}/"}
        if session:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in session.cookies.items())
        return self._client.build_request(method, url, headers=headers, **content)


def _is_token(value: object) -> bool:
    return isinstance(value, str) and fits(value) and re.fullmatch(r"[!-~]+", value) is not None


def _names_member(data: object) -> bool:
    """Return whether it contains an object with a value. The names of the fields are not documented."""
    people = read_list(data) or [data]
    return any(
        isinstance(one, dict) and any(isinstance(v, str | int) and is_set(v) for v in one.values()) for one in people
    )


def _json(reply: Reply | None) -> dict[str, Any] | None:
    return reply.json_object() if reply and reply.status == httpx.codes.OK else None


def _failure(reply: Reply | None) -> Outcome:
    """Return the meaning of an answer without the expected content."""
    if reply and reply.status in _BLOCKED:
        return Outcome(Kind.BLOCKED, detail=f"HTTP {reply.status}")
    if is_set((_json(reply) or {}).get("logout")):
        return Outcome(Kind.SESSION_EXPIRED)
    return Outcome(Kind.CANNOT_TELL, detail=f"HTTP {reply.status}" if reply else "no answer")


def _login_refusal(auth: Mapping[str, Any]) -> VenueRefused:
    """Return why AimHarder's readable answer contains no session. A password is wrong only if ``authOK`` says no."""
    if "ATTEMPTS" in str(auth.get("error")).upper():
        return VenueRefused(_LOCKED, LoginRefusal.TOO_MANY_ATTEMPTS)
    is_no = auth.get("authOK") is not None and not is_set(auth["authOK"])
    return VenueRefused(_WRONG, LoginRefusal.WRONG_PASSWORD if is_no else LoginRefusal.UNREADABLE)


def _login_failure(reply: Reply | None) -> VenueRefused:
    """Return why there is no readable answer to a login."""
    if reply is None:
        return VenueRefused("AimHarder does not answer: try again later.", LoginRefusal.NO_ANSWER)
    if reply.status in _BLOCKED:
        sentence = f"AimHarder blocks this address (HTTP {reply.status}): wait, or log in from a European connection."
        return VenueRefused(sentence, LoginRefusal.BLOCKED)
    sentence = f"AimHarder's answer to the login cannot be read (HTTP {reply.status}): its login may have changed."
    return VenueRefused(sentence, LoginRefusal.UNREADABLE)


def _explain_whoami(refusal: Outcome) -> str:
    if refusal.kind is Kind.SESSION_EXPIRED:
        return "asked whose it is, it names nobody. Its login may have changed."
    if refusal.kind is Kind.BLOCKED:
        return f"it blocks this address ({refusal.detail}): wait, or log in from a European connection."
    return f"asked whose it is, it gave no clear answer ({refusal.detail}): try again later."


def _cookies(reply: Reply) -> dict[str, str]:
    return read_cookies(reply.headers.get_list("set-cookie"), _COOKIES)


def _boxes(data: Mapping[str, Any]) -> list[Box]:
    roles = read_list(_mapping(data.get("userData")).get("roles")) or []
    found = [_box(role) for role in roles if isinstance(role, dict)]
    return [box for box in found if not host_problem(box.host)]


def _box(role: Mapping[str, Any]) -> Box:
    return Box(read_id(role.get("boid")) or "", read_host(role.get("centre_url")), read_name(role.get("gym")))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
