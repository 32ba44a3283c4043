"""``make spread``: many rows open at one instant. How many invocations there are, and when the last call leaves.

Real processes of the function are measured first, as many as two cores carry. All sizes are run on a virtual clock,
with the real bell, SQL and function: there time passes by what a model says that statements and bookings cost.
SIZES=5000/250 chooses rows and venues; with WRITE=1 the tables are written into docs/scale.md.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

import httpx
import psycopg

from benchmarks.called import OURS, CalledApp
from benchmarks.run import opening
from benchmarks.venue_socket import ANSWER, venue_socket
from docs import measured
from docs.markdown import table
from prebooking.database.client import LOCK_WAIT
from prebooking.function.invocation import run_once
from prebooking.local import rest
from prebooking.local.bell import SECRET_NAME, STAND_INS
from prebooking.local.postgres import LocalPostgres, apply_migrations
from prebooking.local.stack import Stack, local_stack
from prebooking.local.virtual_time import EPOCH, VirtualClock, run_virtual, seconds_passed
from prebooking.local.virtual_world import CommittedDatabase, call_function
from prebooking.settings import Settings

SLOW_HANDSHAKE = 0.05  # seconds
LEAD = 3.0  # seconds: the bell's, and the function's with it
_LOCKED = ("claim_due_prebookings_v1", "finish_run_v1")  # they run one at a time
_BUSY = rest.RestReply(500, b'{"code": "55P03", "message": "canceling statement due to lock timeout"}')
_ENVIRONMENT = {
    "CRON_SECRET": "the-secret-of-the-benchmark",
    "SUPABASE_URL": "http://127.0.0.1:54321",
    "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_the_benchmark",
    "BOOKING_WEBHOOK_URL": "http://127.0.0.1:9/book",
    "BOOKING_WEBHOOK_SECRET": "the-secret-of-the-venue",
    "LEAD_SECONDS": f"{LEAD:g}",
}
_FILL = """
with chosen as materialized (
  insert into venues (name, provider, timezone) select 'v' || n, 'webhook', 'UTC' from generate_series(1, %(venues)s) n
  returning id), ids as materialized (select array_agg(id) as ids from chosen)
insert into prebookings (venue_id, user_email, booking_data, available_at, expires_at, created_at)
select ids[1 + n %% %(venues)s], 'm' || n || '@example.com', jsonb_build_object('class_id', n), %(opens)s,
  %(opens)s + interval '1 hour', %(opens)s - interval '1 day' + n * interval '1 ms'
from ids, generate_series(1, %(rows)s) n
"""
_BATCH, _PAUSE = 200, 1.0  # pg_net: requests sent in parallel, and the seconds after them in which it sends nothing
_BELL_ENDS = 8.0  # seconds after the opening: then the bell has nothing more to ring for
_TAKE = """
delete from net.http_request_queue where id in (select id from net.http_request_queue order by id limit %s)
returning url, timeout_milliseconds / 1000.0
"""
_numbers = itertools.count(1)
_BOOKED = "select count(*) from prebookings where outcome = 'booked'"


class OpeningSize(NamedTuple):
    """The number of rows that open at one instant, and of their venues."""

    rows: int
    venues: int

    def __str__(self) -> str:
        return f"{self.rows:,} at {self.venues:,}"


REAL = (OpeningSize(500, 25), OpeningSize(1_000, 50))
SIZES = (OpeningSize(5_000, 250), OpeningSize(20_000, 1_000), OpeningSize(100_000, 5_000))


@dataclass(frozen=True, slots=True)
class CostModel:
    """What takes time on the virtual clock, in seconds. A statement takes the CPU time that it takes here.

    Attributes:
        booking: CPU of a booking, half of it before the first byte. An invocation has one CPU.
        cores: statements that the database executes at the same time.
        start: from the arrival of the bell's request to the first statement: a cold start.
        handshake: of one request of the bell. pg_net makes all handshakes in one thread.
        network: from the function to the database or the venue, one way.
        answer: the venue's time to answer.

    """

    booking: float
    cores: int = 2
    start: float = 0.8
    handshake: float = 0.005
    network: float = 0.005
    answer: float = 0.2

    def rows(self) -> list[tuple[str, str]]:
        """Return what takes time, and how much."""
        return [
            ("a booking, of an invocation's one CPU; half of it before the first byte", _ms(self.booking)),
            ("a statement", "its CPU time on this machine"),
            ("statements at the same time", f"{self.cores}, but one claim"),
            ("from the bell's request to the first statement: a cold start", _ms(self.start)),
            ("a handshake of the bell's requests, one at a time", _ms(self.handshake)),
            ("the network to the database and to the venues, one way", _ms(self.network)),
            ("the answer of a venue", _ms(self.answer)),
        ]


@dataclass(slots=True)
class OpeningResult:
    """The calls at the venue, as seconds after the opening, and what the invocations took."""

    size: OpeningSize
    sent: list[tuple[str, str, float]] = field(default_factory=list)  # prebooking, venue, second
    durations: list[float] = field(default_factory=list)  # of the invocations, in seconds
    claims: list[float] = field(default_factory=list)  # of the claims' statements
    look: float = 0.0  # the longest look of the bell
    database: float = 0.0  # all statements
    waiting: int = 0  # most statements that were executed or waited at the same time
    lost: int = 0  # requests of the bell that pg_net cut off
    booked: int = 0

    def lateness(self) -> list[float]:
        """Return when the calls left, in order."""
        return sorted(at for _, _, at in self.sent)

    def first(self) -> list[float]:
        """Return when the first call of each venue left, in order."""
        firsts: dict[str, float] = {}
        for _, venue, at in self.sent:
            firsts[venue] = min(at, firsts.get(venue, math.inf))
        return sorted(firsts.values())

    def wrong(self) -> Counter[str]:
        """Return the number of rows that were sent twice or early, and that are not booked."""
        calls = Counter(row for row, _, _ in self.sent)
        return Counter(
            doubled=max(sum(calls.values()) - self.size.rows, sum(calls.values()) - len(calls)),
            early=sum(at < 0 for _, _, at in self.sent),
            missing=self.size.rows - self.booked,
        )


class TimedDatabase(CommittedDatabase):
    """A database that returns the CPU time of each call, because a busy machine does not change that.

    ``authenticator`` is a connection in this role.
    """

    def __init__(self, owner: psycopg.Connection[Any], authenticator: psycopg.Connection[Any]) -> None:
        super().__init__(owner, authenticator)
        self._clocks = {one: ~one.info.backend_pid << 3 | 2 for one in (owner, authenticator)}  # clock_getcpuclockid(3)
        self._functions = authenticator

    def timed(self, function: str, body: bytes, *, at: datetime) -> tuple[rest.RestReply, float]:
        """Call a function as the REST API does; return its response and the seconds."""
        start = self._cpu(self._functions)
        return self.call(function, body, at=at), self._cpu(self._functions) - start

    def look(self, at: datetime) -> float:
        """Execute one look of the bell, and return the seconds."""
        self.set_clock(at)
        start = self._cpu(self.connection)
        self.connection.execute("select prebooking_bell_tick('infinity')")
        return self._cpu(self.connection) - start

    def _cpu(self, connection: psycopg.Connection[Any]) -> float:
        return time.clock_gettime(self._clocks[connection])


class BusyDatabase(httpx.AsyncBaseTransport):
    """Executes RPCs on a database with some cores. A statement takes as much virtual time as CPU time."""

    def __init__(
        self, database: TimedDatabase, model: CostModel, result: OpeningResult, now: Callable[[], datetime]
    ) -> None:
        self._database, self._model, self._result, self._now = database, model, result, now
        self._cores, self._lock, self._waiting = asyncio.Semaphore(model.cores), asyncio.Lock(), 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        function = request.url.path.rpartition("/")[2]
        await asyncio.sleep(self._model.network)
        self._waiting += 1
        self._result.waiting = max(self._result.waiting, self._waiting)
        try:
            reply = await self._in_turn(function, request.content)
        finally:
            self._waiting -= 1
        await asyncio.sleep(self._model.network)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)

    async def _in_turn(self, function: str, body: bytes) -> rest.RestReply:
        if function not in _LOCKED:
            return await self._execute(function, body)
        try:
            async with asyncio.timeout(LOCK_WAIT):
                await self._lock.acquire()
        except TimeoutError:
            return _BUSY
        try:
            return await self._execute(function, body)
        finally:
            self._lock.release()

    async def _execute(self, function: str, body: bytes) -> rest.RestReply:
        async with self._cores:
            reply, took = self._database.timed(function, body, at=self._now())
            self._result.database += took
            if function == _LOCKED[0]:
                self._result.claims.append(took)
            await asyncio.sleep(took)
            return reply


class BusyVenue(httpx.AsyncBaseTransport):
    """The venues, as one invocation calls them with its one CPU."""

    def __init__(self, model: CostModel, result: OpeningResult, opens: float) -> None:
        self._model, self._result, self._opens, self._cpu = model, result, opens, asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":  # a question about a call without an answer: this venue never leaves one out
            return httpx.Response(501, request=request)
        await self._work()
        message = json.loads(await request.aread())
        await request.extensions["trace"]("http11.send_request_headers.started", {"request": request})
        self._result.sent.append((message["prebooking_id"], message["venue_id"], seconds_passed() - self._opens))
        await asyncio.sleep(2 * self._model.network + self._model.answer)
        await self._work()
        return httpx.Response(200, stream=httpx.ByteStream(b'{"state": "booked"}'), request=request)

    async def _work(self) -> None:
        async with self._cpu:
            await asyncio.sleep(self._model.booking / 2)


class VirtualOpening:
    """The bell, pg_net, the database, the function and the venues, with one opening, on a virtual clock."""

    def __init__(self, database: TimedDatabase, size: OpeningSize, model: CostModel) -> None:
        self.result, self._model = OpeningResult(size), model
        self._opens = LEAD + 0.5  # seconds on the virtual clock
        self._settings, self._clock = Settings.from_environment(_ENVIRONMENT), VirtualClock()
        self._database, self._owner = database, database.connection
        fill(self._owner, size, EPOCH + timedelta(seconds=self._opens))
        self._owner.execute(STAND_INS)
        self._owner.execute("select vault.create_secret('a secret of the benchmark', %s)", [SECRET_NAME])
        self._database.set_clock(EPOCH)
        self._owner.execute("select prebooking_bell_on('https://app.example.com/api/cron/prebooking_scheduler')")

    def run(self) -> OpeningResult:
        """Ring for the opening, and run the invocations until the last one has ended."""
        run_virtual(self._ring())
        [(self.result.booked,)] = self._owner.execute(_BOOKED).fetchall()
        return self.result

    async def _ring(self) -> None:
        """Look twice a second, and let pg_net send the requests of each look, batch after batch."""
        self._to_database = BusyDatabase(self._database, self._model, self.result, self._clock.now)
        invocations: list[asyncio.Task[None]] = []
        deaf_until = 0.0
        while seconds_passed() < self._opens + _BELL_ENDS:
            await self._look()
            batch = self._owner.execute(_TAKE, [_BATCH]).fetchall() if seconds_passed() >= deaf_until else []
            for number, (url, timeout) in enumerate(batch, start=1):
                if not url.endswith("scheduler"):
                    continue
                if number * self._model.handshake > timeout:
                    self.result.lost += 1
                else:
                    invocations.append(asyncio.create_task(self._invoke(number * self._model.handshake)))
            if batch:  # no answer arrives before the timeouts, because an invocation takes longer
                deaf_until = seconds_passed() + float(max(timeout for _, timeout in batch)) + _PAUSE
            await asyncio.sleep(0.5)
        await asyncio.gather(*invocations)

    async def _look(self) -> None:
        took = self._database.look(self._clock.now())
        self.result.look = max(self.result.look, took)
        await asyncio.sleep(took)

    async def _invoke(self, handshake: float) -> None:
        """Run one invocation. All of them call the same database."""
        await asyncio.sleep(handshake + self._model.network)
        began = seconds_passed()
        await asyncio.sleep(self._model.start)
        venue = BusyVenue(self._model, self.result, self._opens)
        await call_function(run_once, self._settings, self._clock, self._to_database, venue)
        self.result.durations.append(seconds_passed() - began)


def virtual(postgres: LocalPostgres, size: OpeningSize, model: CostModel) -> OpeningResult:
    """Run an opening in a new database."""
    name = f"spread_{next(_numbers)}"
    postgres.create_database(name)
    apply_migrations(postgres.dsn(name))
    with (
        psycopg.connect(postgres.dsn(name), autocommit=True) as owner,
        psycopg.connect(postgres.dsn(name, user="authenticator"), autocommit=True) as authenticator,
    ):
        return VirtualOpening(TimedDatabase(owner, authenticator), size, model).run()


def fill(connection: psycopg.Connection[Any], size: OpeningSize, opens: datetime) -> None:
    """Add the venues, and the rows that open at this instant."""
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # without triggers: ten times faster
        connection.execute(_FILL, {**size._asdict(), "opens": opens})
    connection.execute("vacuum analyze")


def real(size: OpeningSize, processes: int) -> OpeningResult:
    """Measure an opening with real processes of the function, which are called a lead before it."""
    with local_stack() as stack, venue_socket() as (venue, url), ExitStack() as running:
        options = {"BOOKING_WEBHOOK_URL": url, "LEAD_SECONDS": f"{LEAD:g}"}
        functions = [running.enter_context(stack.function(log=None, **options)).ready() for _ in range(processes)]
        opens = time.time() + LEAD + 1
        fill(stack.connection, size, datetime.fromtimestamp(opens, UTC))
        time.sleep(max(0.0, opens - LEAD - time.time()))
        with ThreadPoolExecutor(processes) as bell:
            answers = list(bell.map(lambda function: function.trigger().json(), functions))
        [(booked,)] = stack.connection.execute(_BOOKED).fetchall()
        [(claims,)] = stack.connection.execute("select array_agg(claim_ms) from prebooking_runs").fetchall()
        return OpeningResult(
            size,
            sent=[(str(number), "", at - opens) for number, at in enumerate(venue.arrivals)],
            durations=[answer["execution_time_ms"] / 1000 for answer in answers],
            claims=[claim / 1000 for claim in claims],
            booked=booked,
        )


HEADS = (
    "rows at one instant",
    "measured",
    "invocations",
    "one takes, p50 / max",
    "a claim, p50 / max",
    "first call of a venue, p50 / last",
    "last call",
    "the database's CPU",
    "left for the cron",
    "twice / early",
)


def cells(how: str, result: OpeningResult) -> list[str]:
    """Return the table's row of one opening."""
    late, first = result.lateness(), result.first()
    return [
        f"{result.size} venues",
        how,
        f"{len(result.durations)}" + (f", {result.lost} requests lost" if result.lost else ""),
        f"{_s(median(result.durations))} / {_s(max(result.durations))}",
        f"{_ms(median(result.claims))} / {_ms(max(result.claims))}",
        f"{_ms(median(first))} / {_ms(first[-1])}" if len(first) > 1 else "",
        _s(late[-1]),
        _s(result.database) if result.database else "",
        f"{result.size.rows - result.booked:,}",
        f"{result.wrong()['doubled']} / {result.wrong()['early']}",
    ]


def main() -> int:
    """Measure and print; return 1 if a row was sent twice or early."""
    logging.getLogger("prebooking").setLevel(logging.CRITICAL)
    sizes = [OpeningSize(*map(int, text.split("/"))) for text in os.environ.get("SIZES", "").split()] or SIZES
    model, rows, wrong = CostModel(booking=cpu_of_a_booking()), [], Counter[str]()
    print(table(("model", ""), model.rows()), flush=True)
    for how, result in openings(sizes, model):
        rows.append(cells(how, result))
        wrong += result.wrong()
        print(*rows[-1], sep=" | ", flush=True)
    if measured.wanted():
        measured.write(
            "spread", {"model": table(("what", "in the model"), model.rows()), "openings": table(HEADS, rows)}
        )
    return int(wrong["doubled"] + wrong["early"] > 0)


def cpu_of_a_booking() -> float:
    """Return the seconds of CPU that a booking costs the function on this machine, in a run of many at many venues."""
    with local_stack() as stack, CalledApp(OURS, stack.environment) as app:
        app.call()
        return min(_booked(stack, app, REAL[0]) for _ in range(3))


def _booked(stack: Stack, app: CalledApp, size: OpeningSize) -> float:
    idle = app.call()
    for _ in range(size.venues):
        opening(stack, size.rows // size.venues)
    return (app.call() - idle) / size.rows


def openings(sizes: Sequence[OpeningSize], model: CostModel) -> Iterator[tuple[str, OpeningResult]]:
    """Yield how each opening was measured, and its result."""
    for processes, size in enumerate(REAL, start=1):
        yield "real processes", real(size, processes)
    warm = replace(model, start=0.0, handshake=0.0, network=0.0, answer=ANSWER)
    with LocalPostgres(settings={"shared_buffers": "256MB"}) as postgres:
        for size in REAL:
            yield "model of these", virtual(postgres, size, warm)
        for size in sizes:
            yield "model", virtual(postgres, size, model)
        slow = replace(model, handshake=SLOW_HANDSHAKE)
        yield f"model with handshakes of {_ms(SLOW_HANDSHAKE)}", virtual(postgres, sizes[len(sizes) // 2], slow)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
