"""What a command works at: the database, opened for it, by the settings it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from prebooking.accounts import AccountStore
from prebooking.bell import BellStore
from prebooking.cli.environment import environment
from prebooking.clock import Clock, Deadline, Reading
from prebooking.operator import OperatorStore
from prebooking.sessions import SessionStore
from prebooking.settings import DatabaseSettings
from prebooking.store import PrebookingStore
from prebooking.supabase import create_isolated_supabase

PATIENCE = 15.0  # seconds a command waits for the database, all its tries together
TRY = 5.0  # seconds one try may take: the figures of a month are counted, not kept


@dataclass(frozen=True, slots=True)
class Desk:
    """The database, as an operator and as the scheduler uses it."""

    operator: OperatorStore
    prebookings: PrebookingStore
    sessions: SessionStore
    bell: BellStore
    accounts: AccountStore
    clock: Clock

    def soon(self) -> Deadline:
        """Return until when an answer is waited for that is asked for now."""
        return Deadline(self.clock, Reading.of(self.clock), PATIENCE)


@asynccontextmanager
async def open_desk(settings: DatabaseSettings | None = None) -> AsyncIterator[Desk]:
    """Open the database by these settings, or by those of the environment. Raises SettingsError."""
    settings = settings or DatabaseSettings.from_environment(environment())
    clock, instance_id = Clock(), uuid4()
    async with create_isolated_supabase(settings, instance_id, clock=clock, timeout=TRY) as database:
        store = PrebookingStore(database, instance_id=instance_id, clock=clock)
        sessions = SessionStore(database, instance_id=instance_id, clock=clock)
        yield Desk(OperatorStore(database), store, sessions, BellStore(database), AccountStore(database), clock)
