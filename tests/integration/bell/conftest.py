"""The bell that most of these tests run."""

from __future__ import annotations

import pytest

from tests.support.bells import Bell
from tests.support.database import Connection


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell.switched_on(owner)
