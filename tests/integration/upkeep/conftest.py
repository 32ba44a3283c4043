"""The box of these tests."""

from __future__ import annotations

import pytest

from tests.support.boxes import Gym
from tests.support.database import Database
from tests.support.world import World


@pytest.fixture
def gym(database: Database) -> Gym:
    return Gym(World(database))
