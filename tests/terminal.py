"""Somebody at a terminal: what they type, what they read, and the venue and the database behind it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner

from prebooking.cli.app import app
from prebooking.local import venue_server
from prebooking.local.keys import Keys
from prebooking.local.venue import VenueTwin
from prebooking.settings import Settings
from tests.database import Connection, Database
from tests.postgrest import serve_rest

HOST, BOX = "centro.aimharder.com", 4242
ANA, PASSWORD = "ana@example.com", "correct horse battery"
MADRID = ZoneInfo("Europe/Madrid")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Terminal:
    """Types commands; each runs in this process, with the environment that stands."""

    def __init__(self, connection: Connection, twin: VenueTwin, environment: pytest.MonkeyPatch) -> None:
        self.connection, self.twin, self.environment = connection, twin, environment

    def type(self, *words: str, typed: str = "") -> Said:
        """Run ``prebooking`` with these words, with something on standard input."""
        ours = logging.getLogger("prebooking")
        level = ours.level
        try:
            result = CliRunner().invoke(app, list(words), input=typed, prog_name="prebooking")
        finally:
            ours.setLevel(level)  # `run` keeps it to warnings, for as long as its process lasts
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def shows(self, *words: str, columns: int = 80) -> str:
        """Run a command that works on a terminal of so many columns, and return what it shows."""
        with self.environment.context() as here:
            here.setenv("COLUMNS", str(columns))
            here.setenv("TERM", "dumb")
            here.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
            return self.does(*words)

    def does(self, *words: str, typed: str = "") -> str:
        """Run a command that works, and return what it said."""
        said = self.type(*words, typed=typed)
        assert (said.code, said.err) == (0, ""), said
        return said.out

    def refuses(self, *words: str, code: int = 1, typed: str = "") -> str:
        """Run a command that cannot work, and return its one sentence."""
        said = self.type(*words, typed=typed)
        assert (said.code, said.out) == (code, ""), said
        assert "Traceback" not in said.err
        [sentence] = said.err.splitlines()
        return sentence

    def rows(self, query: str) -> list[Any]:
        """Return what stands in the database."""
        return self.connection.execute(query.encode()).fetchall()

    # the venue

    def with_a_venue(self, *more: str) -> None:
        """Add the box, as a member would."""
        self.twin.open_box(HOST, box_id=BOX, name="Box Centro")
        words = ["venue", "add", "Box Centro", "--host", HOST, "--zone", "Europe/Madrid", "--opens", "4 days before"]
        self.does(*words, *more)

    def with_a_member(self) -> None:
        """Add the box, and log a member in there."""
        self.with_a_venue()
        self.twin.join(ANA, PASSWORD)
        self.does("login", "box", "--member", ANA, typed=f"{PASSWORD}\n")

    def offer(self, number: str = "1001", *, day: date, at: str = "19:30", name: str = "WOD", places: int = 10) -> None:
        """Let the box have a class that can be booked by its rule."""
        begins = datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=MADRID)
        opens = begins - timedelta(days=4)
        self.twin.open_class(number, opens_at=opens, capacity=places, name=name, day=f"{day:%Y%m%d}", time=at, box=HOST)


def day(ahead: int) -> date:
    """Return the day in so many days, where the gym is."""
    return (datetime.now(MADRID) + timedelta(days=ahead)).date()


@contextmanager
def sit_down(database: Database, environment: pytest.MonkeyPatch, folder: Path) -> Iterator[Terminal]:
    """Sit down at a terminal in an empty folder, with an empty database and an empty venue."""
    keys = Keys()
    twin = VenueTwin(now=lambda: datetime.now(UTC), secret="the-secret-of-the-venue")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve_rest(database.dsn_of("authenticator"), keys)) as supabase,
        portal.wrap_async_context_manager(venue_server.serve(twin)) as venue,
    ):
        for name in [*Settings.model_fields, "supabase_secret_key", "prebooking_member", "no_color", "columns"]:
            environment.delenv(name.upper(), raising=False)
        environment.chdir(folder)
        environment.setenv("SUPABASE_URL", supabase)
        environment.setenv("SUPABASE_SERVICE_ROLE_KEY", keys.secret)
        environment.setenv("SESSION_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
        environment.setenv("AIMHARDER_TWIN_URL", venue)
        yield Terminal(database.connection, twin, environment)
