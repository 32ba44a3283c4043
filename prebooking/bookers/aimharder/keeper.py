"""The session keeper: refreshes members' sessions that would expire before its next run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from prebooking.bookers import aimharder
from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.sessions import REFRESH_TIME, WRITE_TIME, SessionRefresher
from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.database.prebookings import PrebookingStore
from prebooking.database.sessions import ClaimedSession, SessionClaim, SessionStore
from prebooking.errors import SealBroken, StoreError
from prebooking.http import isolated_client
from prebooking.log import Log
from prebooking.model import Kind, Outcome
from prebooking.settings import Settings
from prebooking.systems import Ability, able

EVERY = 20 * 60.0  # seconds from one run to the next
LIFE = 30 * 60.0  # seconds until a session expires, as public clients have observed
OLD = LIFE - EVERY - 120.0  # seconds: an older session would expire before the next run, or shortly after
AT_ONCE = 10  # sessions leased at a time
APART = 0.1  # seconds between the starts of two refreshes: politeness


@dataclass(slots=True)
class KeeperSummary:
    """The result of one run."""

    instance_id: UUID
    success: bool = True
    timed_out: bool = False
    execution_time_ms: int = 0
    timestamp: datetime | None = None
    details: dict[str, int] = field(default_factory=lambda: {"refreshed": 0, "expired": 0, "failed": 0})
    no_login: int = 0  # prebookings that open within a day and have no usable login

    def as_json(self) -> dict[str, Any]:
        """Return the answer to the trigger."""
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
) -> KeeperSummary:
    """Refresh the old sessions of members with an opening within a day, as many as the time until the guard allows."""
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
    """One run of the session keeper. When a run is killed, a later run refreshes the sessions that it had leased."""

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
        self._summary = KeeperSummary(sessions.instance_id)
        self._blocked: set[UUID] = set()

    async def run(self) -> KeeperSummary:
        """Warn members without a login, and refresh old sessions. One failed session does not stop the others."""
        if self._seal.key_ids:  # without a key, every login would get a wrong warning
            await self._warn_about_logins()
            await self._refresh_old()
        self._summary.timed_out, self._summary.timestamp = self._last_start.passed(), self._clock.now()
        self._summary.execution_time_ms = round(self._guard.start.elapsed(self._clock) * 1000)
        return self._summary

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
            self._summary.no_login = await self._sessions.warn_about_logins(
                providers=able(Ability.LOGINS), keys=self._seal.key_ids, until=self._last_start
            )
        except StoreError as exc:
            self._log_store_error(exc)

    async def _old(self) -> SessionClaim | None:
        """Lease the next old sessions; None if there are no more, or if the database did not answer."""
        try:
            old = await self._sessions.claim(
                providers=able(Ability.LOGINS),
                keys=self._seal.key_ids,
                older_than=OLD,
                limit=AT_ONCE,
                until=self._last_start,
            )
        except StoreError as exc:
            self._log_store_error(exc)
            return None
        return old if old.sessions or old.unreadable else None

    def _note_unreadable(self, count: int) -> None:
        if count:
            self._summary.success = False
            self._summary.details["failed"] += count
            self._log.error("sessions cannot be read", count=count)

    async def _keep(self, one: ClaimedSession) -> None:
        try:
            failure = await self._refresh(one)
            self._summary.details[_word(failure)] += 1
            self._log.info("session", venue=one.venue.id, outcome=failure.kind if failure else "refreshed")
            if failure:
                await self._warn(one, failure)
        except StoreError as exc:
            self._log_store_error(exc)
        except Exception as exc:  # noqa: BLE001 - the task group would cancel the other refreshes
            self._summary.success = False
            self._log.unexpected("unexpected", exc)

    async def _warn(self, one: ClaimedSession, failure: Outcome) -> None:
        if failure.kind is Kind.BLOCKED:
            self._blocked.add(one.venue.id)
            await self._store.release([], blocked_venue=one.venue.id, until=self._guard)
        version = one.session.version
        await self._sessions.warn(one.venue.id, one.user_email, failure, version=version, within=WRITE_TIME)

    def _log_store_error(self, exc: StoreError) -> None:
        self._summary.success = False
        self._log.error("a session could not be kept", function=exc.function, code=exc.code)

    async def _refresh(self, one: ClaimedSession) -> Outcome | None:
        site = AimHarderSite(self._client, host=one.venue.host, box_id=one.venue.provider_box_id)
        if site.problem:
            return Outcome(Kind.BAD_DATA, detail=site.problem)
        refresher = SessionRefresher(site, venue=one.venue, seal=self._seal, sessions=self._sessions, clock=self._clock)
        try:
            return await refresher.refresh(one.user_email, one.session, until=self._guard)
        except SealBroken as exc:
            return Outcome(Kind.BAD_DATA, detail=str(exc))


def _word(failure: Outcome | None) -> str:
    if failure is None:
        return "refreshed"
    return "expired" if failure.kind is Kind.SESSION_EXPIRED else "failed"
