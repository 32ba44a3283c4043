"""Opens a test's OperatorStore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

from pydantic import SecretStr

from prebooking.clock import Clock, Deadline, Reading
from prebooking.database.client import create_isolated_supabase
from prebooking.database.operator import OperatorStore
from prebooking.settings import Settings
from tests.support.database import Rest
from tests.support.world import ENVIRONMENT

CLOCK = Clock()


def deadline() -> Deadline:
    return Deadline(CLOCK, Reading.of(CLOCK), 10)


async def open_operator_store(rest: Rest, key: str | None = None) -> AsyncIterator[OperatorStore]:
    settings = Settings.from_environment(ENVIRONMENT | {"SUPABASE_URL": rest.url})
    settings = settings.model_copy(update={"supabase_service_role_key": SecretStr(key or rest.service_key)})
    async with create_isolated_supabase(settings, uuid4(), clock=CLOCK) as supabase:
        yield OperatorStore(supabase)
