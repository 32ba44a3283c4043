"""The connections to the database, its clock, the world on a virtual clock, and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import At, Connection, Database, set_clock
from tests.support.factories import noon
from tests.support.postgrest import which_rest
from tests.support.terminal import Terminal, open_terminal
from tests.support.world import World


@pytest.fixture
def owner(database: Database) -> Connection:
    """A superuser's connection, for rows and for looking."""
    return database.connection


@pytest.fixture
def service(database: Database) -> Connection:
    """The scheduler's connection, as ``service_role``."""
    return database.connect("service_role")


@pytest.fixture
def at(owner: Connection) -> At:
    """Stops the database's clock at noon; calling it sets the clock, in seconds after noon."""

    def _set(seconds: float) -> None:
        set_clock(owner, noon(seconds))

    _set(0)
    return _set


@pytest.fixture
def stand_ins() -> None:
    """The test's database has what a ``Bell`` needs (see ``database``). A fixture named ``bell`` does the same."""


@pytest.fixture
def world(database: Database) -> World:
    """A world on a virtual clock around the test's database."""
    return World(database)


@pytest.fixture
def terminal(
    request: pytest.FixtureRequest, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Terminal]:
    """A terminal with an empty database and an empty venue, on the REST API that the file's TERMINAL_REST names."""
    rest = getattr(request.module, "TERMINAL_REST", None) or which_rest()
    with open_terminal(database, monkeypatch, tmp_path, rest) as terminal:
        yield terminal
