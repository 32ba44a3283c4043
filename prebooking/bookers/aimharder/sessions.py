"""The members' sessions at one AimHarder box, for one invocation: decrypted, and refreshed by one invocation at a time.

A refresh uses up the token of a session. So it starts only if there is time to read the answer, and the new session is
stored before anything else happens. Members are identified by their address in lower case.
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

ANSWER_TIME = 4.0  # seconds for the answer to a refresh; with less time left, no refresh starts
WRITE_TIME = 1.5  # seconds for storing the new session
REFRESH_TIME = ANSWER_TIME + WRITE_TIME
_BUSY_PAUSES = (0.25,) * 8  # seconds between queries for a session that another run is refreshing
_NOT_RENEWED = {"busy": "The login is being refreshed by another run.", "gone": "The login was removed."}


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A decrypted session, and its version."""

    session: Session
    version: int


class SessionRefresher:
    """The sessions of one venue's members. Every method reads and writes the session of the given member only."""

    def __init__(self, site: AimHarderSite, *, venue: Venue, seal: Seal, sessions: SessionStore, clock: Clock) -> None:
        self._site, self._venue, self._seal, self._sessions, self._clock = site, venue, seal, sessions, clock
        self._held: dict[str, OpenSession] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unanswered: set[str] = set()  # members whose token may be used up

    def of(self, member: str, stored: SealedSession | None) -> OpenSession | None:
        """Return the member's newest known session, or None. Raises SealBroken if it cannot be decrypted."""
        held = self._held.get(member.lower())
        if stored and (held is None or stored.version > held.version):
            held = self._open(member.lower(), stored)
        return held

    async def renew(self, member: str, *, refused_version: int, until: Deadline) -> Outcome | None:
        """Replace the session of this version, which the venue refused. Returns None if there is a newer session now.

        Otherwise returns ``session_expired`` if the venue refused the refresh, and the end of the login was stored;
        ``blocked`` if the venue blocks us; ``cannot_tell`` if the refresh was not tried, not answered or not stored.
        """
        member = member.lower()
        async with self._locks[member]:
            held = self._held[member]
            if held.version > refused_version:
                return None
            try:
                return await self._renew(member, held, until=until)
            except (SealBroken, StoreError) as exc:
                # A session from the venue is valid for this run, even if it could not be stored.
                code = exc.code if isinstance(exc, StoreError) else str(exc)
                return None if self._held[member].version > held.version else Outcome(Kind.CANNOT_TELL, detail=code)

    async def refresh(self, member: str, stored: SealedSession, *, until: Deadline) -> Outcome | None:
        """Refresh a session that this invocation has leased, and store the new one; None: done.

        Raises:
            SealBroken: the session cannot be decrypted.
            StoreError: the new session, or the end of the login, could not be stored.

        """
        return await self._refresh(member, self._open(member, stored), until=until)

    async def _renew(self, member: str, held: OpenSession, *, until: Deadline) -> Outcome | None:
        for pause in (*_BUSY_PAUSES, None):
            lease = await self._sessions.lease(self._venue.id, member, version=held.version, within=WRITE_TIME)
            if lease.state != "busy" or pause is None or until.remaining() <= pause:
                break
            await self._clock.sleep(pause)
        if lease.session:
            self._open(member, lease.session)
            return None
        if lease.state == "leased":
            return await self._refresh(member, held, until=until)
        if lease.state == "over":
            return Outcome(Kind.SESSION_EXPIRED)
        return Outcome(Kind.CANNOT_TELL, detail=_NOT_RENEWED[lease.state])

    async def _refresh(self, member: str, held: OpenSession, *, until: Deadline) -> Outcome | None:
        if member in self._unanswered or until.remaining() < REFRESH_TIME:
            return Outcome(Kind.CANNOT_TELL, detail="There was no time for a refresh, or one was not answered.")
        self._unanswered.add(member)
        fresh = await self._site.refresh(held.session, timeout=until.remaining() - WRITE_TIME)
        if isinstance(fresh, Outcome):
            return await self._refresh_failed(member, held, fresh)
        self._unanswered.discard(member)
        self._held[member] = OpenSession(fresh, held.version + 1)
        sealed = self._seal.seal(fresh.as_json(), venue_id=self._venue.id, member=member)
        key_id, version = self._seal.key_ids[0], held.version
        saved = await self._sessions.save(
            self._venue.id, member, sealed, key_id=key_id, version=version, within=WRITE_TIME
        )
        return await self._use_newer(member, held) if saved is None else None

    async def _refresh_failed(self, member: str, held: OpenSession, why: Outcome) -> Outcome | None:
        if why.kind is not Kind.SESSION_EXPIRED:
            return why
        if await self._sessions.warn(self._venue.id, member, why, version=held.version, within=WRITE_TIME):
            return why
        return await self._use_newer(member, held)

    async def _use_newer(self, member: str, held: OpenSession) -> Outcome | None:
        """Use the session of a newer login that the member has made. The session that was refreshed here is dropped."""
        lease = await self._sessions.lease(self._venue.id, member, version=held.version, within=WRITE_TIME)
        if lease.session is None:
            return Outcome(Kind.CANNOT_TELL, detail="The login is being replaced.")
        self._open(member, lease.session)
        return None

    def _open(self, member: str, stored: SealedSession) -> OpenSession:
        content = self._seal.open(stored.sealed, venue_id=self._venue.id, member=member)
        try:
            session = Session.from_json(content)
        except (KeyError, TypeError, ValueError):
            raise SealBroken("The stored login is of another kind: log in again.") from None
        held = self._held[member] = OpenSession(session, stored.version)
        return held
