"""The bell, the trigger inside the database: its state, its faults, and switching it on and off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase

T = TypeVar("T")

# SQLSTATEs with which prebooking_bell_on refuses.
CANNOT = "P0001"  # a requirement is missing; BellState.missing names it
NO_ADDRESS = "22023"  # the URL is not the address of the function
NOT_SCHEDULED = "42501"  # there is no job yet; only the SQL editor may schedule it

SILENT = timedelta(seconds=90)  # pg_cron starts a run every minute: after a longer gap, a run is missing
WAITING = timedelta(seconds=10)  # a working pg_net sends a request within two seconds

_RUNS_IN_SQL = "select prebooking_bell_status_v1() -> 'runs' in the SQL editor shows the last runs"
_ANSWERS = {
    401: "the secret in Vault is not the function's CRON_SECRET: select vault.update_secret(id, '<CRON_SECRET>') "
    "from vault.secrets where name = 'prebooking_cron_secret'",
    403: "the function's host refuses the database: look at its firewall",
    404: "there is no function at this address: switch the bell on again with the right one",
    405: "there is no function at this address: switch the bell on again with the right one",
    402: "the function's host has paused the deployment: look at its plan",
    429: "the function's host says that it was called too often: look at its limits",
}
_PROTECTED = (
    "a page instead of the function, as Vercel's Deployment Protection does: "
    "use the production domain, or switch the protection off"
)


class BellRun(BaseModel):
    """One past run of the bell in pg_cron's records."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    at: AwareDatetime | None  # null: it did not start
    ended: AwareDatetime | None
    state: Literal["ok", "failed", "cut", "lost"]
    message: str | None = None  # the first line of the error


class BellState(BaseModel):
    """The bell's state, by the database's clock."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    on: bool
    url: str | None
    lead_seconds: float  # must equal the function's LEAD_SECONDS
    scheduled: bool
    missing: list[str]  # one message per missing requirement
    now: AwareDatetime
    switched_at: AwareDatetime | None = None
    looked_at: AwareDatetime | None
    runs: list[BellRun] = []  # the last five finished runs, newest first
    triggered_at: AwareDatetime | None
    posts: int | None  # invocations that this ring called
    unclaimed: int = 0  # due rows that no invocation claimed within a second of their ring
    waiting: int | None = None  # all requests in pg_net's queue; null: not readable
    waiting_since: AwareDatetime | None = None  # null: the queue has moved recently
    answer: int | None = Field(description="HTTP status of the last ring's answer, if it came within a second")
    # "slow" is the normal case: the request is still running.
    answer_kind: Literal["html", "json", "other", "slow", "unsent"] | None = None
    answer_error: str | None = None  # pg_net's error, if there is no status
    queue_open: bool  # whether API roles can read queued requests, which contain the secret


def find_bell_faults(state: BellState) -> Iterator[str]:
    """Yield one message per fault of a bell that is on, in the order from pg_cron to the function."""
    if not state.on:
        return
    yield from (f"it needs something: {missing}" for missing in state.missing)
    yield from _find_run_faults(state)
    if state.waiting_since and state.now - state.waiting_since > WAITING:
        yield (
            f"{state.waiting} requests wait in pg_net's queue since {_clock(state.waiting_since)}: "
            "pg_net's worker is dead or stuck: select net.worker_restart() in the SQL editor"
        )
    if fault := _find_answer_fault(state):
        yield f"the last ring, at {_clock(state.triggered_at)}: {fault}"


def _find_run_faults(state: BellState) -> Iterator[str]:
    """Yield one message per fault of the bell's pg_cron runs: missing, failed, cut off or lost."""
    seen = max(filter(None, (state.looked_at, state.switched_at)), default=None)
    if seen is None or state.now - seen > SILENT:
        since = f"since {_clock(state.looked_at)}" if state.looked_at else "yet"
        yield (
            f"pg_cron has not run it {since}: {_RUNS_IN_SQL}, "
            f"and select prebooking_bell_on('{state.url}') there schedules it again"
        )
    last = state.runs[0] if state.runs else None
    if last and last.state == "cut":
        yield (
            "its runs are cut off by a statement_timeout of less than a minute: "
            "alter role postgres set statement_timeout = '2min' in the SQL editor"
        )
    elif last and last.state != "ok":
        what = last.message or "no message"
        yield f"its last run {'did not end' if last.state == 'lost' else 'failed'} ({what}): {_RUNS_IN_SQL}"
    starts = [run.at for run in state.runs if run.at]
    if any(later - earlier > SILENT for later, earlier in pairwise(starts)):
        yield f"pg_cron leaves minutes out: other jobs take its workers (cron.max_running_jobs); {_RUNS_IN_SQL}"


def _find_answer_fault(state: BellState) -> str | None:
    """Return the fault that the function's answer to the last ring shows, or None."""
    if state.answer_kind == "unsent":
        return f"the function could not be reached ({state.answer_error or 'no reason given'}): look at the address"
    if state.answer is None or 200 <= state.answer < 300:  # noqa: PLR2004 - HTTP success
        return None
    answered = f"the answer was HTTP {state.answer}"
    if state.answer_kind == "html" and state.answer in (401, 403):
        return f"{answered} with {_PROTECTED}"
    if 300 <= state.answer < 400:  # noqa: PLR2004 - HTTP redirection
        return f"{answered}, a redirect, which pg_net does not follow: switch the bell on again with the final address"
    return f"{answered}: {_ANSWERS.get(state.answer, 'look at the log of the function')}"


def _clock(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else "never"


_sentence = TypeAdapter(str).validate_python


class BellStore:
    """Switches the bell. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def on(self, url: str, *, until: Deadline) -> str:
        """Switch the bell on for the function at this address, and return what is left to do.

        Raises:
            StoreRefused: with the code ``CANNOT``, ``NO_ADDRESS`` or ``NOT_SCHEDULED``.

        """
        return await self._ask("prebooking_bell_on", _sentence, until, p_url=url)

    async def off(self, *, until: Deadline) -> str:
        """Switch the bell off, and return a message about it."""
        return await self._ask("prebooking_bell_off", _sentence, until)

    async def state(self, *, until: Deadline) -> BellState:
        """Return the bell's state."""
        return await self._ask("prebooking_bell_status_v1", BellState.model_validate, until)

    async def _ask(self, function: str, read: Callable[[Any], T], until: Deadline, **params: str) -> T:
        return (await self._database.call(function, params, read, until=until)).value
