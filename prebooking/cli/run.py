"""``prebooking run``: run one invocation like the cron does, or show what it would claim."""

from __future__ import annotations

import logging
import sys
from contextlib import redirect_stdout
from datetime import datetime
from typing import Annotated
from uuid import uuid4

import typer

from prebooking import log
from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.environment import environment
from prebooking.cli.lookup import ID_LENGTH
from prebooking.cli.options import AsJson
from prebooking.cli.runner import run_command
from prebooking.cli.terminal import say, show_json, show_table
from prebooking.clock import Clock, Deadline
from prebooking.database.operator import ClaimableRow, Preview
from prebooking.errors import CommandFailed
from prebooking.function.invocation import run_once
from prebooking.local_time import format_instant
from prebooking.model import Summary
from prebooking.run.scheduler import claim_terms
from prebooking.settings import LAST_START, Settings

_WAITS_FOR = {
    "paused": "a venue that is paused, blocks us or cannot be reached: look at `prebooking venue list`",
    "no_login": "a login: look at `prebooking list`",
    "other_key": "a deployment whose SESSION_ENCRYPTION_KEY opens the login, or for a new login",
}


def run(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be claimed; send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Book due prebookings once, as the cron does."""
    run_command(_preview(as_json=as_json) if dry_run else _run(as_json=as_json))


async def _run(*, as_json: bool) -> None:
    settings = Settings.from_environment(environment())
    summary = await _run_once(settings)
    if as_json:
        show_json(summary.as_json())
    else:
        _show_summary(summary)
        if summary.success:
            async with open_database(settings) as database:
                await _show_due_elsewhere(database, settings)
    if not summary.success:
        raise CommandFailed("Part of the run failed: the log above says why.")


async def _run_once(settings: Settings) -> Summary:
    """Run once, with log warnings on standard error, so that standard output holds only the result."""
    clock, instance_id = Clock(), uuid4()
    guard = Deadline.within(clock, settings.execution_timeout_seconds)
    log.set_up()
    logging.getLogger("prebooking").setLevel(logging.WARNING)
    events = log.Log(instance_id=instance_id)
    with redirect_stdout(sys.stderr):
        return await run_once(settings, instance_id=instance_id, guard=guard, clock=clock, log=events, by_hand=True)


def _show_summary(summary: Summary) -> None:
    say(f"{summary.message} in {summary.execution_time_ms} ms.")
    for title, counts in (("Ended", summary.details), ("Outcomes", summary.outcomes)):
        if text := ", ".join(f"{count} {name}" for name, count in counts.items() if count and name != "total"):
            say(f"{title}: {text}.")
    late = summary.lateness_ms
    if late["max"] is not None:
        say(f"Lateness: {late['p50']} ms median, {late['max']} ms at most.")


async def _preview(*, as_json: bool) -> None:
    settings = Settings.from_environment(environment())
    async with open_database(settings) as database:
        preview = await database.operator.preview(
            providers=settings.systems,
            fire_within=settings.execution_timeout_seconds - LAST_START,
            until=database.deadline(),
            **claim_terms(settings),
        )
        if as_json:
            show_json(preview)
        else:
            _show_preview(preview)
            await _show_due_elsewhere(database, settings)


async def _show_due_elsewhere(database: AdminDatabase, settings: Settings) -> None:
    """Print, per reason, how many due prebookings this deployment does not book now."""
    counts = await database.operator.due_elsewhere(settings.systems, until=database.deadline())
    for reason, count in sorted(counts.items()):
        rows = "1 due row waits" if count == 1 else f"{count} due rows wait"
        say(f"{rows} for {_WAITS_FOR.get(reason, f'a deployment that has {reason} venues')}.")


def _show_preview(preview: Preview) -> None:
    say(f"A run would claim {len(preview.rows)} now; nothing was claimed or sent.")
    if preview.rows:
        show_table(
            ("Id", "Venue", "Member", "Opens", "First"),
            [_row(row, preview.now) for row in preview.rows],
            shrink={"Venue": 10, "Opens": 10, "First": 8},
        )
    if ending := preview.expired + preview.unknown:
        say(f"It would end {ending} whose class has begun: {preview.expired} expired, {preview.unknown} unknown.")


def _row(row: ClaimableRow, now: datetime) -> tuple[str, ...]:
    first = "ask the venue" if row.maybe_sent else "book" if row.available_at <= now else "wait, then book"
    opens = format_instant(row.available_at, row.venue.timezone, seconds=True)
    return (str(row.id)[:ID_LENGTH], row.venue.name, row.user_email, opens, first)
