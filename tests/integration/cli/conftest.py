"""A fixture of the doctor's and the status's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.breakages import HealthySystem, make_healthy
from tests.support.database import Database
from tests.support.terminal import Terminal


@pytest.fixture
def system(terminal: Terminal, database: Database) -> Iterator[HealthySystem]:
    """Return a system without faults."""
    make_healthy(terminal)
    with ExitStack() as closing:
        yield HealthySystem(terminal, database, closing)
