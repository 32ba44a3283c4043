"""A box at AimHarder in a world on a virtual clock: its venue row, its members, and what is kept of their logins."""

from __future__ import annotations

import base64
import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prebooking.bookers.aimharder.keeper import Kept, keep_sessions
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import Session, fingerprint
from prebooking.clock import Deadline, Reading
from prebooking.local.venue.members import LoginRefused
from prebooking.log import Log
from prebooking.model import Summary
from prebooking.settings import Settings
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
        """Let somebody join and log in, so long ago; return the e-mail."""
        email = f"{name}@example.com"
        self.twin.join(email, PASSWORD)
        self.log_in(email, old=old)
        return email

    def log_in(self, email: str, *, old: timedelta = timedelta(0)) -> None:
        """Keep a new login of the member's, as the tool does."""
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

    def gym_class(self, *, at: float = 0.0, capacity: int = 100, waiting: int = 0, time: str = "07:00") -> str:
        """Offer a class that opens this many seconds after the epoch; return its number."""
        class_id, opens = str(next(self._numbers)), EPOCH + timedelta(seconds=at)
        self.twin.open_class(
            class_id, opens_at=opens, capacity=capacity, waiting_list=waiting, day=DAY, time=time, box=self.host
        )
        return class_id

    def wish(self, email: str, class_id: str, **overrides: Any) -> UUID:
        """Let a member wait for a class."""
        data = {"class_id": class_id, "day": DAY} | overrides.pop("data", {})
        opens = self.twin.classes[class_id].opens_at
        made = EPOCH - timedelta(hours=1) + timedelta(seconds=next(self._numbers))
        wanted = {"user_email": email, "booking_data": data, "available_at": opens, "created_at": made}
        return add_prebooking(self.connection, self.venue, **wanted | overrides)

    async def invoke(self, **how: Any) -> Summary:
        """Be the function that books, once."""
        return await self.world.invoke(**KEYS | how)

    async def keep_sessions(self, *, clock: VirtualClock | None = None, **environment: str) -> Kept:
        """Be the function that keeps sessions alive, once."""
        clock, instance_id = clock or VirtualClock(), uuid4()
        return await keep_sessions(
            Settings.from_environment(ENVIRONMENT | KEYS | environment),
            instance_id=instance_id,
            guard=Deadline(clock, Reading.of(clock), 8),
            clock=clock,
            log=Log(instance_id=instance_id),
            to_database=self.world.wire,
            to_venues=self.world.venue_wire,
        )

    def calls(self, path: str) -> list[str]:
        """Return whose calls of a path have reached the venue, in order."""
        return [arrival.member for arrival in self.twin.ledger.arrivals(None, path=path)]

    def session(self, email: str) -> dict[str, Any]:
        """Return what is kept of a member's login: the version, whether it is over, and what was sealed."""
        row = self.connection.execute(
            "select version, expired_at is not null, sealed from public.member_sessions where user_email = %s", [email]
        ).fetchone()
        assert row is not None
        return {"version": row[0], "expired": row[1], **SEAL.open(row[2], venue_id=self.venue, member=email)}


def _now() -> datetime:
    """Return what time it is in the story; before it begins, the epoch."""
    try:
        return VirtualClock().now()
    except RuntimeError:
        return EPOCH
