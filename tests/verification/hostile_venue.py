"""Checks one watched process against all responses of a hostile venue at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from anyio.from_thread import start_blocking_portal

from prebooking.bookers.aimharder.seal import Seal
from prebooking.bookers.aimharder.site import Session
from prebooking.local.function import Function
from prebooking.settings import Settings
from tests.support import peers
from tests.support.calls import prebooking
from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.peers import Peer, Script, Server
from tests.verification.canaries import MARK
from tests.verification.harness import GUARD, TIMEOUT, Harness, new_harness, ports
from tests.verification.hostile_replies import AT_AIMHARDER, BOOKED, CLEAR_AT_AIMHARDER, MEBIBYTE, UNSURE, ok, says
from tests.verification.part import Part, Result, Share
from tests.verification.watch import Memory

_VENUES = 8  # venues, so that an endless response delays few other rows
MEMORY = 32 * MEBIBYTE
IN_TIME = GUARD + 3.0  # seconds: the guard, a second for the last writes, and two because the machine is busy


@dataclass(slots=True)
class HostileVenue:
    """Responds to each call about a prebooking as planned, and records the calls."""

    server: Server
    replies: dict[UUID, Script]

    @staticmethod
    def key(row: UUID) -> str:
        """Return the cookie of a row's member, because calls to a box contain no prebooking id."""
        return f"{MARK}-{row.hex}"

    def is_about(self, row: UUID, request: bytes) -> bool:
        return str(row).encode() in request or self.key(row).encode() in request

    def calls(self, row: UUID) -> int:
        """Return how often a prebooking was sent."""
        return sum(request.startswith(b"POST") and self.is_about(row, request) for request in self.server.requests())


@asynccontextmanager
async def hostile_venue() -> AsyncIterator[HostileVenue]:
    """Run a hostile venue until the end of the block."""
    venue = HostileVenue(Server(), {})

    async def script(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            request = peers.requests(bytes(peer.received))[number - 1]
            planned = (reply for row, reply in venue.replies.items() if venue.is_about(row, request))
            await next(planned, says(ok(b"")))(peer)

    async with peers.serve(script) as server:
        venue.server = server
        yield venue


@dataclass(slots=True)
class HostileScenario:
    """A harness with a hostile venue, and one row per response of it."""

    harness: Harness
    function: Function
    venue: HostileVenue
    boxes: list[UUID]
    seal: Seal
    rows: dict[str, UUID] = field(default_factory=dict)

    def add_prebooking(self, name: str, script: Script, *, aimharder: bool = False) -> None:
        """Add a prebooking whose calls all get this response; ``name`` is the name of the response."""
        connection, row, number = self.harness.stack.connection, uuid4(), len(self.rows) % _VENUES
        self.rows[name] = row
        email = f"{MARK}-{row}@example.com"
        venue = self.boxes[number] if aimharder else self.harness.venues[-1 - number].id
        if aimharder:
            session = Session(f"{MARK}-token", {"amhrdrauth": self.venue.key(row)}, "f" * 50)
            sealed = self.seal.seal(session.as_json(), venue_id=venue, member=email)
            add_session(connection, venue, email, sealed=sealed, refreshed_at=datetime.now(UTC))
        self.venue.replies[row] = script
        prebooking = {"class_id": f"{len(self.rows)}", "day": "20300111"}
        add_prebooking(connection, venue, id=row, user_email=email, booking_data=prebooking)

    def invoke(self, name: str) -> Iterator[str]:
        """Invoke the function; complain if its response is late or an error, or if it took too much memory."""
        memory = Memory(self.function.process.pid) if Memory.can_be_measured() else None
        started = time.monotonic()
        answer = self.harness.trigger(self.function).result(TIMEOUT)
        took, grown = time.monotonic() - started, memory.grown() if memory else 0
        if took > IN_TIME or answer.status_code != 200:
            yield f"{name}: HTTP {answer.status_code} after {took:.1f} s"
        if grown > MEMORY:
            yield f"{name}: memory grew by {grown / MEBIBYTE:.0f} MiB"

    def call_all(self) -> Iterator[str]:
        """Invoke until every row was sent, because an endless response can delay other rows to the next run."""
        for number in range(3):
            if any(not self.venue.calls(row) for row in self.rows.values()):
                yield from self.invoke(f"the calls, run {number + 1}")

    def check_certainty(self) -> Iterator[str]:
        """Complain if a row was sent more than once, or has another result than its response allows."""
        for name, row_id in self.rows.items():
            row, sent = self.row(name), self.venue.calls(row_id)
            end = (row["status"], row["outcome"], sent)
            if end != (("completed", "booked", 1) if name in _CLEAR else ("pending", None, 1)):
                yield f"{name}: {row['status']} {row['outcome']}, sent {sent} times"

    def check_reasons(self) -> Iterator[str]:
        """Complain if a row is not terminal, or has no error message for its member."""
        for name in self.rows:
            row = self.row(name)
            reason = row["status"] == "completed" or (row["outcome"] == "unknown" and row["error_message"])
            if not reason:
                yield f"{name}: {row['status']} {row['outcome']} {row['error_message']}"

    def foreign_cookies(self) -> Iterator[str]:
        """Complain if a call contained a cookie that the venue has set."""
        lines = (
            line for request in self.venue.server.requests() for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")
        )
        yield from (
            repr(line) for line in lines if line.lower().startswith(b"cookie:") and b"=canary\r" in line + b"\r"
        )

    def row(self, name: str) -> dict[str, Any]:
        return prebooking(self.harness.stack.connection, self.rows[name])

    def end_leases(self) -> None:
        """End all leases, which last 30 s in production."""
        self._change("claimed_until = clock_timestamp(), turn_until = clock_timestamp()", "claimed_by is not null")

    def begin_classes(self) -> None:
        """Let all rows expire, without the trigger that protects the expiry of a row in doubt."""
        with self.harness.stack.connection.transaction():
            self.harness.stack.connection.execute("set local session_replication_role = replica")
            self._change("expires_at = clock_timestamp()", "true")

    def _change(self, what: str, where: str) -> None:
        statement = f"update prebookings set {what} where status = 'pending' and {where}"  # noqa: S608 - our own text
        self.harness.stack.connection.execute(statement.encode())


@contextmanager
def run(**environment: str) -> Iterator[HostileScenario]:
    """Start a harness in which a hostile venue replaces the webhook and AimHarder."""
    with new_harness(_VENUES) as harness, start_blocking_portal() as portal:
        venue = portal.wrap_async_context_manager(hostile_venue())
        boxes = [
            add_venue(harness.stack.connection, provider="aimharder", host=f"b{n}.aimharder.es") for n in range(_VENUES)
        ]
        seal = Seal.of(Settings.from_environment(harness.stack.environment))
        with venue as hostile:
            urls = {"BOOKING_WEBHOOK_URL": f"{hostile.server.url}/book", "AIMHARDER_TWIN_URL": hostile.server.url}
            harness.allowed |= set(ports(urls.values()))
            with harness.function(**(urls | environment)) as function:
                yield HostileScenario(harness, function.ready(), hostile, boxes, seal)


@dataclass(frozen=True, slots=True)
class HostileBooking:
    """A row whose calls all get the same response."""

    name: str
    script: Script
    aimharder: bool


AT_ENDPOINT = [HostileBooking(name, script, aimharder=False) for name, script in (UNSURE | BOOKED).items()]
AT_BOX = [HostileBooking(f"a box: {name}", script, aimharder=True) for name, script in (UNSURE | AT_AIMHARDER).items()]
_CLEAR = {*BOOKED, *(f"a box: {name}" for name in CLEAR_AT_AIMHARDER)}


def replies(of: str, prebookings: list[HostileBooking]) -> Iterator[Result]:
    """Get all of these responses in a run, again when the bookings are confirmed, and again at the expiry."""
    with run() as scenario:
        for prebooking in prebookings:
            scenario.add_prebooking(prebooking.name, prebooking.script, aimharder=prebooking.aimharder)
        found = [*scenario.call_all(), *scenario.check_certainty()]
        scenario.end_leases()
        found += [*scenario.invoke("the confirmations"), *scenario.check_certainty()]
        scenario.end_leases()
        scenario.begin_classes()
        found += [*scenario.invoke("the expiry"), *scenario.check_reasons()]
        found += [*scenario.foreign_cookies(), *scenario.harness.foreign_connections()]
        scenario.harness.search_for_canaries()
    yield Result(f"hostile responses of {of} (time, memory, hosts, reasons){Memory.note()}", len(prebookings), found)
    yield scenario.harness.canaries.result()


def _run(share: Share) -> Iterator[Result]:
    if share.size.sample:
        yield from replies("both", (AT_ENDPOINT + AT_BOX)[::4])
    else:
        yield from replies("an endpoint", AT_ENDPOINT)
        yield from replies("AimHarder", AT_BOX)


PART = Part("a hostile venue", _run)
