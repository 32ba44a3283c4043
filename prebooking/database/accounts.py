"""Removing a member's data."""

from __future__ import annotations

from uuid import UUID

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.database.overview import DatabaseModel


class Forgotten(DatabaseModel):
    """What was removed; ``being_booked`` counts the prebookings that are kept until they end."""

    logins: int
    repeats: int
    absences: int
    channels: int
    cancelled: int
    anonymised: int
    being_booked: int


class AccountStore:
    """Removes members' data. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def logout(self, venue_id: UUID, user_email: str, *, until: Deadline) -> bool:
        """Remove a member's login at a venue. Returns False if there is none."""
        params = {"p_venue_id": str(venue_id), "p_user_email": user_email}
        return (await self._database.call("logout_v1", params, read_bool, until=until)).value

    async def forget(self, user_email: str, *, until: Deadline) -> Forgotten:
        """Remove a member's logins, repeats, absences and channels.

        Pending prebookings are cancelled, ended ones are anonymised.
        """
        params = {"p_user_email": user_email}
        return (await self._database.call("forget_member_v1", params, Forgotten.model_validate, until=until)).value
