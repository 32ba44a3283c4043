"""Runs commands in a test, with a database and a venue of its own."""

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

from prebooking.channels.settings import NotificationSettings
from prebooking.cli.app import app
from prebooking.local.venue import server as venue_server
from prebooking.local.venue.twin import VenueTwin
from prebooking.settings import Settings, WatchSettings
from tests.support.database import Connection, Database
from tests.support.postgrest import open_rest

HOST, BOX = "centro.aimharder.com", 4242
ANA, PASSWORD = "ana@example.com", "correct horse battery"
MADRID = ZoneInfo("Europe/Madrid")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Terminal:
    """Runs commands in this process, with the current environment."""

    def __init__(self, connection: Connection, twin: VenueTwin, environment: pytest.MonkeyPatch) -> None:
        self.connection, self.twin, self.environment = connection, twin, environment

    def run(self, *words: str, stdin: str = "") -> CommandResult:
        """Run ``prebooking`` with these arguments and this standard input."""
        ours = logging.getLogger("prebooking")
        level = ours.level
        try:
            result = CliRunner().invoke(app, list(words), input=stdin, prog_name="prebooking")
        finally:
            ours.setLevel(level)  # `prebooking run` sets it to WARNING
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return CommandResult(result.exit_code, result.stdout, result.stderr)

    def shows_at_width(self, *words: str, columns: int = 80) -> str:
        """Run a command on a terminal of this width, require success, and return its output."""
        with self.environment.context() as here:
            here.setenv("COLUMNS", str(columns))
            here.setenv("TERM", "dumb")
            here.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
            return self.succeeds(*words)

    def succeeds(self, *words: str, stdin: str = "") -> str:
        """Run a command, require success, and return its output."""
        result = self.run(*words, stdin=stdin)
        assert (result.code, result.err) == (0, ""), result
        return result.out

    def fails(self, *words: str, code: int = 1, stdin: str = "") -> str:
        """Run a command, require this exit code and one line on standard error, and return that line."""
        result = self.run(*words, stdin=stdin)
        assert (result.code, result.out) == (code, ""), result
        assert "Traceback" not in result.err
        [sentence] = result.err.splitlines()
        return sentence

    def rows(self, query: str) -> list[Any]:
        """Return the rows of a query."""
        return self.connection.execute(query.encode()).fetchall()

    # the venue

    def add_box(self, *more: str) -> None:
        """Add the box with `prebooking venue add`."""
        self.twin.open_box(HOST, box_id=BOX, name="Box Centro")
        words = ["venue", "add", "Box Centro", "--host", HOST, "--zone", "Europe/Madrid", "--opens", "4 days before"]
        self.succeeds(*words, *more)

    def add_box_and_member(self) -> None:
        """Add the box, and log a member in."""
        self.add_box()
        self.twin.join(ANA, PASSWORD)
        self.succeeds("login", "box centro", "--member", ANA, stdin=f"{PASSWORD}\n")

    def offer(self, number: str = "1001", *, day: date, at: str = "19:30", name: str = "WOD", places: int = 10) -> None:
        """Add a class to the box; its booking opens four days before, by the rule of the box."""
        begins = datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=MADRID)
        opens = begins - timedelta(days=4)
        self.twin.open_class(number, opens_at=opens, capacity=places, name=name, day=f"{day:%Y%m%d}", time=at, box=HOST)


def now(seconds: float = 0) -> datetime:
    """Return the instant this many seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def day(ahead: int) -> date:
    """Return the date ``ahead`` days from today in the gym's time zone."""
    return (datetime.now(MADRID) + timedelta(days=ahead)).date()


@contextmanager
def open_terminal(
    database: Database, environment: pytest.MonkeyPatch, folder: Path, rest: str | None = None
) -> Iterator[Terminal]:
    """Yield a Terminal in an empty folder, with an empty database and an empty venue."""
    twin = VenueTwin(now=lambda: datetime.now(UTC), secret="the-secret-of-the-venue")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_rest(database, rest)) as supabase,
        portal.wrap_async_context_manager(venue_server.serve(twin)) as venue,
    ):
        for name in [
            *Settings.model_fields,
            *NotificationSettings.model_fields,
            *WatchSettings.model_fields,
            "supabase_secret_key",
            "prebooking_member",
            "no_color",
            "columns",
        ]:
            environment.delenv(name.upper(), raising=False)
        environment.chdir(folder)
        environment.setenv("SUPABASE_URL", supabase.url)
        environment.setenv("SUPABASE_SERVICE_ROLE_KEY", supabase.service_key)
        environment.setenv("SESSION_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
        environment.setenv("AIMHARDER_TWIN_URL", venue)
        yield Terminal(database.connection, twin, environment)
