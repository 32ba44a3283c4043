"""``prebooking doctor``: is everything as it must be? One line each, with the cure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from datetime import timedelta

import typer

from prebooking.cli.checks import (
    FUNCTIONS,
    Check,
    look_at_bell,
    look_at_clock,
    look_at_database,
    look_at_secrets,
    look_at_settings,
)
from prebooking.cli.desk import Desk, open_desk
from prebooking.cli.environment import environment
from prebooking.cli.options import AsJson
from prebooking.cli.perform import COULD_NOT, perform, sentences
from prebooking.cli.terminal import say, show_json
from prebooking.cli.visits import look_at_sessions, look_at_venues
from prebooking.clock import Reading
from prebooking.errors import SettingsError, StoreError
from prebooking.settings import AccountSettings

_NO_GRAIN = timedelta(0)  # the database tells the time to the microsecond


def doctor(*, as_json: AsJson = False) -> None:
    """Check that everything is as it must be."""
    perform(_doctor(as_json=as_json))


async def _doctor(*, as_json: bool) -> None:
    found = []
    async for check in _examine():
        found.append(check)
        if not as_json:
            say(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.said}")
    if as_json:
        show_json([asdict(check) for check in found])
    if not all(check.ok for check in found):
        raise typer.Exit(COULD_NOT)


async def _examine() -> AsyncIterator[Check]:
    given = environment()
    for check in (*look_at_settings(given), *look_at_secrets(given)):
        yield check
    try:
        settings = AccountSettings.from_environment(given)
    except SettingsError:
        yield Check("database", ok=False, said="not looked at: the settings come first")
        return
    async with open_desk(settings) as desk:
        try:
            async for check in _outside(desk, settings, given):
                yield check
        except StoreError as exc:
            yield Check("database", ok=False, said=sentences(exc)[0])


async def _outside(desk: Desk, settings: AccountSettings, given: Mapping[str, str]) -> AsyncIterator[Check]:
    asked = Reading.of(desk.clock)
    facts = await desk.operator.facts(FUNCTIONS, until=desk.soon())
    clock = look_at_clock("clock of the database", facts.now, asked, desk.clock, grain=_NO_GRAIN)
    yield Check("database", ok=True, said="answers")
    for check in (*look_at_database(facts), clock):
        yield check
    yield look_at_bell(await desk.bell.state(until=desk.soon()), given)
    venues = await desk.operator.venues(until=desk.soon())
    async for check in look_at_venues(venues, settings, given.get("BOOKING_WEBHOOK_URL"), desk.clock):
        yield check
    async for check in look_at_sessions(await desk.operator.sessions(None, until=desk.soon()), settings, facts.now):
        yield check
