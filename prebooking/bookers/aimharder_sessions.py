"""Members' logins at one AimHarder box, for one invocation: opened, and refreshed by one invocation at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from prebooking.bookers.aimharder_site import AimHarderSite, Session
from prebooking.clock import Clock
from prebooking.errors import SealBroken, StoreError
from prebooking.model import Kind, Outcome, SealedSession, Venue
from prebooking.sessions import Seal, SessionStore

REFRESH_AFTER = timedelta(minutes=20)  # a session lives about thirty
WRITE_TIME = 1.5  # seconds kept for the database, of the time a refresh may take: a token that is not kept is lost


@dataclass(frozen=True, slots=True)
class Held:
    """A session that is open, and which version of it."""

    session: Session
    version: int
    refreshed_at: datetime


class MemberSessions:
    """The sessions of one venue's members. No session is ever given out but to its own member's calls."""

    def __init__(self, site: AimHarderSite, *, venue: Venue, seal: Seal, sessions: SessionStore, clock: Clock) -> None:
        self._site, self._venue, self._seal, self._sessions, self._clock = site, venue, seal, sessions, clock
        self._held: dict[str, Held] = {}
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def of(self, member: str, stored: SealedSession | None) -> Held | None:
        """Return the newest session we know of. Raises SealBroken if it is there and cannot be opened."""
        held = self._held.get(member)
        if stored and (held is None or stored.version > held.version):
            held = self._held[member] = self._opened(member, stored)
        return held

    def is_fresh(self, held: Held) -> bool:
        """Say whether it will live through this invocation."""
        return self._clock.now() - held.refreshed_at < REFRESH_AFTER

    async def prepare(self, member: str, stored: SealedSession | None, *, renew: bool, within: float) -> Outcome | None:
        """See that there is a session to book with; None: there is. ``renew`` one that a call has shown to be over."""
        async with self._one_at_a_time[member]:
            try:
                held = self.of(member, stored)
                if held is None:
                    return Outcome(Kind.SESSION_EXPIRED, detail="No login is stored.")
                if self.is_fresh(held) and not renew:
                    return None
                return await self._renewed(member, held, renew=renew, within=within)
            except SealBroken as exc:
                return Outcome(Kind.SESSION_EXPIRED, detail=str(exc))
            except StoreError as exc:
                return Outcome(Kind.UNKNOWN, detail=exc.code)

    async def refresh(self, member: str, stored: SealedSession, *, within: float) -> Outcome | None:
        """Refresh a session that this invocation has leased, and keep the new one; None: done.

        Raises:
            SealBroken: it cannot be opened.
            StoreError: the new one could not be kept, or its end not be written down.

        """
        return await self._refreshed(member, self.of(member, stored) or self._opened(member, stored), within=within)

    async def _renewed(self, member: str, held: Held, *, renew: bool, within: float) -> Outcome | None:
        lease = await self._sessions.lease(self._venue.id, member, version=held.version, within=WRITE_TIME)
        if lease.session:
            self._held[member] = self._opened(member, lease.session)
            return None
        if lease.state == "gone":
            return Outcome(Kind.SESSION_EXPIRED)
        if lease.state == "busy":  # whoever has it in hand keeps it alive; until then the old one may do
            return Outcome(Kind.UNKNOWN, detail="being refreshed") if renew else None
        return await self._refreshed(member, held, within=within - WRITE_TIME)

    async def _refreshed(self, member: str, held: Held, *, within: float) -> Outcome | None:
        if within <= WRITE_TIME:
            return Outcome(Kind.UNKNOWN, detail="no time left")
        fresh = await self._site.refresh(held.session, timeout=within - WRITE_TIME)
        if isinstance(fresh, Outcome):
            if fresh.kind is Kind.SESSION_EXPIRED:
                await self._sessions.warn(self._venue.id, member, fresh, version=held.version, within=WRITE_TIME)
            return fresh
        self._held[member] = Held(fresh, held.version + 1, self._clock.now())
        sealed = self._seal.seal(fresh.as_json(), venue_id=self._venue.id, member=member)
        await self._sessions.save(self._venue.id, member, sealed, version=held.version, within=WRITE_TIME)
        return None

    def _opened(self, member: str, stored: SealedSession) -> Held:
        kept = self._seal.open(stored.sealed, venue_id=self._venue.id, member=member)
        try:
            return Held(Session.from_json(kept), stored.version, stored.refreshed_at)
        except (KeyError, TypeError, ValueError):
            raise SealBroken("The stored login is of another kind: log in again.") from None
