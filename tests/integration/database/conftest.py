"""Fixtures of the tests of the database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from prebooking.database.operator import OperatorStore
from tests.support.database import Connection, Database, Rest
from tests.support.operators import open_operator_store


@pytest.fixture
async def store(rest: Rest) -> AsyncIterator[OperatorStore]:
    """The operator's database functions through the REST layer."""
    async for store in open_operator_store(rest):
        yield store


@pytest.fixture
def editor(database: Database) -> Connection:
    """A connection of another client, for transactions that hold locks."""
    return database.connect()
