"""Members' logins at one AimHarder box, for one invocation: opened, and refreshed by one invocation at a time.

A refresh uses its token up, so it is the one call here that may cost something: it is begun only with time to hear the
answer, and what it brings is kept before anything else. A member is their address in lower case.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import AimHarderSite, Session
from prebooking.clock import Clock, Deadline
from prebooking.database.sessions import SessionStore
from prebooking.errors import SealBroken, StoreError
from prebooking.model import Kind, Outcome, SealedSession, Venue

ANSWER_TIME = 4.0  # seconds there must be for the answer of a refresh, or it is not begun
WRITE_TIME = 1.5  # seconds kept for the database after it
REFRESH_TIME = ANSWER_TIME + WRITE_TIME
_BUSY_PAUSES = (0.25,) * 8  # seconds before one asks again whether somebody else has refreshed a session
_NOT_RENEWED = {"busy": "The login is being refreshed by another run.", "gone": "The login was removed."}


@dataclass(frozen=True, slots=True)
class Held:
    """A session in plain form, and its version."""

    session: Session
    version: int


class MemberSessions:
    """The sessions of one venue's members. A member's calls get that member's session and no other."""

    def __init__(self, site: AimHarderSite, *, venue: Venue, seal: Seal, sessions: SessionStore, clock: Clock) -> None:
        self._site, self._venue, self._seal, self._sessions, self._clock = site, venue, seal, sessions, clock
        self._held: dict[str, Held] = {}
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unanswered: set[str] = set()  # whose token may be used up

    def of(self, member: str, stored: SealedSession | None) -> Held | None:
        """Return the newest session we know of. Raises SealBroken if it is there and cannot be opened."""
        held = self._held.get(member.lower())
        if stored and (held is None or stored.version > held.version):
            held = self._hold(member.lower(), stored)
        return held

    async def renew(self, member: str, *, over: int, until: Deadline) -> Outcome | None:
        """Replace a session that the venue did not accept, whose version was ``over``; None: there is a newer one.

        ``session_expired``: the venue refused to refresh it, and the end of that login is written down. ``blocked``:
        the venue blocks us. ``cannot_tell``: it could not be tried, was not answered, or could not be written down.
        """
        member = member.lower()
        async with self._one_at_a_time[member]:
            held = self._held[member]
            if held.version > over:
                return None
            try:
                return await self._renewed(member, held, until=until)
            except (SealBroken, StoreError) as exc:
                # A session that the venue gave us is good for this run, also where it could not be kept.
                code = exc.code if isinstance(exc, StoreError) else str(exc)
                return None if self._held[member].version > held.version else Outcome(Kind.CANNOT_TELL, detail=code)

    async def refresh(self, member: str, stored: SealedSession, *, until: Deadline) -> Outcome | None:
        """Refresh a session that this invocation has leased, and keep the new one; None: done.

        Raises:
            SealBroken: it cannot be opened.
            StoreError: the new one could not be kept, or its end not be written down.

        """
        return await self._refreshed(member, self._hold(member, stored), until=until)

    async def _renewed(self, member: str, held: Held, *, until: Deadline) -> Outcome | None:
        for pause in (*_BUSY_PAUSES, None):
            lease = await self._sessions.lease(self._venue.id, member, version=held.version, within=WRITE_TIME)
            if lease.state != "busy" or pause is None or until.remaining() <= pause:
                break
            await self._clock.sleep(pause)
        if lease.session:
            self._hold(member, lease.session)
            return None
        if lease.state == "leased":
            return await self._refreshed(member, held, until=until)
        if lease.state == "over":
            return Outcome(Kind.SESSION_EXPIRED)
        return Outcome(Kind.CANNOT_TELL, detail=_NOT_RENEWED[lease.state])

    async def _refreshed(self, member: str, held: Held, *, until: Deadline) -> Outcome | None:
        if member in self._unanswered or until.remaining() < REFRESH_TIME:
            return Outcome(Kind.CANNOT_TELL, detail="There was no time for a refresh, or one was not answered.")
        self._unanswered.add(member)
        fresh = await self._site.refresh(held.session, timeout=until.remaining() - WRITE_TIME)
        if isinstance(fresh, Outcome):
            return await self._given_up(member, held, fresh)
        self._unanswered.discard(member)
        self._held[member] = Held(fresh, held.version + 1)
        sealed = self._seal.seal(fresh.as_json(), venue_id=self._venue.id, member=member)
        key_id, version = self._seal.key_ids[0], held.version
        saved = await self._sessions.save(
            self._venue.id, member, sealed, key_id=key_id, version=version, within=WRITE_TIME
        )
        return await self._newer(member, held) if saved is None else None

    async def _given_up(self, member: str, held: Held, why: Outcome) -> Outcome | None:
        if why.kind is not Kind.SESSION_EXPIRED:
            return why
        if await self._sessions.warn(self._venue.id, member, why, version=held.version, within=WRITE_TIME):
            return why
        return await self._newer(member, held)

    async def _newer(self, member: str, held: Held) -> Outcome | None:
        """Use the session of a login that the member made meanwhile; the one refreshed here is not kept."""
        lease = await self._sessions.lease(self._venue.id, member, version=held.version, within=WRITE_TIME)
        if lease.session is None:
            return Outcome(Kind.CANNOT_TELL, detail="The login is being replaced.")
        self._hold(member, lease.session)
        return None

    def _hold(self, member: str, stored: SealedSession) -> Held:
        kept = self._seal.open(stored.sealed, venue_id=self._venue.id, member=member)
        try:
            session = Session.from_json(kept)
        except (KeyError, TypeError, ValueError):
            raise SealBroken("The stored login is of another kind: log in again.") from None
        held = self._held[member] = Held(session, stored.version)
        return held
