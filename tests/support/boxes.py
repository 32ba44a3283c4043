"""A box at AimHarder on a virtual clock: its venue row, its members and their stored logins."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from api.cron.session_keeper import EVERY
from prebooking.bookers.aimharder.seal import Purpose, Seal
from prebooking.bookers.aimharder.site import Session, fingerprint
from prebooking.channels.settings import NotificationSettings
from prebooking.local.venue.members import LoginRefused
from prebooking.model import Summary
from prebooking.upkeep.part import MINUTE
from prebooking.upkeep.run import UpkeepSummary, keep_up
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.world import ENVIRONMENT, World

HOST, BOX_ID = "mybox.aimharder.com", 10_584
DAY = f"{EPOCH:%Y%m%d}"
PASSWORD = "a password"
KEY = bytes(range(32))
SEAL = Seal(KEY)
KEYS = {"SESSION_ENCRYPTION_KEY": base64.b64encode(KEY).decode()}


class Gym:
    """One box of a world. Members are named by their first names."""

    def __init__(self, world: World, *, host: str = HOST) -> None:
        self.world, self.twin, self.connection, self.host = world, world.twin, world.connection, host
        self.twin.open_box(host, box_id=BOX_ID)
        self.venue = add_venue(self.connection, provider="aimharder", host=host, provider_box_id=str(BOX_ID))
        self._numbers = itertools.count(2001)

    def member(self, name: str, *, old: timedelta = timedelta(0)) -> str:
        """Add a member who logged in ``old`` ago; return the e-mail."""
        email = f"{name}@example.com"
        self.twin.join(email, PASSWORD)
        self.log_in(email, old=old)
        return email

    def log_in(self, email: str, *, old: timedelta = timedelta(0)) -> None:
        """Store a new login of a member, as the command line does."""
        self.twin.members.now = lambda: EPOCH - old
        opened = self.twin.members.log_in(
            email, PASSWORD, family=self.host.rpartition(".")[2], fingerprint=fingerprint(email)
        )
        self.twin.members.now = _now
        assert not isinstance(opened, LoginRefused)
        self.keep(email, Session(opened.token, {"amhrdrauth": opened.cookie}, opened.fingerprint), old=old)

    def keep(self, email: str, session: Session, *, old: timedelta = timedelta(0), seal: Seal = SEAL) -> None:
        sealed = seal.seal(session.as_json(), venue_id=self.venue, member=email)
        kept = {"sealed": sealed, "key_id": seal.key_ids[0], "refreshed_at": EPOCH - old}
        add_session(self.connection, self.venue, email, **kept)

    def remember(self, email: str, password: str = PASSWORD, *, seal: Seal = SEAL, username: str = "") -> None:
        """Remember a member's password, as `prebooking login --remember` does."""
        credentials = {"username": username or email, "password": password}
        sealed = seal.seal(credentials, venue_id=self.venue, member=email, purpose=Purpose.PASSWORD)
        self.connection.execute(
            "update public.member_sessions set password = %s, password_key_id = %s"
            " where venue_id = %s and user_email = %s",
            [sealed, seal.key_ids[0], self.venue, email],
        )

    def gym_class(self, *, at: float = 0.0, capacity: int = 100, waiting: int = 0, time: str = "07:00") -> str:
        """Offer a class that opens this many seconds after the epoch; return its number."""
        class_id, opens = str(next(self._numbers)), EPOCH + timedelta(seconds=at)
        self.twin.open_class(
            class_id, opens_at=opens, capacity=capacity, waiting_list=waiting, day=DAY, time=time, box=self.host
        )
        return class_id

    def prebook(self, email: str, class_id: str, **overrides: Any) -> UUID:
        """Add a member's prebooking of a class; return its id."""
        data = {"class_id": class_id, "day": DAY} | overrides.pop("data", {})
        opens = self.twin.classes[class_id].opens_at
        made = EPOCH - timedelta(hours=1) + timedelta(seconds=next(self._numbers))
        wanted = {"user_email": email, "booking_data": data, "available_at": opens, "created_at": made}
        return add_prebooking(self.connection, self.venue, **wanted | overrides)

    def prebook_data(self, email: str, data: dict[str, Any], opens: datetime) -> UUID:
        """Add a member's prebooking with this booking data, whose class begins a week after the opening."""
        made = EPOCH - timedelta(hours=1) + timedelta(seconds=next(self._numbers))
        return add_prebooking(
            self.connection,
            self.venue,
            user_email=email,
            booking_data=data,
            available_at=opens,
            expires_at=opens + timedelta(days=7),
            created_at=made,
        )

    def prebook_in_doubt(self, email: str, class_id: str, **data: str) -> UUID:
        """Add a row as a run leaves it that was killed after its call: its lease is over, the result unknown."""
        over = EPOCH - timedelta(1)
        return self.prebook(email, class_id, data=data, claimed_by=uuid4(), claimed_until=over, turn_until=over)

    def book_by_hand(self, row: UUID, class_id: str = "") -> None:
        """Give the row's member a place in its class, or in another one, without a call of ours."""
        place = replace(self.world.booking_call(row), venue=self.host)
        self.twin.book(replace(place, class_id=class_id or place.class_id))

    async def invoke(self, **how: Any) -> Summary:
        """Invoke the function that books."""
        return await self.world.invoke(**KEYS | how)

    async def invoke_each_minute(self, minutes: int, *, until: UUID | None = None) -> None:
        """Invoke the function that books once per minute, or until a row is settled."""
        for _ in range(minutes):
            await self.invoke()
            if until and self.end(until)[0] != "pending":
                return
            await asyncio.sleep(60)

    async def keep_up(
        self, *, clock: VirtualClock | None = None, every: float = MINUTE, guard: float = 8.0, **environment: Any
    ) -> UpkeepSummary:
        """Invoke upkeep. ``every``: the seconds between two calls of its trigger."""
        telling = NotificationSettings.from_environment(ENVIRONMENT | KEYS | environment)
        keeping = partial(keep_up, every=every, notifications=telling)
        return await self.world.call(keeping, clock=clock, guard=guard, **KEYS | environment)

    async def keep_sessions(self, **how: Any) -> UpkeepSummary:
        """Invoke upkeep as its former path does, which is called every twenty minutes."""
        return await self.keep_up(every=EVERY, **how)

    def end(self, row: UUID) -> tuple[str, str | None]:
        """Return a row's status and outcome."""
        return self.world.ends([row])[0]

    def booked(self) -> list[str]:
        """Return the members who have a place, in the order in which they got it."""
        return [act.member for act in self.twin.ledger.bookings()]

    def calls(self, path: str) -> list[str]:
        """Return the members whose calls of a path have reached the venue, in order."""
        return [arrival.member for arrival in self.twin.ledger.arrivals(None, path=path)]

    def session(self, email: str) -> dict[str, Any]:
        """Return the stored login of a member: its version, whether it is over, and its sealed content."""
        row = self.connection.execute(
            "select version, expired_at is not null, sealed from public.member_sessions where user_email = %s", [email]
        ).fetchone()
        assert row is not None
        return {"version": row[0], "expired": row[1], **SEAL.open(row[2], venue_id=self.venue, member=email)}


async def side_by_side(*parts: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run several parts of a scenario concurrently; return their results."""
    return await asyncio.gather(*parts)


def _now() -> datetime:
    """Return the virtual time; before a scenario begins, the epoch."""
    try:
        return VirtualClock().now()
    except RuntimeError:
        return EPOCH
