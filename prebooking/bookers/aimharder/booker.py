"""Books at a box of AimHarder with the member's own login, through the requests of AimHarder's web page."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import httpx

from prebooking.bookers import Gate
from prebooking.bookers.aimharder.classes import GymClass
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.sessions import SessionRefresher
from prebooking.bookers.aimharder.site import CLASSES, AimHarderSite, Session
from prebooking.bookers.call import Reply, call
from prebooking.clock import Clock, Deadline
from prebooking.database.sessions import SessionStore
from prebooking.errors import BadBookingData, SealBroken, SendRefused
from prebooking.foreign import is_set, read_day, read_id, read_name, read_number
from prebooking.model import Kind, Outcome, Prebooking, Venue

# The meaning of an answer's key, which takes precedence over its number.
_BY_KEY = {
    "ERROR_ANTELACION_CLIENTE": Outcome(Kind.TOO_EARLY),
    "ERROR_ANTELACION_CLIENTE_HORAS": Outcome(Kind.TOO_EARLY),
    "HASSUPERADOLIMITCONTR": Outcome(Kind.LIMIT_REACHED),
    # The member has this class or another one at that hour; a query for the member's bookings shows which.
    "NOPUEDESRESERVAMISMAHORA": Outcome(
        Kind.UNSURE, if_booked=Kind.ALREADY_BOOKED, if_not_booked=Kind.CONFLICT_SAME_HOUR
    ),
}
_BY_NUMBER = {
    -1: Outcome(Kind.FULL),
    -2: Outcome(Kind.NO_CREDIT),
    -4: Outcome(Kind.TOO_EARLY),
    -5: Outcome(Kind.PAYMENT_DUE),
    -7: Outcome(Kind.TOO_LATE),
    -8: Outcome(Kind.LIMIT_REACHED),
    # Public clients disagree: the member is on the waiting list, or the class is full and its waiting list is open.
    0: Outcome(Kind.UNSURE, if_booked=Kind.BOOKED, if_not_booked=Kind.FULL),
}
_UNREADABLE = Outcome(Kind.UNSURE, detail="unreadable")  # unsure, because the box may still act on the call


class AimHarderBooker:
    """Books with the form of the box's web page, in one call, with the member's own cookies."""

    # Politeness: it limits the calls to a box that gives no clear answer until the class begins
    max_unclear_calls: float = 4

    def __init__(
        self, client: httpx.AsyncClient, *, venue: Venue, seal: Seal, sessions: SessionStore, clock: Clock
    ) -> None:
        self._client = client
        self._site = AimHarderSite(client, host=venue.host, box_id=venue.provider_box_id)
        self._sessions = SessionRefresher(self._site, venue=venue, seal=seal, sessions=sessions, clock=clock)
        self._clock = clock
        self._used: dict[UUID, int] = {}  # by row: the version of the session in its last call or query

    def is_ready(self, row: Prebooking) -> bool:
        """Return whether the member has a session that can be decrypted. Only the venue decides whether it is valid."""
        try:
            return not self._site.problem and self._sessions.of(row.user_email, row.session) is not None
        except SealBroken:
            return False

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - see Booker
        """Return why the row cannot be booked, or None; ``renew`` refreshes the session that its last call used.

        ``session_expired`` means that the venue refused the login, now or in an earlier run. ``cannot_tell`` means that
        this deployment has no usable login for the row, or that a refresh was not tried, not answered or not stored.
        """
        if row.session_over:
            return Outcome(Kind.SESSION_EXPIRED)
        if self._site.problem:
            return Outcome(Kind.CANNOT_TELL, detail=self._site.problem)
        try:
            held = self._sessions.of(row.user_email, row.session)
        except SealBroken as exc:
            return Outcome(Kind.CANNOT_TELL, detail=str(exc))
        if held is None:
            return Outcome(Kind.CANNOT_TELL, detail="No login is stored.")
        if not renew:
            return None
        until = Deadline.within(self._clock, timeout)
        refused_version = self._used.get(row.id, held.version)
        return await self._sessions.renew(row.user_email, refused_version=refused_version, until=until)

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        """Send the form in one POST request."""
        request = self._site.booking(self._session(row), _booking_form(row))
        return await call(self._client, request, classify, timeout=timeout, gate=gate)

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        """Read the member's classes of the day and return booked, waitlisted, not_booked or missing, or a failure.

        With an expired session the list shows no places. So "not booked" counts only if the session is still valid.
        """
        try:
            session, day, class_id = self._session(row), _day(row), _class_id(row)
        except (SendRefused, BadBookingData):
            return Outcome(Kind.CANNOT_TELL)
        family_id = read_id(row.booking_data.get("family_id")) or ""
        found = await self._site.classes(session, day, family_id=family_id, timeout=timeout / 2)
        if isinstance(found, Outcome):
            return _failure(found)
        place = _place(found, class_id)
        if place.kind in (Kind.BOOKED, Kind.WAITLISTED):
            return place
        refusal = await self._site.whoami(session, timeout=timeout / 2)
        return _failure(refusal) if refusal else place

    def _session(self, row: Prebooking) -> Session:
        try:
            held = self._sessions.of(row.user_email, row.session)
        except SealBroken:
            held = None
        if held is None or self._site.problem:
            raise SendRefused("there is no session for this call")
        self._used[row.id] = held.version
        return held.session


def classify(reply: Reply) -> Outcome:
    """Return the meaning of an answer to a booking call: by its key, then by its number, never by its text."""
    body = reply.json_object()
    if reply.status in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):
        return Outcome(Kind.BLOCKED, detail=f"HTTP {reply.status}")
    if reply.status == httpx.codes.UNAUTHORIZED or (
        reply.status == httpx.codes.OK and body and is_set(body.get("logout"))
    ):
        return Outcome(Kind.SESSION_EXPIRED)
    if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR or reply.status == httpx.codes.REQUEST_TIMEOUT:
        return Outcome(Kind.UNSURE, detail=f"HTTP {reply.status}")
    if reply.status != httpx.codes.OK or not body:
        return _UNREADABLE
    return _outcome_of(body)


def _outcome_of(body: dict[str, Any]) -> Outcome:
    key, number = read_name(body.get("errorMssgLang")), read_number(body.get("bookState"))
    if key in _BY_KEY:
        return _BY_KEY[key]
    if number == 1:
        return Outcome(Kind.BOOKED, read_id(body.get("id")))
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    return _UNREADABLE


def _place(classes: list[GymClass], class_id: str) -> Outcome:
    """Return the member's place in a class. ``missing`` needs a complete list with readable numbers."""
    mine = [one for one in classes if one.class_id == class_id]
    for one in mine:
        if one.place is not Kind.NOT_BOOKED:
            return Outcome(one.place, one.booking_id)
    is_whole = len(classes) < CLASSES and all(one.class_id for one in classes)
    return Outcome(Kind.NOT_BOOKED if mine else Kind.MISSING if is_whole else Kind.CANNOT_TELL)


def _failure(found: Outcome) -> Outcome:
    """Return why a query failed: blocked, session_expired, or cannot_tell."""
    return found if found.kind in (Kind.BLOCKED, Kind.SESSION_EXPIRED) else Outcome(Kind.CANNOT_TELL)


def _booking_form(row: Prebooking) -> dict[str, str]:
    """Return the fields of the form. Raises BadBookingData."""
    given = row.booking_data.get("insist")
    insist = int(given or 0) if given in (None, "", True, False) else read_number(given)
    family_id = row.booking_data.get("family_id")
    if insist not in (0, 1):
        raise BadBookingData("Its insist is neither 0 nor 1 (join the waiting list).")
    if family_id not in (None, "") and read_id(family_id) is None:
        raise BadBookingData("Its family_id is no number of AimHarder's.")
    return {
        "id": _class_id(row),
        "day": f"{_day(row):%Y%m%d}",
        "insist": str(insist),
        "familyId": read_id(family_id) or "",
    }


def _class_id(row: Prebooking) -> str:
    class_id = read_id(row.booking_data.get("class_id"))
    if class_id is None:
        raise BadBookingData("Its class_id is no number of AimHarder's.")
    return class_id


def _day(row: Prebooking) -> date:
    day = read_day(row.booking_data.get("day"))
    if day is None:
        raise BadBookingData("Its day is not written as YYYYMMDD.")
    return day
