"""What several tests of the operator's functions need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from prebooking.database.operator import OperatorStore
from tests.support.database import Rest
from tests.support.operators import open_operator_store


@pytest.fixture
async def store(rest: Rest) -> AsyncIterator[OperatorStore]:
    """The operator's database functions through the REST layer."""
    async for store in open_operator_store(rest):
        yield store
