"""The bell in the database: its state, what is wrong with it, and its switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from prebooking.clock import Deadline
from prebooking.supabase import IsolatedSupabase

T = TypeVar("T")

CANNOT = "P0001"  # the code of a refusal because something is missing; the state names it, with its cure
NO_ADDRESS = "22023"  # ... because the address is not the function's
NOT_SCHEDULED = "42501"  # ... because the job was never scheduled, which only the SQL editor may do

SILENT = timedelta(seconds=90)  # pg_cron starts a run every minute; without one for longer, it does not
WAITING = timedelta(seconds=10)  # a request stays in pg_net's queue for two seconds at most while others are sent

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
    """One past run of the bell, as pg_cron has noted it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    at: AwareDatetime | None  # null: it was never started
    ended: AwareDatetime | None
    state: Literal["ok", "failed", "cut", "lost"]
    message: str | None = None  # the first line of the error


class BellState(BaseModel):
    """The bell's state, by the database's clock."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    on: bool
    url: str | None
    lead_seconds: float  # the function's LEAD_SECONDS has to be the same
    scheduled: bool
    missing: list[str]  # what it needs and lacks, each with its cure
    now: AwareDatetime
    switched_at: AwareDatetime | None = None
    looked_at: AwareDatetime | None
    runs: list[BellRun] = []  # the last five that are over, newest first
    rung_at: AwareDatetime | None
    posts: int | None  # invocations called by that ring
    unclaimed: int = 0  # due rows rung for at least a second ago, and claimed by no invocation
    waiting: int | None = None  # requests in pg_net's queue, of anybody; null: not readable
    waiting_since: AwareDatetime | None = None  # null: not for long
    answer: int | None = Field(description="the HTTP status of the last ring, if there was an answer within a second")
    answer_kind: Literal["html", "json", "other", "slow", "unsent"] | None = None  # slow: handed over, as it should be
    answer_error: str | None = None  # pg_net's, when there is no status
    queue_open: bool  # the roles of the REST API could read a request, with its secret, while it waits to be sent


def find_bell_faults(state: BellState) -> Iterator[str]:
    """Yield what is wrong with a bell that is on, from pg_cron to the function, each with its cure."""
    if not state.on:
        return
    yield from (f"it needs something: {missing}" for missing in state.missing)
    yield from _find_faults_of_runs(state)
    if state.waiting and state.waiting_since and state.now - state.waiting_since > WAITING:
        yield (
            f"{state.waiting} requests wait in pg_net's queue since {_clock(state.waiting_since)}: "
            "pg_net's worker is dead or stuck: select net.worker_restart() in the SQL editor"
        )
    if fault := _fault_of_answer(state):
        yield f"the last ring, at {_clock(state.rung_at)}: {fault}"


def _find_faults_of_runs(state: BellState) -> Iterator[str]:
    """Yield what is wrong with pg_cron's runs of the bell: missing, failed, cut or lost."""
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


def _fault_of_answer(state: BellState) -> str | None:
    """Return what the function's answer to the last ring means, or None if it is as it should be."""
    if state.answer_kind == "unsent":
        return f"the function could not be reached ({state.answer_error or 'no reason given'}): look at the address"
    if state.answer is None or 200 <= state.answer < 300:  # noqa: PLR2004 - HTTP's class of success
        return None
    answered = f"the answer was HTTP {state.answer}"
    if state.answer_kind == "html" and state.answer in (401, 403):
        return f"{answered} with {_PROTECTED}"
    if 300 <= state.answer < 400:  # noqa: PLR2004 - HTTP's class of redirects
        return f"{answered}, a redirect, which pg_net does not follow: switch the bell on again with the final address"
    return f"{answered}: {_ANSWERS.get(state.answer, 'look at the log of the function')}"


def _clock(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else "never"


_sentence = TypeAdapter(str).validate_python


class BellStore:
    """The bell's switch. Every method raises a StoreError when there is no usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def on(self, url: str, *, until: Deadline) -> str:
        """Let it ring for the function at this address, and return what is left to do.

        Raises:
            StoreRefused: with the code ``CANNOT``, ``NO_ADDRESS`` or ``NOT_SCHEDULED``.

        """
        return await self._ask("prebooking_bell_on", _sentence, until, p_url=url)

    async def off(self, *, until: Deadline) -> str:
        """Let it ring no more."""
        return await self._ask("prebooking_bell_off", _sentence, until)

    async def state(self, *, until: Deadline) -> BellState:
        """Return its state."""
        return await self._ask("prebooking_bell_status_v1", BellState.model_validate, until)

    async def _ask(self, function: str, read: Callable[[Any], T], until: Deadline, **params: str) -> T:
        return (await self._database.call(function, params, read, until=until)).value
