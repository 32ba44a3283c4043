"""The lateness of requests at the venue after their opening: ours, a plain cron job's, and other schedulers'."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.figure import draw
from benchmarks.peer_process import PeerProcess
from benchmarks.report import BenchTable, Progress
from benchmarks.venue_socket import VenueSocket, venue_socket
from prebooking.local.bell import run_bell
from prebooking.local.function import Function
from prebooking.local.postgres import LocalPostgres
from prebooking.local.stack import Stack, local_stack

REQUESTS = (1, 10, 40)
SHOWN = 10  # in the figure
OURS, CALLED = "us, with the bell", "us, a cron at second 0"
LEAD = 3.0  # seconds: the bell's, and the function's with it
FIGURE = Path(__file__).with_name("lateness")  # .png and .svg
TIMEOUT = 12.0  # seconds after the opening: a poll every 5 s, and forty calls one after the other
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples are spread evenly over a poll's interval
PAUSE = 0.1  # seconds: the last answers of an opening arrive

MODES = ("defaults", "best", "warm")
PEERS = {
    "with_apscheduler": MODES,
    "with_pgqueuer": MODES,
    "with_procrastinate": MODES,
    "with_dbos": MODES,
    "with_absurd": MODES,
    "plain_cron": ("one by one", "staggered"),
}
NAMES = {
    "with_apscheduler": "APScheduler",
    "with_pgqueuer": "PgQueuer",
    "with_procrastinate": "Procrastinate",
    "with_dbos": "DBOS",
    "with_absurd": "Absurd",
    "plain_cron": "a plain cron job",
}
# Seconds from one poll to the next by default. Openings are spread evenly over this time.
POLLS = {"with_procrastinate": 5.0, "with_dbos": 1.0, "with_absurd": 0.25}

_numbers = itertools.count(1)
_PREBOOKINGS = """
with v as (insert into venues (name, provider, timezone) values ('bench ' || %(opens)s, 'webhook', 'UTC') returning id)
insert into prebookings (venue_id, user_email, booking_data, available_at)
select v.id, 'member' || n || '@example.com', jsonb_build_object('class_id', n::text), to_timestamp(%(opens)s)
from v, generate_series(1, %(requests)s) n
"""

# Schedules this number of requests at a Unix time.
Schedule = Callable[[float, int], None]


@dataclass(frozen=True, slots=True)
class System:
    """A system that is compared. ``start`` starts it; it needs ``ready`` seconds from a schedule to the opening."""

    start: Callable[[], AbstractContextManager[Schedule]]
    ready: float = 0.5
    poll: float = 0.0

    def opening(self, requests: int) -> float:
        """Return a Unix time for the next opening."""
        phase = (next(_numbers) * GOLDEN) % 1 * self.poll
        return time.time() + self.ready + 0.02 * requests + phase


@dataclass(slots=True)
class Measured:
    """The arrivals at the venue, in ms after the opening: the first and the last of each opening."""

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    missing: int = 0


Results = dict[str, dict[int, Measured]]


def measure(rounds: int, progress: Progress) -> Results:
    """Measure every system with every number of requests, one opening after the other."""
    with venue_socket() as (venue, url), systems(url) as all_systems:
        results = {name: {requests: Measured() for requests in REQUESTS} for name in all_systems}
        for number, (name, system) in itertools.product(range(1, rounds + 1), all_systems.items()):
            progress.step(f"    round {number} of {rounds}: {name}")
            with system.start() as schedule:
                for requests, measured in results[name].items():
                    _one_opening(venue, system, schedule, requests, measured)
    return results


@contextmanager
def systems(url: str) -> Iterator[dict[str, System]]:
    """Start our functions, and yield all systems by name. Ours have a Postgres each; the others share the second."""
    with ExitStack() as open_:
        enter = open_.enter_context
        bell_stack, cron_stack = enter(local_stack()), enter(local_stack())
        ours = [_function(stack, url, lead) for stack, lead in ((bell_stack, LEAD), (cron_stack, 0.0))]
        with_bell, with_cron = (enter(function).ready() for function in ours)
        with_cron.trigger()
        enter(run_bell(bell_stack.postgres.dsn(), url=with_bell.url, secret=bell_stack.environment["CRON_SECRET"]))
        yield {
            OURS: System(partial(_with_bell, bell_stack), ready=LEAD + 1),
            CALLED: System(partial(_with_cron, cron_stack, with_cron)),
            **{
                f"{NAMES[peer]}, {mode}": System(
                    partial(_peer, cron_stack.postgres, url, peer, mode),
                    poll=POLLS.get(peer, 0.0) if mode == "defaults" else 0.0,
                )
                for peer, modes in PEERS.items()
                for mode in modes
            },
        }


def report(results: Results) -> BenchTable:
    """Return the medians: the first request of each number, and the last of most."""
    most = max(REQUESTS)
    shown = BenchTable(
        "lateness",
        "From the opening to the first byte at the venue, against ours with the bell",
        ("", *(f"the first of {requests}" for requests in REQUESTS), f"all {most} are sent"),
    )
    ours = results[OURS]
    for name, by_number in results.items():
        firsts = [_cell(by_number[one].first, ours[one].first) for one in REQUESTS]
        cells = [*firsts, _cell(by_number[most].last, ours[most].last)]
        missing = sum(measured.missing for measured in by_number.values())
        label = f"**{name}**" if name.startswith("us") else name
        shown.rows.append((label + (f" ({missing} missing)" if missing else ""), *cells))
    return shown


def summary(results: Results) -> Iterator[str]:
    """Yield sentences for the README."""
    ours = {requests: median(measured.first) for requests, measured in results[OURS].items()}
    used = [late[SHOWN] for name, late in results.items() if name.endswith((", defaults", ", best"))]
    times = [median(late.first) / ours[SHOWN] for late in used]
    yield (
        f"The first of {SHOWN} requests that are due at one instant reaches the venue {ours[SHOWN]:.1f} ms after the "
        f"opening; with other schedulers, at their default and at their best settings, it takes {min(times):.0f} to "
        f"{max(times):.0f} times as long."
    )
    warm = {median(late[1].first) / ours[1]: name for name, late in results.items() if name.endswith(", warm")}
    yield (
        f"With connections that their users would have to open before, the closest is "
        f"{warm[min(warm)].removesuffix(', warm')}: {min(warm):.1f} times as long for a single request."
    )


def faults(results: Results) -> Iterator[str]:
    """Yield what must not happen: a request of ours before its opening, or none."""
    for name in (OURS, CALLED):
        for requests, measured in results[name].items():
            if measured.missing or min(measured.first, default=0.0) < 0:
                first = min(measured.first, default=math.nan)
                yield f"{name}, {requests} at once: {measured.missing} missing, the first at {first:.1f} ms"


def figure(results: Results) -> None:
    """Draw the lateness of the first request."""
    late = {name: by_number[SHOWN].first for name, by_number in results.items()}
    draw(late, title=f"The first of {SHOWN} requests due at one instant", path=FIGURE)


def _cell(values: list[float], ours: list[float]) -> str:
    if not values:
        return "nothing arrived"
    return f"{short(median(values) / median(ours))} x ({short(median(values))} ms)"


def short(value: float) -> str:
    """Return a number with as many digits as can be quoted."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _one_opening(venue: VenueSocket, system: System, schedule: Schedule, requests: int, measured: Measured) -> None:
    venue.arrivals.clear()
    schedule(opens := system.opening(requests), requests)
    venue.wait_for(requests, until=opens + TIMEOUT)
    late = sorted((at - opens) * 1000 for at in venue.arrivals)
    measured.first += late[:1]
    measured.last += late[-1:]
    measured.missing += requests - len(late)
    time.sleep(PAUSE)


def _function(stack: Stack, url: str, lead: float) -> Function:
    return stack.function(BOOKING_WEBHOOK_URL=url, LEAD_SECONDS=f"{lead:g}")


@contextmanager
def _with_bell(stack: Stack) -> Iterator[Schedule]:
    def schedule(opens: float, requests: int) -> None:
        stack.connection.execute(_PREBOOKINGS, {"opens": opens, "requests": requests})

    yield schedule


@contextmanager
def _with_cron(stack: Stack, function: Function) -> Iterator[Schedule]:
    crons: list[threading.Timer] = []

    def schedule(opens: float, requests: int) -> None:
        stack.connection.execute(_PREBOOKINGS, {"opens": opens, "requests": requests})
        crons.append(threading.Timer(opens - time.time(), function.trigger))
        crons[-1].start()

    yield schedule
    for cron in crons:
        cron.join()


@contextmanager
def _peer(postgres: LocalPostgres, url: str, peer: str, mode: str) -> Iterator[Schedule]:
    dsn = postgres.create_database(name := f"peer_{next(_numbers)}")
    with PeerProcess(peer, mode, dsn=dsn, url=url) as process:
        yield process.schedule
    postgres.drop_database(name)
