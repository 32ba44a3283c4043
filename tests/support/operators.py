"""Opens the database's client for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from uuid import UUID, uuid4

from pydantic import SecretStr

from prebooking.clock import Clock, Deadline
from prebooking.database.client import IsolatedSupabase, create_isolated_supabase
from prebooking.database.operator import OperatorStore
from prebooking.settings import Settings
from tests.support.database import Rest
from tests.support.world import ENVIRONMENT

CLOCK = Clock()


def deadline(seconds: float = 10) -> Deadline:
    return Deadline.within(CLOCK, seconds)


def open_client(
    rest: Rest, key: str | None = None, instance: UUID | None = None
) -> AbstractAsyncContextManager[IsolatedSupabase]:
    """Open a client of a test's REST API, with the service key or another one."""
    settings = Settings.from_environment(ENVIRONMENT | {"SUPABASE_URL": rest.url})
    settings = settings.model_copy(update={"supabase_service_role_key": SecretStr(key or rest.service_key)})
    return create_isolated_supabase(settings, instance or uuid4(), clock=CLOCK)


async def open_operator_store(rest: Rest, key: str | None = None) -> AsyncIterator[OperatorStore]:
    async with open_client(rest, key) as supabase:
        yield OperatorStore(supabase)
