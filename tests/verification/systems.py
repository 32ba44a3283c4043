"""The venue systems of a simulation: how venues, classes and sessions of each are created."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import psycopg

from prebooking.bookers.aimharder.seal import Purpose, Seal
from prebooking.bookers.aimharder.site import Session, fingerprint
from prebooking.local.venue.members import LoginRefused
from prebooking.local.venue.twin import Protection, TwinReply, VenueTwin
from prebooking.local.venue.verdicts import VERDICTS
from tests.support.doubles import EPOCH

Connection = psycopg.Connection[Any]

_KEY = bytes(range(32))
_SEAL = Seal(_KEY)
SESSION_KEY = base64.b64encode(_KEY).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()  # of another deployment, which can decrypt no session

_VENUE = """
insert into public.venues (id, name, provider, timezone, idempotent, host, provider_box_id)
values (%s, 'a venue', %s, 'UTC', %s, %s, %s)
"""
_REMEMBER = """
update public.member_sessions set password = %s, password_key_id = %s where venue_id = %s and user_email = %s
"""
_KEEP = """
insert into public.member_sessions (venue_id, user_email, sealed, refreshed_at, key_id) values (%s, %s, %s, %s, %s)
"""
_STORED = "select sealed from public.member_sessions where venue_id = %s and user_email = %s"
_KEPT = f"{_STORED} and expired_at is null"


class SimSystem(Protocol):
    """One venue system of a simulation."""

    def add_venue(self, connection: Connection, venue: UUID) -> None:
        """Add a venue that can be booked."""

    def offer(self, venue: UUID, opens_at: datetime, capacity: int, waiting: int) -> dict[str, Any]:
        """Offer a class, and return the booking data of a prebooking for it."""

    def join(self, connection: Connection, venue: UUID, member: str, *, old: timedelta) -> None:
        """Add a member whose session is this old."""

    def can_ask(self, connection: Connection, venue: UUID, member: str) -> bool:
        """Return whether the member's bookings can be read."""

    def address(self, venue: UUID) -> str:
        """Return the name of the venue in the ledger."""

    def can_log_in(self, connection: Connection, venue: UUID, member: str) -> bool:
        """Return whether the member's stored session is valid or can be refreshed."""


@dataclass(frozen=True, slots=True)
class SystemKind:
    """A kind of venue: a venue system, and how it treats a second call for the same booking."""

    name: str
    protection: Protection
    is_box: bool = False

    @property
    def refusal(self) -> TwinReply | None:
        """Return a clear refusal, or None for an idempotent venue, which may not change its response to a key."""
        if self.protection is Protection.IDEMPOTENT:
            return None
        return VERDICTS["no_credit"] if self.is_box else TwinReply(422, body=b'{"state": "no_credit"}')

    def system(self, twin: VenueTwin) -> SimSystem:
        """Return a system of this kind."""
        return BoxSystem(twin) if self.is_box else WebhookSystem(twin)


KINDS = (
    SystemKind("without protection", Protection.NONE),
    SystemKind("refusing duplicates", Protection.DUPLICATES),
    SystemKind("capacity before duplicates", Protection.CAPACITY_FIRST),
    SystemKind("idempotent", Protection.IDEMPOTENT),
    SystemKind("AimHarder", Protection.DUPLICATES, is_box=True),
    SystemKind("AimHarder without protection", Protection.NONE, is_box=True),
)


class WebhookSystem:
    """Venues behind the operator's webhook."""

    def __init__(self, twin: VenueTwin) -> None:
        self._twin, self._numbers = twin, itertools.count(1)

    def add_venue(self, connection: Connection, venue: UUID) -> None:
        idempotent = self._twin.protection is Protection.IDEMPOTENT
        connection.execute(_VENUE, [venue, "webhook", idempotent, None, None])

    def offer(self, venue: UUID, opens_at: datetime, capacity: int, waiting: int) -> dict[str, Any]:
        name = f"class {next(self._numbers)}"
        self._twin.open_class(name, opens_at=opens_at, capacity=capacity, waiting_list=waiting)
        return {"class_id": name}

    def join(self, connection: Connection, venue: UUID, member: str, *, old: timedelta) -> None:
        """Do nothing: there are no sessions."""

    def can_ask(self, connection: Connection, venue: UUID, member: str) -> bool:
        return self._twin.can_tell or self._twin.protection is Protection.IDEMPOTENT

    def address(self, venue: UUID) -> str:
        return str(venue)

    def can_log_in(self, connection: Connection, venue: UUID, member: str) -> bool:
        return True


class BoxSystem:
    """AimHarder boxes, whose members have logged in."""

    def __init__(self, twin: VenueTwin) -> None:
        self._twin, self._numbers = twin, itertools.count(2001)
        self._hosts: dict[UUID, str] = {}

    def add_venue(self, connection: Connection, venue: UUID) -> None:
        number = next(self._numbers)
        host = self._hosts[venue] = f"box{number}.aimharder.com"
        self._twin.open_box(host, box_id=number)
        connection.execute(_VENUE, [venue, "aimharder", False, host, str(number)])

    def address(self, venue: UUID) -> str:
        return self._hosts[venue]

    def offer(self, venue: UUID, opens_at: datetime, capacity: int, waiting: int) -> dict[str, Any]:
        name, day = str(next(self._numbers)), f"{EPOCH:%Y%m%d}"
        how: Mapping[str, Any] = {"day": day, "time": "07:00", "box": self._hosts[venue]}
        self._twin.open_class(name, opens_at=opens_at, capacity=capacity, waiting_list=waiting, **how)
        return {"class_id": name, "day": day, "insist": int(waiting > 0)}

    def join(self, connection: Connection, venue: UUID, member: str, *, old: timedelta) -> None:
        members, now = self._twin.members, self._twin.members.now
        members.join(member, "a password")
        members.now = lambda: now() - old
        login = members.log_in(member, "a password", family="com", fingerprint=fingerprint(member))
        members.now = now
        assert not isinstance(login, LoginRefused)
        session = Session(login.token, {"amhrdrauth": login.cookie}, login.fingerprint)
        sealed = _SEAL.seal(session.as_json(), venue_id=venue, member=member)
        connection.execute(_KEEP, [venue, member, sealed, now() - old, _SEAL.key_ids[0]])

    def remember(self, connection: Connection, venue: UUID, member: str) -> None:
        """Remember the password of a member who has joined."""
        content = {"username": member, "password": "a password"}
        sealed = _SEAL.seal(content, venue_id=venue, member=member, purpose=Purpose.PASSWORD)
        connection.execute(_REMEMBER, [sealed, _SEAL.key_ids[0], venue, member])

    def can_ask(self, connection: Connection, venue: UUID, member: str) -> bool:
        session = self._stored(connection, _KEPT, venue, member)
        return session is not None and self._twin.members.alive(session.cookies["amhrdrauth"], family="com") is not None

    def can_log_in(self, connection: Connection, venue: UUID, member: str) -> bool:
        session = self._stored(connection, _STORED, venue, member)
        return session is not None and self._twin.members.can_refresh(session.token)

    def _stored(self, connection: Connection, query: str, venue: UUID, member: str) -> Session | None:
        kept = connection.execute(query.encode(), [venue, member]).fetchone()
        return Session.from_json(_SEAL.open(kept[0], venue_id=venue, member=member)) if kept else None
