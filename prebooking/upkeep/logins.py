"""The part "logins": refreshes sessions that would expire before the next call, and makes automatic logins."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.sessions import REFRESH_TIME, WRITE_TIME, SessionRefresher
from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.clock import Deadline
from prebooking.database.prebookings import PrebookingStore
from prebooking.database.sessions import ClaimedSession, SessionClaim, SessionStore
from prebooking.errors import SealBroken, StoreError
from prebooking.model import Kind, Outcome
from prebooking.systems import Ability, able
from prebooking.upkeep.automatic_logins import AutomaticLogins
from prebooking.upkeep.part import ERRORS, OUT_OF_TIME, UpkeepContext

LIFE = 30 * 60.0  # seconds until a session expires, as public clients have observed
OLD = 25 * 60.0  # seconds: an older session is refreshed, equal to upkeep_logins_due in the database
AT_ONCE = 10  # sessions leased at a time
APART = 0.1  # seconds between the starts of two refreshes: politeness


class LoginsPart:
    """One round of refreshes. When it is killed, a later round refreshes the sessions that it had leased."""

    def __init__(self, context: UpkeepContext) -> None:
        self._context, self._clock, self._log = context, context.clock, context.log
        self._sessions = SessionStore(context.database, instance_id=context.instance_id, clock=context.clock)
        self._store = PrebookingStore(context.database, instance_id=context.instance_id, clock=context.clock)
        self._seal = Seal.of(context.settings)
        self._old_age = min(OLD, LIFE - context.every - 120.0)
        self._counts = Counter(refreshed=0, logged_in=0, expired=0, wrong_password=0, failed=0)
        self._blocked: set[UUID] = set()

    async def run(self, until: Deadline) -> dict[str, int]:
        """Refresh sessions and log members in, as many as the time allows. One that fails stops no other."""
        self._guard, self._last_start = until, until.before(REFRESH_TIME)
        if self._seal.key_ids:
            async with self._context.client("aimharder") as self._client:
                automatic = AutomaticLogins(self._context, self._client, self._counts)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._refresh_old())
                    both.create_task(automatic.run(until))
        return dict(self._counts) | ({OUT_OF_TIME: 1} if self._last_start.passed() else {})

    async def _refresh_old(self) -> None:
        async with asyncio.TaskGroup() as refreshes:
            while not self._last_start.passed() and (old := await self._old()) is not None:
                self._note_unreadable(old.unreadable)
                for one in old.sessions:
                    if not self._last_start.passed() and one.venue.id not in self._blocked:
                        refreshes.create_task(self._keep(one))
                        await self._clock.sleep(APART)

    async def _old(self) -> SessionClaim | None:
        """Lease the next old sessions; None if there are no more, or if the database did not answer."""
        try:
            old = await self._sessions.claim(
                providers=able(Ability.LOGINS),
                keys=self._seal.key_ids,
                older_than=self._old_age,
                limit=AT_ONCE,
                until=self._last_start,
            )
        except StoreError as exc:
            self._log_store_error(exc)
            return None
        return old if old.sessions or old.unreadable else None

    def _note_unreadable(self, count: int) -> None:
        if count:
            self._counts.update({ERRORS: 1, "failed": count})
            self._log.error("sessions cannot be read", count=count)

    async def _keep(self, one: ClaimedSession) -> None:
        try:
            failure = await self._refresh(one)
            self._counts[_word(failure)] += 1
            self._log.info("session", venue=one.venue.id, outcome=failure.kind if failure else "refreshed")
            if failure:
                await self._warn(one, failure)
        except StoreError as exc:
            self._log_store_error(exc)
        except Exception as exc:  # noqa: BLE001 - the task group would cancel the other refreshes
            self._counts[ERRORS] += 1
            self._log.unexpected("unexpected", exc)

    async def _warn(self, one: ClaimedSession, failure: Outcome) -> None:
        if failure.kind is Kind.BLOCKED:
            self._blocked.add(one.venue.id)
            await self._store.release([], blocked_venue=one.venue.id, until=self._guard)
        version = one.session.version
        await self._sessions.warn(one.venue.id, one.user_email, failure, version=version, within=WRITE_TIME)

    def _log_store_error(self, exc: StoreError) -> None:
        self._counts[ERRORS] += 1
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
