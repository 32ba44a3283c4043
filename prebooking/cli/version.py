"""``prebooking version``: the versions of the command, of the database and of the function, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import typer

import prebooking
from prebooking.cli.database import open_database
from prebooking.cli.options import AsJson
from prebooking.cli.runner import FAILED, run_command
from prebooking.cli.terminal import say, show_json
from prebooking.database.migrations import known_migrations
from prebooking.database.versions import Versions
from prebooking.errors import NOT_MIGRATED, StoreRefused
from prebooking.local_time import format_duration

OLDER = "The database is older than this command: run `prebooking init`, then deploy the function of the same version"
NEWER = "The database is newer than this command: install the newest version of the command"
NO_BOOKKEEPING = "unknown, because its migrations are not noted"
FUNCTION_OLDER = "The function is older than this command: deploy it again, after `prebooking init`"
FUNCTION_NEWER = "The function is newer than this command: install the newest version of the command"


def version(*, as_json: AsJson = False) -> None:
    """Show the versions of this command, of the database and of the function, and what to do if they do not fit."""
    run_command(_version(as_json=as_json))


async def _version(*, as_json: bool) -> None:
    ours, newest = prebooking.__version__, known_migrations()[-1].version
    if not as_json:
        say(f"command   {ours}, with migrations up to {newest}")
    async with open_database() as database:
        try:
            found = await database.versions.read(until=database.deadline())
        except StoreRefused as exc:
            if exc.code not in NOT_MIGRATED:
                raise
            found = Versions(migration="before 20261126000021", function=None, called_at=None)
        now = database.clock.now()
    problems = list(_find_problems(found, ours, newest))
    if as_json:
        show_json(_as_json(found, ours, newest, problems))
    else:
        say(f"database  {found.migration or NO_BOOKKEEPING}", f"function  {_function(found, now)}")
        say(*(f"{problem}." for problem in problems))
    if problems:
        raise typer.Exit(FAILED)


def _find_problems(found: Versions, ours: str, newest: str) -> Iterator[str]:
    if found.migration and found.migration != newest:
        yield NEWER if found.migration.isdecimal() and found.migration > newest else OLDER
    if found.function and found.function != ours:
        yield FUNCTION_NEWER if _parts(found.function) > _parts(ours) else FUNCTION_OLDER


def _parts(text: str) -> list[int]:
    """Return the numbers of a version, to compare it: "0.10.1" is [0, 10, 1]."""
    return [int(part) if part.isdecimal() else 0 for part in text.split(".")]


def _function(found: Versions, now: datetime) -> str:
    if not found.called_at:
        return "unknown, because upkeep has not called yet"
    called = f"upkeep called {format_duration(max(now, found.called_at) - found.called_at)} ago"
    return f"{found.function or 'older than 0.1.0'}, {called}"


def _as_json(found: Versions, ours: str, newest: str, problems: list[str]) -> dict[str, Any]:
    return {
        "command": {"version": ours, "migration": newest},
        "database": {"migration": found.migration},
        "function": {"version": found.function, "called_at": found.called_at.isoformat() if found.called_at else None},
        "problems": problems,
    }
