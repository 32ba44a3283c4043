"""The connection of a command to the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from prebooking.cli.environment import environment
from prebooking.clock import Clock, Deadline
from prebooking.database.accounts import AccountStore
from prebooking.database.bell import BellStore
from prebooking.database.channels import ChannelStore
from prebooking.database.client import create_isolated_supabase
from prebooking.database.operator import OperatorStore
from prebooking.database.places import PlaceStore
from prebooking.database.prebookings import PrebookingStore
from prebooking.database.repeats import RepeatStore
from prebooking.database.sessions import SessionStore
from prebooking.database.versions import VersionStore
from prebooking.settings import DatabaseSettings

CALL_TIMEOUT = 15.0  # seconds for one database call with all its retries
TRY_TIMEOUT = 5.0  # seconds for one try: `prebooking status` counts all rows of a month


@dataclass(frozen=True, slots=True)
class AdminDatabase:
    """The database functions that commands call, in one object per subject."""

    operator: OperatorStore
    prebookings: PrebookingStore
    sessions: SessionStore
    bell: BellStore
    accounts: AccountStore
    places: PlaceStore
    repeats: RepeatStore
    channels: ChannelStore
    versions: VersionStore
    clock: Clock

    def deadline(self) -> Deadline:
        """Return the deadline for a query that starts now."""
        return Deadline.within(self.clock, CALL_TIMEOUT)


@asynccontextmanager
async def open_database(settings: DatabaseSettings | None = None) -> AsyncIterator[AdminDatabase]:
    """Connect with these settings, by default those of the environment. Raises SettingsError."""
    settings = settings or DatabaseSettings.from_environment(environment())
    clock, instance_id = Clock(), uuid4()
    async with create_isolated_supabase(settings, instance_id, clock=clock, timeout=TRY_TIMEOUT) as supabase:
        store = PrebookingStore(supabase, instance_id=instance_id, clock=clock)
        sessions = SessionStore(supabase, instance_id=instance_id, clock=clock)
        yield AdminDatabase(
            operator=OperatorStore(supabase),
            prebookings=store,
            sessions=sessions,
            bell=BellStore(supabase),
            accounts=AccountStore(supabase),
            places=PlaceStore(supabase),
            repeats=RepeatStore(supabase),
            channels=ChannelStore(supabase),
            versions=VersionStore(supabase),
            clock=clock,
        )
