"""Automatic logins: a member with a remembered password is logged in once before each opening.

The database decides when, and counts each attempt before it is made. So a login whose invocation is killed is not made
again for the same opening; its member gets a warning, as after any other failure.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Literal
from uuid import UUID

import httpx

from prebooking.bookers.aimharder.seal import Purpose, Seal
from prebooking.bookers.aimharder.sessions import REFRESH_TIME, WRITE_TIME
from prebooking.bookers.aimharder.site import AimHarderSite
from prebooking.clock import Deadline
from prebooking.database.logins import ClaimedLogin, LoginStore
from prebooking.database.prebookings import PrebookingStore
from prebooking.errors import BadBookingData, LoginRefusal, SealBroken, StoreError, VenueRefused
from prebooking.systems import Ability, able
from prebooking.upkeep.part import ERRORS, UpkeepContext

AT_ONCE = 5  # logins leased at a time, and all of them are made
APART = 0.2  # seconds between the starts of two logins: politeness
_STOPS = (LoginRefusal.TOO_MANY_ATTEMPTS, LoginRefusal.BLOCKED)
_ENDS: dict[LoginRefusal, Literal["wrong_password", "stopped"]] = {
    LoginRefusal.WRONG_PASSWORD: "wrong_password",
    **dict.fromkeys(_STOPS, "stopped"),
}


class AutomaticLogins:
    """The logins of one invocation. ``counts`` is updated with their results."""

    def __init__(self, context: UpkeepContext, client: httpx.AsyncClient, counts: Counter[str]) -> None:
        self._client, self._counts = client, counts
        self._clock, self._log, self._seal = context.clock, context.log, Seal.of(context.settings)
        self._logins = LoginStore(context.database, instance_id=context.instance_id, clock=context.clock)
        self._store = PrebookingStore(context.database, instance_id=context.instance_id, clock=context.clock)
        self._begun: set[tuple[UUID, str]] = set()
        self._stopped: set[UUID] = set()  # venues

    async def run(self, until: Deadline) -> None:
        """Make the logins that are due, in small batches, as many as the time until the guard allows."""
        self._until, last_claim = until, until.before(REFRESH_TIME + AT_ONCE * APART)
        while not last_claim.passed() and (logins := await self._claim(last_claim)):
            async with asyncio.TaskGroup() as batch:
                for one in logins:
                    batch.create_task(self._log_in(one))
                    await self._clock.sleep(APART)

    async def _claim(self, until: Deadline) -> list[ClaimedLogin]:
        """Lease the next logins. A claim may return earlier ones again, which are left out."""
        providers, keys = able(Ability.LOGINS), self._seal.key_ids
        try:
            logins = await self._logins.claim(providers=providers, keys=keys, limit=AT_ONCE, until=until)
        except StoreError as exc:
            self._log_store_error(exc)
            return []
        new = [one for one in logins if _key(one) not in self._begun]
        self._begun.update(map(_key, new))
        return new

    async def _log_in(self, one: ClaimedLogin) -> None:
        try:
            refusal = await self._attempt(one)
            self._counts[_word(refusal)] += 1
            self._log.info("login", venue=one.venue.id, outcome=refusal or "logged_in")
        except StoreError as exc:
            self._log_store_error(exc)
        except Exception as exc:  # noqa: BLE001 - the task group would cancel the other logins
            self._counts[ERRORS] += 1
            self._log.unexpected("unexpected", exc)

    async def _attempt(self, one: ClaimedLogin) -> LoginRefusal | None:
        """Log a member in with one call and store the session. Returns None, or why there is no session."""
        if one.venue.id in self._stopped:  # nothing is sent, and the lease ends by itself
            return LoginRefusal.BLOCKED
        site = AimHarderSite(self._client, host=one.venue.host, box_id=one.venue.provider_box_id)
        try:
            kept = self._open(one)
            timeout = self._until.remaining() - WRITE_TIME
            login = await site.open_session(kept["username"], kept["password"], timeout=timeout)
        except VenueRefused as exc:
            return await self._end(one, exc.why)
        except (SealBroken, BadBookingData):
            return await self._end(one, LoginRefusal.UNREADABLE)
        sealed = self._seal.seal(login.session.as_json(), venue_id=one.venue.id, member=one.user_email)
        again, key_id = self._sealed_again(one, kept), self._seal.key_ids[0]
        await self._logins.save(one, sealed, key_id=key_id, password=again, within=self._write_time())
        return None

    def _open(self, one: ClaimedLogin) -> dict[str, str]:
        """Decrypt the name and the password of a login. Raises SealBroken, also if they are of another kind."""
        kept: Any = self._seal.open(
            one.password, venue_id=one.venue.id, member=one.user_email, purpose=Purpose.PASSWORD
        )
        if not isinstance(kept, dict) or not all(isinstance(kept.get(name), str) for name in ("username", "password")):
            raise SealBroken("The stored password is of another kind: log in again.")
        return kept

    async def _end(self, one: ClaimedLogin, why: LoginRefusal) -> LoginRefusal:
        """Store that there is no session. After one of ``_STOPS``, no other login is made at the venue for an hour."""
        if why in _STOPS:
            self._stopped.add(one.venue.id)
        await self._logins.end(one, _ENDS.get(why, "failed"), within=self._write_time())
        if why is LoginRefusal.BLOCKED:
            await self._store.release([], blocked_venue=one.venue.id, until=self._until)
        return why

    def _sealed_again(self, one: ClaimedLogin, kept: dict[str, str]) -> str | None:
        """Return the password sealed with the current key, or None if it is already."""
        if one.password_key_id == self._seal.key_ids[0]:
            return None
        return self._seal.seal(kept, venue_id=one.venue.id, member=one.user_email, purpose=Purpose.PASSWORD)

    def _write_time(self) -> float:
        return max(WRITE_TIME, self._until.remaining())

    def _log_store_error(self, exc: StoreError) -> None:
        self._counts[ERRORS] += 1
        self._log.error("a login could not be stored", function=exc.function, code=exc.code)


def _key(one: ClaimedLogin) -> tuple[UUID, str]:
    return one.venue.id, one.user_email


def _word(refusal: LoginRefusal | None) -> str:
    if refusal is None:
        return "logged_in"
    return "wrong_password" if refusal is LoginRefusal.WRONG_PASSWORD else "failed"
