"""The lateness of requests at the venue after their opening: ours, a plain cron job's, and other schedulers'.

``python -m benchmarks.lateness --rounds 1`` takes three minutes; figures to quote need twenty rounds, in an hour.
"""

from __future__ import annotations

import argparse
import itertools
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figure import draw
from benchmarks.venue_socket import VenueSocket, venue_socket
from prebooking.local.bell import run_bell
from prebooking.local.function import Function
from prebooking.local.postgres import LocalPostgres
from prebooking.local.stack import Stack, local_stack

REQUESTS = (1, 10, 40)
OURS = "us, with the bell"
LEAD = 3.0  # seconds: the bell's, and the function's with it
FIGURE = Path(__file__).with_name("lateness")  # .png and .svg
READY = 4.0  # seconds from a system's start to the opening, in which it schedules its requests
PATIENCE = 12.0  # seconds after the opening: a poll every 5 s, and forty calls one after the other

PEERS = {
    "with_apscheduler": ("defaults", "best", "warm"),
    "with_pgqueuer": ("defaults", "best", "warm"),
    "with_procrastinate": ("defaults", "best", "warm"),
    "plain_cron": ("one by one", "staggered"),
}

_numbers = itertools.count(1)
_PREBOOKINGS = """
with v as (insert into venues (name, provider, timezone) values ('bench ' || %(opens)s, 'webhook', 'UTC') returning id)
insert into prebookings (venue_id, user_email, booking_data, available_at)
select v.id, 'member' || n || '@example.com', jsonb_build_object('class_id', n::text), to_timestamp(%(opens)s)
from v, generate_series(1, %(requests)s) n
"""

# A context manager that starts a system, which sends this number of requests at a Unix time.
System = Callable[[float, int], AbstractContextManager[None]]


@dataclass(slots=True)
class Measured:
    """The arrivals at the venue, in ms after the opening."""

    first: list[float] = field(default_factory=list)
    every: list[float] = field(default_factory=list)
    missing: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.lateness", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, nargs="+", default=REQUESTS)
    parser.add_argument("--figure", type=Path, metavar="PATH", help="write PATH.png and PATH.svg, of ten at once")
    chosen = parser.parse_args()
    results = measure(chosen.rounds, chosen.requests)
    Console(width=140).print(table(results))
    if chosen.figure:
        _draw(results, chosen.figure)


def measure(rounds: int, numbers: Sequence[int]) -> dict[tuple[str, int], Measured]:
    """Measure every system with every number of requests, one after the other."""
    with venue_socket() as (venue, url), systems(url) as all_systems:
        results = {(name, requests): Measured() for requests in numbers for name in all_systems}
        for _, (name, requests) in itertools.product(range(rounds), list(results)):
            _one_opening(venue, all_systems[name], requests, results[name, requests])
    return results


@contextmanager
def systems(url: str) -> Iterator[dict[str, System]]:
    """Start our functions, and yield all systems by name. Ours have a Postgres each; the others share the second."""
    with ExitStack() as open_:
        enter = open_.enter_context
        rung, called = enter(local_stack()), enter(local_stack())
        ours = [_function(stack, url, lead) for stack, lead in ((rung, LEAD), (called, 0.0))]
        with_bell, with_cron = (enter(function).ready() for function in ours)
        enter(run_bell(rung.postgres.dsn(), url=with_bell.url, secret=rung.environment["CRON_SECRET"]))
        yield {
            OURS: partial(_rung, rung),
            "us, a cron at :00": partial(_called, called, with_cron),
            **{
                f"{peer.removeprefix('with_').replace('_', ' ')}, {how}": partial(
                    _peer, called.postgres, url, peer=peer, how=how
                )
                for peer, hows in PEERS.items()
                for how in hows
            },
        }


def figures(rounds: int) -> Iterator[tuple[str, str, str]]:
    """Yield the lateness of the first request, relative to ours, per system and number; also draw the figure."""
    results = measure(rounds, REQUESTS)
    _draw(results, FIGURE)
    for (name, requests), measured in results.items():
        first, every = spread(measured.first), spread(measured.every)
        yield (
            f"{requests} due at one instant, {name}",
            f"{first[0] / spread(results[OURS, requests].first)[0]:.1f}",
            f"first {_format(first)}; all {_format(every)} ms"
            + (f"; {measured.missing} missing" if measured.missing else ""),
        )


def _draw(results: dict[tuple[str, int], Measured], path: Path) -> None:
    numbers = {requests for _, requests in results}
    shown = 10 if 10 in numbers else min(numbers)
    late = {name: measured.first for (name, requests), measured in results.items() if requests == shown}
    draw(late, title=f"The first of {shown} requests due at one instant", path=path)


def _format(figures: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in figures)


def table(results: dict[tuple[str, int], Measured]) -> Table:
    """Return a table with a line per system and number of requests: the first request, and all of them."""
    shown = Table("at once", "system", "first p50", "p99", "max", "all p50", "p99", "max", "missing", title=_TITLE)
    for (name, requests), measured in results.items():
        figures = [f"{value:.1f}" for late in (measured.first, measured.every) for value in spread(late)]
        shown.add_row(str(requests), name, *figures, str(measured.missing or ""))
    return shown


_TITLE = "ms from the opening to the first byte at the venue's socket"


def spread(values: Sequence[float]) -> list[float]:
    """Return p50, p99 and the maximum, by nearest rank; NaN without values."""
    line = sorted(values)
    return [line[math.ceil(len(line) * share) - 1] if line else math.nan for share in (0.5, 0.99, 1)]


def _one_opening(venue: VenueSocket, system: System, requests: int, measured: Measured) -> None:
    venue.arrivals.clear()
    opens = time.time() + READY
    with system(opens, requests):
        venue.wait_for(requests, until=opens + PATIENCE)
        late = sorted((at - opens) * 1000 for at in venue.arrivals)
    measured.first += late[:1]
    measured.every += late
    measured.missing += requests - len(late)


def _function(stack: Stack, url: str, lead: float) -> Function:
    return stack.function(BOOKING_WEBHOOK_URL=url, LEAD_SECONDS=f"{lead:g}")


@contextmanager
def _rung(stack: Stack, opens: float, requests: int) -> Iterator[None]:
    stack.connection.execute(_PREBOOKINGS, {"opens": opens, "requests": requests})
    yield


@contextmanager
def _called(stack: Stack, function: Function, opens: float, requests: int) -> Iterator[None]:
    stack.connection.execute(_PREBOOKINGS, {"opens": opens, "requests": requests})
    cron = threading.Timer(opens - time.time(), function.trigger)
    cron.start()
    yield
    cron.join()


@contextmanager
def _peer(postgres: LocalPostgres, url: str, opens: float, requests: int, *, peer: str, how: str) -> Iterator[None]:
    name = f"peer_{next(_numbers)}"
    dsn = postgres.create_database(name)
    command = [sys.executable, "-m", "benchmarks.peers", peer, dsn, url, str(opens), str(requests), how]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:  # noqa: S603 - this interpreter, this project
        try:
            yield
        finally:
            process.kill()
            output = process.stderr.read() if process.stderr else b""
            if b"Traceback" in output:
                sys.stderr.write(output.decode(errors="replace"))
    postgres.drop_database(name)


if __name__ == "__main__":
    main()
