"""A hostile venue: every answer of it at once, and every host that leads astray, to one real process under watch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from anyio.from_thread import start_blocking_portal

from prebooking.errors import SettingsError
from prebooking.local.function import Function
from prebooking.settings import Settings
from tests import peers
from tests.calls import prebooking
from tests.factories import add_prebooking, add_venue
from tests.peers import Peer, Script, Server
from tests.proof.canaries import MARK
from tests.proof.hostile_replies import BOOKED, MEBIBYTE, UNSURE
from tests.proof.part import Part, Result, Share
from tests.proof.stage import GUARD, Stage, ports, stage
from tests.proof.watch import Memory
from tests.world import ENVIRONMENT

_VENUES = 8  # side by side, so that a storm of one answer keeps few others waiting
MEMORY = 32 * MEBIBYTE
IN_TIME = GUARD + 1.5  # seconds: the guard, a second for the last writes, and half a one for the answer's way

HOSTS = [
    "127.0.0.1",
    "127.0.0.1:9",
    "localhost",
    "[::1]",
    "0.0.0.0",  # noqa: S104 - a host that somebody may write, not one that we bind
    "169.254.169.254",
    "metadata.google.internal",
    "10.0.0.1",
    "2130706433",
    "0x7f000001",
    "127.1",
    "evil.example/book.aimharder.com",
    "user@evil.example",
    "evil.example\n.aimharder.com",
    "evil.example#.aimharder.com",
    "evil.example?.aimharder.com",
    "evil.example\\.aimharder.com",
    "aimharder.com.evil.example",
    "aimharder.com@127.0.0.1:9",
    "xn--imharder-6fg.com",
    "..",
    "-",
    "%31%32%37.0.0.1",
]


@dataclass(slots=True)
class HostileVenue:
    """Says to each call about a prebooking what is laid down for it, and notes who called."""

    server: Server
    replies: dict[str, Script]

    def calls(self, row: UUID, method: bytes = b"POST") -> int:
        """Return how often a prebooking was sent (or asked about)."""
        return sum(request.startswith(method) and str(row).encode() in request for request in self.server.requests())


@asynccontextmanager
async def hostile_venue() -> AsyncIterator[HostileVenue]:
    """Run one, for as long as the block lasts."""
    replies: dict[str, Script] = {}

    async def script(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            request = peers.requests(bytes(peer.received))[number - 1]
            await next(reply for row, reply in replies.items() if row.encode() in request)(peer)

    async with peers.serve(script) as server:
        yield HostileVenue(server, replies)


@dataclass(slots=True)
class Play:
    """One row for every reply of the hostile venue, and what becomes of them."""

    where: Stage
    function: Function
    venue: HostileVenue
    rows: dict[str, UUID]

    def answered(self, trigger: str) -> Iterator[str]:
        """Trigger once; complain if the answer is late, a failure, or has cost too much memory."""
        memory = Memory(self.function.process.pid) if Memory.can_be_measured() else None
        started = time.monotonic()
        answer = self.where.trigger(self.function).result()
        took, grown = time.monotonic() - started, memory.grown() if memory else 0
        if took > IN_TIME or answer.status_code != 200:
            yield f"{trigger}: HTTP {answer.status_code} after {took:.1f} s"
        if grown > MEMORY:
            yield f"{trigger}: memory grew by {grown / MEBIBYTE:.0f} MiB"

    def everybody_called(self) -> Iterator[str]:
        """Trigger until every row was sent: a storm of one answer may keep others waiting until the next run."""
        for number in range(3):
            if any(not self.venue.calls(row) for row in self.rows.values()):
                yield from self.answered(f"the calls, run {number + 1}")

    def settled_or_in_doubt(self) -> Iterator[str]:
        """Complain of a row that was sent more than once, or is more certain than its answer."""
        for name, row_id in self.rows.items():
            row, sent = self.row(name), self.venue.calls(row_id)
            end = (row["status"], row["outcome"], sent)
            if end != (("completed", "booked", 1) if name in BOOKED else ("pending", None, 1)):
                yield f"{name}: {row['status']} {row['outcome']}, sent {sent} times"

    def everybody_has_a_reason(self) -> Iterator[str]:
        """Complain of a row without an end, or without a reason that a member can read."""
        for name in self.rows:
            row = self.row(name)
            reason = row["status"] == "completed" or (row["outcome"] == "unknown" and row["error_message"])
            if not reason:
                yield f"{name}: {row['status']} {row['outcome']} {row['error_message']}"

    def row(self, name: str) -> dict[str, Any]:
        return prebooking(self.where.stack.connection, self.rows[name])

    def let_the_leases_end(self) -> None:
        """Let the leases be over; production waits 30 s."""
        self._change("claimed_until = clock_timestamp(), turn_until = clock_timestamp()", "claimed_by is not null")

    def let_the_classes_begin(self) -> None:
        self._change("expires_at = clock_timestamp()", "true")

    def _change(self, what: str, where: str) -> None:
        statement = f"update prebookings set {what} where status = 'pending' and {where}"  # noqa: S608 - our own words
        self.where.stack.connection.execute(statement.encode())


@contextmanager
def play() -> Iterator[Play]:
    """Set the stage for a hostile venue."""
    with stage(_VENUES) as where, start_blocking_portal() as portal:
        venue = portal.wrap_async_context_manager(hostile_venue())
        with venue as hostile, where.function(BOOKING_WEBHOOK_URL=f"{hostile.server.url}/book") as function:
            where.allowed |= set(ports([hostile.server.url]))
            yield Play(where, function.ready(), hostile, {})


def replies(scripts: dict[str, Script]) -> Iterator[Result]:
    """Get all of these answers at once; ask, and get them again; and come to an end when the classes begin."""
    with play() as on:
        for number, (name, script) in enumerate(scripts.items()):
            wish = {"user_email": f"{MARK}{number}@example.com"}
            row = on.rows[name] = add_prebooking(
                on.where.stack.connection, on.where.venues[number % len(on.where.venues)], **wish
            )
            on.venue.replies[str(row)] = script
        found = [*on.everybody_called(), *on.settled_or_in_doubt()]
        on.let_the_leases_end()
        found += [*on.answered("the questions"), *on.settled_or_in_doubt()]
        on.let_the_leases_end()
        on.let_the_classes_begin()
        found += [*on.answered("the end"), *on.everybody_has_a_reason(), *on.where.talk_with_others()]
        on.where.search_for_canaries()
    what = "hostile answers of a venue: in time, within 32 MiB, to nobody else, each row with a reason"
    yield Result(what, len(scripts), found)
    yield on.where.canaries.result()


def _refused(host: str) -> Iterator[str]:
    """Complain if the settings take the host for a public endpoint."""
    public = {"SUPABASE_URL": "https://project.supabase.co", "BOOKING_WEBHOOK_URL": f"https://{host}/book"}
    try:
        Settings.from_environment(ENVIRONMENT | public)
    except SettingsError:
        return
    if not host.endswith((".example", ".com")):  # a public name, which may be anybody's
        yield f"the settings take {host!r}"


def hosts() -> Iterator[Result]:
    """Book at venues whose host leads astray: wherever the row says, calls go to the endpoint of the settings."""
    with play() as on:
        connection, found = on.where.stack.connection, [wrong for host in HOSTS for wrong in _refused(host)]
        for host in HOSTS:
            try:
                venue = add_venue(connection, host=host)
            except psycopg.errors.CheckViolation:
                continue
            row = on.rows[host] = add_prebooking(connection, venue, user_email=f"{MARK}@example.com")
            on.venue.replies[str(row)] = BOOKED["foreign cookies"]
        found += on.answered("the calls")
        found += [f"{host}: {on.row(host)['status']}" for host in on.rows if on.row(host)["outcome"] != "booked"]
        found += on.where.talk_with_others()
    yield Result("hostile hosts, refused or never called", len(HOSTS), found)


def _run(share: Share) -> Iterator[Result]:
    scripts = UNSURE | BOOKED
    yield from replies(dict(list(scripts.items())[:: 3 if share.size.sample else 1]))
    yield from hosts()


PART = Part("a hostile venue", _run)
