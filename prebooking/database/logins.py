"""The database functions for automatic logins. Each attempt is counted before it is made."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from prebooking.clock import Clock, Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.model import Venue


class ClaimedLogin(BaseModel):
    """A session that is leased for an automatic login: its version, and the sealed password."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    venue: Venue
    user_email: str
    version: int
    password: str = Field(repr=False)
    password_key_id: str


_version = TypeAdapter(int | None).validate_python
_raw = TypeAdapter(list[Any]).validate_python
_login = TypeAdapter(ClaimedLogin).validate_python


class LoginStore:
    """Automatic logins: one method calls one function. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase, *, instance_id: UUID, clock: Clock) -> None:
        self._database, self._instance_id, self._clock = database, instance_id, clock

    async def claim(
        self, *, providers: Iterable[str], keys: Iterable[str], limit: int, until: Deadline
    ) -> list[ClaimedLogin]:
        """Lease sessions for automatic logins now, the earliest opening first.

        A repeated call also returns the logins that this invocation has leased and not ended. An unreadable row is left
        out: its attempt is counted, and its member gets a warning.
        """
        params: dict[str, Any] = {"p_instance": str(self._instance_id), "p_providers": list(providers)}
        params |= {"p_keys": list(keys), "p_limit": limit}
        logins = []
        for row in (await self._database.call("claim_logins_v1", params, _raw, until=until)).value:
            with suppress(ValidationError):
                logins.append(_login(row))
        return logins

    async def save(
        self, login: ClaimedLogin, sealed: str, *, key_id: str, password: str | None, within: float
    ) -> int | None:
        """Store the session of a login, and return its version; ``within`` is in seconds.

        ``password`` is the password encrypted again, or None to leave it. Returns None if the member has logged in or
        out meanwhile, and changes nothing then.
        """
        params = _key(login) | {"p_sealed": sealed, "p_key_id": key_id}
        params |= {"p_password": password, "p_password_key_id": key_id} if password else {}
        return (await self._database.call("save_login_v1", params, _version, until=self._until(within))).value

    async def end(
        self, login: ClaimedLogin, why: Literal["wrong_password", "stopped", "failed"], *, within: float
    ) -> bool:
        """End a login without a session; False if the member has logged in or out meanwhile.

        A wrong password is removed. ``stopped`` stops automatic logins at the venue for an hour.
        """
        params = _key(login) | {"p_why": why, "p_password": login.password}
        return (await self._database.call("end_login_v1", params, read_bool, until=self._until(within))).value

    def _until(self, seconds: float) -> Deadline:
        return Deadline.within(self._clock, seconds)


def _key(login: ClaimedLogin) -> dict[str, Any]:
    return {"p_venue_id": str(login.venue.id), "p_user_email": login.user_email, "p_version": login.version}
