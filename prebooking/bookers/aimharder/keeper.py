"""Keeps members' logins alive until their classes open: refreshes those that would end before its next run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from prebooking.bookers import aimharder
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.sessions import REFRESH_TIME, WRITE_TIME, MemberSessions
from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.database.prebookings import PrebookingStore
from prebooking.database.sessions import ClaimedSessions, MemberSession, SessionStore
from prebooking.errors import SealBroken, StoreError
from prebooking.http import isolated_client
from prebooking.log import Log
from prebooking.model import Kind, Outcome
from prebooking.settings import Settings
from prebooking.systems import Ability, able

EVERY = 20 * 60.0  # seconds from one run to the next
LIFE = 30 * 60.0  # seconds a session lives, as public clients have seen it
OLD = LIFE - EVERY - 120.0  # seconds: older ones would be dead, or nearly, when the next run comes
AT_ONCE = 10  # sessions leased at a time
APART = 0.1  # seconds from the start of one refresh to the next: politeness


@dataclass(slots=True)
class Kept:
    """The result of one run."""

    instance_id: UUID
    success: bool = True
    timed_out: bool = False
    execution_time_ms: int = 0
    timestamp: datetime | None = None
    details: dict[str, int] = field(default_factory=lambda: {"refreshed": 0, "expired": 0, "failed": 0})
    no_login: int = 0  # prebookings that open within a day and have no login to be booked with

    def as_json(self) -> dict[str, Any]:
        """Return what is answered."""
        refreshed = self.details["refreshed"]
        return {
            "success": self.success,
            "message": f"Refreshed {refreshed} session{'s' * (refreshed != 1)}",
            "instance_id": str(self.instance_id),
            "execution_time_ms": self.execution_time_ms,
            "timestamp": self.timestamp.isoformat() if self.timestamp else None,
            "timed_out": self.timed_out,
            "details": self.details,
            "no_login": self.no_login,
        }


async def keep_sessions(
    settings: Settings,
    *,
    instance_id: UUID,
    guard: Deadline,
    clock: Clock,
    log: Log,
    to_database: httpx.AsyncBaseTransport | None = None,
    to_venues: httpx.AsyncBaseTransport | None = None,
) -> Kept:
    """Refresh old sessions of members with an opening within a day, one after the other, until the guard is near."""
    async with (
        create_isolated_supabase(settings, instance_id, clock=clock, transport=to_database) as database,
        isolated_client(transport=to_venues or aimharder.transport(settings)) as client,
    ):
        keeper = SessionKeeper(
            client,
            sessions=SessionStore(database, instance_id=instance_id, clock=clock),
            store=PrebookingStore(database, instance_id=instance_id, clock=clock),
            seal=Seal.of(settings),
            guard=guard,
            clock=clock,
            log=log,
        )
        return await keeper.run()


class SessionKeeper:
    """One round through the sessions that are old. A run that dies leaves what it leased for the next one."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        sessions: SessionStore,
        store: PrebookingStore,
        seal: Seal,
        guard: Deadline,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client, self._sessions, self._store, self._seal = client, sessions, store, seal
        self._guard, self._clock, self._log = guard, clock, log
        self._last_start = guard.later(-REFRESH_TIME)
        self._kept = Kept(sessions.instance_id)
        self._blocked: set[UUID] = set()

    async def run(self) -> Kept:
        """Warn members without a login, and refresh old sessions. One that fails stops no other."""
        if self._seal.key_ids:  # a deployment without a key opens no login, so it says nothing about any
            await self._warn_about_logins()
            await self._refresh_old()
        self._kept.timed_out, self._kept.timestamp = self._last_start.passed(), self._clock.now()
        self._kept.execution_time_ms = round(self._guard.start.elapsed(self._clock) * 1000)
        return self._kept

    async def _refresh_old(self) -> None:
        async with asyncio.TaskGroup() as refreshes:
            while not self._last_start.passed() and (old := await self._old()) is not None:
                self._note_unreadable(old.unreadable)
                for one in old.sessions:
                    if not self._last_start.passed() and one.venue.id not in self._blocked:
                        refreshes.create_task(self._keep(one))
                        await self._clock.sleep(APART)

    async def _warn_about_logins(self) -> None:
        try:
            self._kept.no_login = await self._sessions.warn_about_logins(
                providers=able(Ability.LOGINS), keys=self._seal.key_ids, until=self._last_start
            )
        except StoreError as exc:
            self._fault(exc)

    async def _old(self) -> ClaimedSessions | None:
        """Lease the next old sessions; None: there are no more, or the database did not answer."""
        try:
            old = await self._sessions.claim(
                providers=able(Ability.LOGINS),
                keys=self._seal.key_ids,
                older_than=OLD,
                limit=AT_ONCE,
                until=self._last_start,
            )
        except StoreError as exc:
            self._fault(exc)
            return None
        return old if old.sessions or old.unreadable else None

    def _note_unreadable(self, count: int) -> None:
        if count:
            self._kept.success = False
            self._kept.details["failed"] += count
            self._log.error("sessions cannot be read", count=count)

    async def _keep(self, one: MemberSession) -> None:
        try:
            why_not = await self._refreshed(one)
            self._kept.details[_word(why_not)] += 1
            self._log.info("session", venue=one.venue.id, outcome=why_not.kind if why_not else "refreshed")
            if why_not:
                await self._warn(one, why_not)
        except StoreError as exc:
            self._fault(exc)
        except Exception as exc:  # noqa: BLE001 - the other refreshes are under way, and must not be cancelled
            self._kept.success = False
            self._log.unexpected("unexpected", exc)

    async def _warn(self, one: MemberSession, why_not: Outcome) -> None:
        if why_not.kind is Kind.BLOCKED:
            self._blocked.add(one.venue.id)
            await self._store.release([], blocked_venue=one.venue.id, until=self._guard)
        version = one.session.version
        await self._sessions.warn(one.venue.id, one.user_email, why_not, version=version, within=WRITE_TIME)

    def _fault(self, exc: StoreError) -> None:
        self._kept.success = False
        self._log.error("a session could not be kept", function=exc.function, code=exc.code)

    async def _refreshed(self, one: MemberSession) -> Outcome | None:
        site = AimHarderSite(self._client, host=one.venue.host, box_id=one.venue.provider_box_id)
        if site.problem:
            return Outcome(Kind.BAD_DATA, detail=site.problem)
        members = MemberSessions(site, venue=one.venue, seal=self._seal, sessions=self._sessions, clock=self._clock)
        try:
            return await members.refresh(one.user_email, one.session, until=self._guard)
        except SealBroken as exc:
            return Outcome(Kind.BAD_DATA, detail=str(exc))


def _word(why_not: Outcome | None) -> str:
    if why_not is None:
        return "refreshed"
    return "expired" if why_not.kind is Kind.SESSION_EXPIRED else "failed"
