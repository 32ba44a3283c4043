"""The venue is a box at AimHarder, booked with the member's own login, as its browser client would."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any
from uuid import UUID

import httpx

from prebooking.bookers import Gate
from prebooking.bookers.aimharder_sessions import MemberSessions
from prebooking.bookers.aimharder_site import AimHarderSite, GymClass, Session, plain_id
from prebooking.bookers.call import Reply, call
from prebooking.clock import Clock, Deadline, Reading
from prebooking.errors import BadBookingData, SealBroken, SendRefused
from prebooking.model import Kind, Outcome, Prebooking, Venue
from prebooking.sessions import Seal, SessionStore

# What the answer's key means; it is looked at before the number.
_BY_KEY = {
    "ERROR_ANTELACION_CLIENTE": Outcome(Kind.TOO_EARLY),
    "ERROR_ANTELACION_CLIENTE_HORAS": Outcome(Kind.TOO_EARLY),
    "HASSUPERADOLIMITCONTR": Outcome(Kind.LIMIT_REACHED),
    # This class or another one at that hour: the member's own bookings say which.
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
    # On the waiting list, say some clients; full, and only the list is open, say others.
    0: Outcome(Kind.UNSURE, if_booked=Kind.BOOKED, if_not_booked=Kind.FULL),
}
# Nobody knows what it means: only if the member has no place has the booking surely been refused.
_UNREADABLE = Outcome(Kind.UNSURE, detail="unreadable", if_not_booked=Kind.REJECTED)


class AimHarderBooker:
    """Books by the form that the box's own page sends, once, with the member's cookies and nobody else's."""

    most_calls: float = 4  # politeness: a box that is down for a class is not called every other minute until it begins

    def __init__(
        self, client: httpx.AsyncClient, *, venue: Venue, seal: Seal, sessions: SessionStore, clock: Clock
    ) -> None:
        self._client = client
        self._site = AimHarderSite(client, host=venue.host, box_id=venue.provider_box_id)
        self._members = MemberSessions(self._site, venue=venue, seal=seal, sessions=sessions, clock=clock)
        self._clock = clock
        self._used: dict[UUID, int] = {}  # by row: the version of the session in its last call or question

    async def warm(self, *, timeout: float) -> None:  # noqa: ASYNC109 - see Booker
        """Open a connection to the box."""
        if not self._site.problem:
            await self._site.warm(timeout=timeout)

    def is_ready(self, row: Prebooking) -> bool:
        """Say whether the member's session is there and fresh."""
        try:
            held = self._members.of(row.user_email, row.session)
        except SealBroken:
            return False
        return not self._site.problem and held is not None and self._members.is_fresh(held)

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ASYNC109 - see Booker
        """Refresh the member's session if it is old."""
        if self._site.problem:
            return Outcome(Kind.BAD_DATA, detail=self._site.problem)
        over = self._used.get(row.id) if renew else None
        until = Deadline(self._clock, Reading.of(self._clock), timeout)
        return await self._members.prepare(row.user_email, row.session, over=over, until=until)

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ASYNC109 - see Booker
        """POST the form, once."""
        request = self._site.booking(self._session(row), _wish(row))
        return await call(self._client, request, classify, timeout=timeout, gate=gate)

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ASYNC109 - see Booker
        """Look at the member's day. A dead session is shown the same day without a place in it: so it is proved."""
        try:
            session, day = self._session(row), _day(row)
        except (SendRefused, BadBookingData):
            return Outcome(Kind.UNKNOWN)
        family_id = plain_id(row.booking_data.get("family_id")) or ""
        found = await self._site.classes(session, day, family_id=family_id, timeout=timeout / 2)
        if isinstance(found, Outcome):
            return _told(found)
        place = _place(found, _class_id(row))
        if place.kind in (Kind.BOOKED, Kind.WAITLISTED):
            return place
        nobody = await self._site.whoami(session, timeout=timeout / 2)
        return _told(nobody) if nobody else place

    def _session(self, row: Prebooking) -> Session:
        try:
            held = self._members.of(row.user_email, row.session)
        except SealBroken:
            held = None
        if held is None or self._site.problem:
            raise SendRefused("there is no session to book with")
        self._used[row.id] = held.version
        return held.session


def classify(reply: Reply) -> Outcome:
    """Say what the answer to a booking means: by its key, then by its number, never by its sentence."""
    said = reply.json_object()
    if reply.status in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):
        return Outcome(Kind.BLOCKED, detail=f"HTTP {reply.status}")
    if reply.status == httpx.codes.UNAUTHORIZED or (reply.status == httpx.codes.OK and said and said.get("logout")):
        return Outcome(Kind.SESSION_EXPIRED)
    if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR or reply.status == httpx.codes.REQUEST_TIMEOUT:
        return Outcome(Kind.UNSURE, detail=f"HTTP {reply.status}")
    if reply.status != httpx.codes.OK or not said:
        return _UNREADABLE
    return _verdict(said)


def _verdict(said: dict[str, Any]) -> Outcome:
    key, number = said.get("errorMssgLang"), _number(said.get("bookState"))
    if isinstance(key, str) and key in _BY_KEY:
        return _BY_KEY[key]
    if number == 1:
        return Outcome(Kind.BOOKED, plain_id(said.get("id")))
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    return _UNREADABLE


def _number(value: object) -> int | None:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else None


def _place(classes: list[GymClass], class_id: str) -> Outcome:
    """Return the member's place in a class, as the day's list shows it."""
    mine = [one for one in classes if one.class_id == class_id]
    for one in mine:
        if one.place is not Kind.NOT_BOOKED:
            return Outcome(one.place, one.booking_id)
    return Outcome(Kind.NOT_BOOKED if mine else Kind.UNKNOWN)


def _told(found: Outcome) -> Outcome:
    """Return what a question has brought: a place, "leave us alone", "log in again", or that nobody can tell."""
    tells = found.kind in (Kind.BOOKED, Kind.WAITLISTED, Kind.BLOCKED, Kind.SESSION_EXPIRED)
    return found if tells else Outcome(Kind.UNKNOWN)


def _wish(row: Prebooking) -> dict[str, str]:
    insist = row.booking_data.get("insist", 0)
    family_id = row.booking_data.get("family_id")
    if insist not in (0, 1):
        raise BadBookingData("Its insist is neither 0 nor 1 (join the waiting list).")
    if family_id is not None and plain_id(family_id) is None:
        raise BadBookingData("Its family_id is no number of AimHarder's.")
    return {
        "id": _class_id(row),
        "day": f"{_day(row):%Y%m%d}",
        "insist": str(int(insist)),
        "familyId": plain_id(family_id) or "",
    }


def _class_id(row: Prebooking) -> str:
    class_id = plain_id(row.booking_data.get("class_id"))
    if class_id is None:
        raise BadBookingData("Its class_id is no number of AimHarder's.")
    return class_id


def _day(row: Prebooking) -> date:
    day = row.booking_data.get("day")
    try:
        if isinstance(day, str) and re.fullmatch(r"\d{8}", day, re.ASCII):
            return datetime.strptime(day, "%Y%m%d").date()  # noqa: DTZ007 - a day of the gym's calendar
    except ValueError:
        pass
    raise BadBookingData("Its day is not written as YYYYMMDD.")
