"""``prebooking bell``: switch the trigger inside the database on and off, and show its state."""

from __future__ import annotations

from typing import Annotated

import typer

from prebooking.cli.database import AdminDatabase, open_database
from prebooking.cli.options import AsJson
from prebooking.cli.runner import FAILED, run_command
from prebooking.cli.terminal import say, show_json
from prebooking.database.bell import CANNOT, NO_ADDRESS, NOT_SCHEDULED, BellState, find_bell_faults
from prebooking.errors import BadInput, CommandFailed, StoreRefused
from prebooking.local_time import format_duration

app = typer.Typer(help="The trigger inside the database.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def on(
    url: Annotated[
        str,
        typer.Argument(help="https://<your app>/api/cron/prebooking_scheduler", metavar="URL", show_default=False),
    ],
) -> None:
    """Switch the bell on for the function at this address."""
    run_command(_on(url))


async def _on(url: str) -> None:
    async with open_database() as database:
        try:
            message = await database.bell.on(url, until=database.deadline())
        except StoreRefused as exc:
            raise await _explain_refusal(database, exc, url) from None
    say(message)


async def _explain_refusal(database: AdminDatabase, exc: StoreRefused, url: str) -> Exception:
    """Return the exception to raise for a refusal of the database."""
    if exc.code == NO_ADDRESS:
        return BadInput("That is not the function's address: https://<your app>/api/cron/prebooking_scheduler")
    if exc.code == CANNOT:
        missing = (await database.bell.state(until=database.deadline())).missing
        return CommandFailed(f"The bell cannot be switched on: {'; '.join(missing)}")
    if exc.code == NOT_SCHEDULED and (await database.bell.state(until=database.deadline())).on is False:
        return CommandFailed(f"Once, it has to be done in the SQL editor: select prebooking_bell_on('{url}')")
    return exc


@app.command()
def off() -> None:
    """Switch the bell off."""
    run_command(_off())


async def _off() -> None:
    async with open_database() as database:
        say(await database.bell.off(until=database.deadline()))


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show the state of the bell."""
    run_command(_status(as_json=as_json))


async def _status(*, as_json: bool) -> None:
    async with open_database() as database:
        state = await database.bell.state(until=database.deadline())
    if as_json:
        show_json(state)
        return
    say(f"The bell is {'on, for ' + str(state.url) if state.on else 'off'}.")
    if state.on:
        say(f"It looked {_last_look(state)}.", f"The function's LEAD_SECONDS has to be {state.lead_seconds:g}.")
    if state.triggered_at:
        answered = f", answered with HTTP {state.answer}" if state.answer else ""
        say(f"It rang {format_duration(state.now - state.triggered_at)} ago, {state.posts} calls{answered}.")
    if not state.on:
        say(*(f"It needs: {missing}" for missing in state.missing))
    if faults := list(find_bell_faults(state)):
        say(*(f"Fault: {fault}" for fault in faults))
        raise typer.Exit(FAILED)


def _last_look(state: BellState) -> str:
    return f"{format_duration(state.now - state.looked_at)} ago" if state.looked_at else "never yet"
