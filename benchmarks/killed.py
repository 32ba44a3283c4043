"""What happens to members whose calls are under way when the process is killed, by the venue's ledger.

Every system has forty bookings at one opening. The venue acts on twenty of them, and holds all answers. Then the
process gets SIGKILL, and is started again. Two minutes later the ledger and the system's own tables are read.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from benchmarks.lateness import NAMES
from benchmarks.ledger_venue import ACTS, ledger_venue
from benchmarks.peer_process import PeerProcess
from benchmarks.report import BenchTable
from prebooking.local.postgres import LocalPostgres
from prebooking.local.stack import local_stack

OURS = "us"
MEMBERS = 2 * ACTS
SCHEDULED = 10.0  # seconds before the opening, because all start at once
ARRIVE = 60.0  # seconds until all calls must have arrived
WAIT = 120.0  # seconds after the restart
CRON = 60.0  # seconds from one call of the cron to the next
ENDS = ("once", "twice", "lost", "stuck")

# Each system and its mode, by the names of its module.
CASES = (
    ("plain_cron", "staggered"),
    ("with_apscheduler", "its persistent job store"),
    ("with_pgqueuer", "best"),
    ("with_procrastinate", "best"),
    ("with_procrastinate", "its recipe for stalled jobs, every minute"),
    ("with_dbos", "restarted with the same executor id"),
    ("with_dbos", "restarted with another executor id"),
    ("with_absurd", "best"),
)
_PREBOOKINGS = """
with v as (insert into venues (name, provider, timezone) values ('bench', 'webhook', 'UTC') returning id)
insert into prebookings (venue_id, user_email, booking_data, available_at)
select v.id, 'member' || n || '@example.com', jsonb_build_object('class_id', n::text), to_timestamp(%s)
from v, generate_series(1, %s) n returning id::text
"""
_OPEN = "select id::text from prebookings where status = 'pending'"


@dataclass(frozen=True, slots=True)
class KillResult:
    """How many members ended in each way: of those that the venue had acted on at the kill, and of the others."""

    acted: Counter[str]
    not_acted: Counter[str]


Results = dict[str, KillResult]


@contextmanager
def started() -> Iterator[Callable[[], Results]]:
    """Kill and restart all systems in the background; the value waits for the results."""
    over = threading.Event()
    with ledger_venue() as venue, LocalPostgres() as postgres, ThreadPoolExecutor(len(CASES) + 1) as threads:
        futures: dict[str, Future[KillResult]] = {OURS: threads.submit(ours, f"{venue}/us", over)}
        for number, (peer, mode) in enumerate(CASES):
            name = NAMES[peer] + ("" if mode in ("best", "staggered") else f", {mode}")
            dsn = postgres.create_database(f"killed_{number}")
            futures[name] = threads.submit(theirs, peer, mode, dsn, f"{venue}/{number}", over)
        try:
            yield lambda: {name: future.result() for name, future in futures.items()}
        finally:
            over.set()  # after Ctrl-C nothing waits any more


def theirs(peer: str, mode: str, dsn: str, url: str, over: threading.Event) -> KillResult:
    with PeerProcess(peer, mode, dsn=dsn, url=url) as process:
        process.schedule(time.time() + SCHEDULED, MEMBERS)
        acted = killed(url, process.kill)
    with PeerProcess(peer, mode, dsn=dsn, url=url, restarted=True):
        over.wait(WAIT)
        return count_ends(url, acted, dsn, [f"1/{number}" for number in range(MEMBERS)], opens(peer))


def opens(peer: str) -> str:
    return str(importlib.import_module(f"benchmarks.peers.{peer}").OPEN)


def ours(url: str, over: threading.Event) -> KillResult:
    with local_stack() as stack, ExitStack() as instances:
        function = instances.enter_context(stack.function(BOOKING_WEBHOOK_URL=url)).ready()
        rows = stack.connection.execute(_PREBOOKINGS, [time.time(), MEMBERS]).fetchall()
        cron = threading.Thread(target=_call_without_answer, args=[function.trigger])
        cron.start()
        acted = killed(url, function.kill)
        cron.join()
        again = instances.enter_context(stack.function(BOOKING_WEBHOOK_URL=url)).ready()
        until = time.monotonic() + WAIT
        while (left := until - time.monotonic()) > 0 and not over.is_set():
            again.trigger()
            over.wait(min(CRON, left))
        return count_ends(url, acted, stack.postgres.dsn(), [row[0] for row in rows], _OPEN)


def killed(url: str, kill: Callable[[], None]) -> set[str]:
    """Kill a process when all its calls have arrived, and return the bookings that the venue has acted on."""
    until = time.monotonic() + ARRIVE
    while ledger(url)["arrived"] < MEMBERS:
        if time.monotonic() > until:
            raise RuntimeError(f"only {ledger(url)['arrived']} of {MEMBERS} calls have arrived at {url}")
        time.sleep(0.05)
    kill()
    booked = set(ledger(url)["booked"])
    httpx.put(url, trust_env=False).raise_for_status()
    return booked


def count_ends(url: str, acted: set[str], dsn: str, bookings: list[str], open_: str) -> KillResult:
    """Return how many members of each group ended in each way."""
    booked = ledger(url)["booked"]
    with psycopg.connect(dsn) as connection:
        still_open = {row[0] for row in connection.execute(open_).fetchall()}
    ends = {one: end_of(booked.get(one, 0), is_open=one in still_open) for one in bookings}
    return KillResult(
        Counter(end for one, end in ends.items() if one in acted),
        Counter(end for one, end in ends.items() if one not in acted),
    )


def end_of(booked: int, *, is_open: bool) -> str:
    """Return how a member ended; a second booking counts most, because it cannot be undone."""
    if booked > 1:
        return "twice"
    return "stuck" if is_open else "once" if booked else "lost"


def ledger(url: str) -> Any:
    return httpx.get(url, trust_env=False).json()


def report(results: Results) -> BenchTable:
    ends = ", ".join(ENDS)
    shown = BenchTable(
        "killed",
        f"Members after a kill: booked {ends} after two minutes",
        ("", "killed after the venue has acted: " + ends, "killed before the venue acts: " + ends),
    )
    for name, result in results.items():
        label = f"**{name}**" if name == OURS else name
        shown.rows.append((label, _cell(result.acted), _cell(result.not_acted)))
    return shown


def summary(results: Results) -> Iterator[str]:
    """Yield sentences for the README."""
    others = {name: result for name, result in results.items() if name != OURS}
    twice = sum(result.acted["twice"] > 0 for result in others.values())
    open_ = sum(result.acted["stuck"] + result.not_acted["stuck"] > 0 for result in others.values())
    lost = sum(result.not_acted["lost"] > 0 for result in others.values())
    yield (
        f"Killed while the venue has acted on {ACTS} members and holds the answers, and started again: we book "
        f"{results[OURS].acted['once']} of {ACTS} once. Of {len(others)} other ways, {_some(twice, 'book')} members "
        f"twice, {_some(open_, 'leave')} them open for two minutes, and {_some(lost, 'lose')} the members that the "
        "venue had not booked yet."
    )


def _some(number: int, verb: str) -> str:
    return f"{number} {verb}{'s' * (number == 1)}"


def faults(results: Results) -> Iterator[str]:
    """Yield what must not happen: a member of ours who was not booked once."""
    for group in (results[OURS].acted, results[OURS].not_acted):
        if group != Counter(once=ACTS):
            yield f"members of ours after a kill: {dict(group)}"


def _cell(ends: Counter[str]) -> str:
    return " / ".join(str(ends[end]) for end in ENDS)


def _call_without_answer(trigger: Callable[[], object]) -> None:
    try:
        trigger()
    except httpx.HTTPError:
        return  # the function was killed
