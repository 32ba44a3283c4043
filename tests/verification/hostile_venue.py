"""A hostile venue: every answer of it at once, and every host that leads astray, to one real process under watch."""

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
from tests.verification.harness import GUARD, PATIENCE, Harness, harness, ports
from tests.verification.hostile_replies import AT_AIMHARDER, BOOKED, CLEAR_AT_AIMHARDER, MEBIBYTE, UNSURE, ok, says
from tests.verification.part import Part, Result, Share
from tests.verification.watch import Memory

_VENUES = 8  # side by side, so that a storm of one answer keeps few others waiting
MEMORY = 32 * MEBIBYTE
IN_TIME = GUARD + 3.0  # seconds: the guard, a second for the last writes, and two for a machine full of storms


@dataclass(slots=True)
class HostileVenue:
    """Says to each call about a prebooking what is laid down for it, and notes who called."""

    server: Server
    replies: dict[UUID, Script]

    @staticmethod
    def key(row: UUID) -> str:
        """Return the cookie of a row's member, by which a box that is not told of rows knows who calls."""
        return f"{MARK}-{row.hex}"

    def is_about(self, row: UUID, request: bytes) -> bool:
        return str(row).encode() in request or self.key(row).encode() in request

    def calls(self, row: UUID) -> int:
        """Return how often a prebooking was sent."""
        return sum(request.startswith(b"POST") and self.is_about(row, request) for request in self.server.requests())


@asynccontextmanager
async def hostile_venue() -> AsyncIterator[HostileVenue]:
    """Run one, for as long as the block lasts."""
    venue = HostileVenue(Server(), {})

    async def script(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            request = peers.requests(bytes(peer.received))[number - 1]
            told = (reply for row, reply in venue.replies.items() if venue.is_about(row, request))
            await next(told, says(ok(b"")))(peer)  # whoever asks for nobody warms a connection

    async with peers.serve(script) as server:
        venue.server = server
        yield venue


@dataclass(slots=True)
class HostileScenario:
    """One row for every reply of the hostile venue, and what becomes of them."""

    where: Harness
    function: Function
    venue: HostileVenue
    boxes: list[UUID]
    seal: Seal
    rows: dict[str, UUID] = field(default_factory=dict)

    def add_prebooking(self, name: str, script: Script, *, aimharder: bool = False) -> None:
        """Let a member wish for a class whose venue says this to every call; what it says has the given name."""
        connection, row, number = self.where.stack.connection, uuid4(), len(self.rows) % _VENUES
        self.rows[name] = row
        email = f"{MARK}-{row}@example.com"
        venue = self.boxes[number] if aimharder else self.where.places[-1 - number].venue
        if aimharder:
            session = Session(f"{MARK}-token", {"amhrdrauth": self.venue.key(row)}, "f" * 50)
            sealed = self.seal.seal(session.as_json(), venue_id=venue, member=email)
            add_session(connection, venue, email, sealed=sealed, refreshed_at=datetime.now(UTC))
        self.venue.replies[row] = script
        prebooking = {"class_id": f"{len(self.rows)}", "day": "20300111"}
        add_prebooking(connection, venue, id=row, user_email=email, booking_data=prebooking)

    def answered(self, trigger: str) -> Iterator[str]:
        """Trigger once; complain if the answer is late, a failure, or has cost too much memory."""
        memory = Memory(self.function.process.pid) if Memory.can_be_measured() else None
        started = time.monotonic()
        answer = self.where.trigger(self.function).result(PATIENCE)
        took, grown = time.monotonic() - started, memory.grown() if memory else 0
        if took > IN_TIME or answer.status_code != 200:
            yield f"{trigger}: HTTP {answer.status_code} after {took:.1f} s"
        if grown > MEMORY:
            yield f"{trigger}: memory grew by {grown / MEBIBYTE:.0f} MiB"

    def all_called(self) -> Iterator[str]:
        """Trigger until every row was sent: a storm of one answer may keep others waiting until the next run."""
        for number in range(3):
            if any(not self.venue.calls(row) for row in self.rows.values()):
                yield from self.answered(f"the calls, run {number + 1}")

    def settled_or_in_doubt(self) -> Iterator[str]:
        """Complain of a row that was sent more than once, or is more certain than its answer."""
        for name, row_id in self.rows.items():
            row, sent = self.row(name), self.venue.calls(row_id)
            end = (row["status"], row["outcome"], sent)
            if end != (("completed", "booked", 1) if name in _CLEAR else ("pending", None, 1)):
                yield f"{name}: {row['status']} {row['outcome']}, sent {sent} times"

    def all_have_a_reason(self) -> Iterator[str]:
        """Complain of a row without an end, or without a reason that a member can read."""
        for name in self.rows:
            row = self.row(name)
            reason = row["status"] == "completed" or (row["outcome"] == "unknown" and row["error_message"])
            if not reason:
                yield f"{name}: {row['status']} {row['outcome']} {row['error_message']}"

    def foreign_cookies(self) -> Iterator[str]:
        """Complain if anybody's call brought a cookie that the venue has set."""
        lines = (
            line for request in self.venue.server.requests() for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")
        )
        yield from (
            repr(line) for line in lines if line.lower().startswith(b"cookie:") and b"=canary\r" in line + b"\r"
        )

    def row(self, name: str) -> dict[str, Any]:
        return prebooking(self.where.stack.connection, self.rows[name])

    def end_leases(self) -> None:
        """Let the leases be over; production waits 30 s."""
        self._change("claimed_until = clock_timestamp(), turn_until = clock_timestamp()", "claimed_by is not null")

    def begin_classes(self) -> None:
        """Let time pass. The trigger that refuses another expiry of a row in doubt is no obstacle to that."""
        with self.where.stack.connection.transaction():
            self.where.stack.connection.execute("set local session_replication_role = replica")
            self._change("expires_at = clock_timestamp()", "true")

    def _change(self, what: str, where: str) -> None:
        statement = f"update prebookings set {what} where status = 'pending' and {where}"  # noqa: S608 - our own words
        self.where.stack.connection.execute(statement.encode())


@contextmanager
def run(**environment: str) -> Iterator[HostileScenario]:
    """Set the stage for a hostile venue, which stands for the endpoint and for AimHarder."""
    with harness(_VENUES) as where, start_blocking_portal() as portal:
        venue = portal.wrap_async_context_manager(hostile_venue())
        boxes = [
            add_venue(where.stack.connection, provider="aimharder", host=f"b{n}.aimharder.es") for n in range(_VENUES)
        ]
        seal = Seal.of(Settings.from_environment(where.stack.environment))
        with venue as hostile:
            urls = {"BOOKING_WEBHOOK_URL": f"{hostile.server.url}/book", "AIMHARDER_TWIN_URL": hostile.server.url}
            where.allowed |= set(ports(urls.values()))
            with where.function(**(urls | environment)) as function:
                yield HostileScenario(where, function.ready(), hostile, boxes, seal)


@dataclass(frozen=True, slots=True)
class HostileBooking:
    """A row whose venue says the same, by whatever script, to every call."""

    name: str
    script: Script
    aimharder: bool


AT_ENDPOINT = [HostileBooking(name, script, aimharder=False) for name, script in (UNSURE | BOOKED).items()]
AT_BOX = [HostileBooking(f"a box: {name}", script, aimharder=True) for name, script in (UNSURE | AT_AIMHARDER).items()]
_CLEAR = {*BOOKED, *(f"a box: {name}" for name in CLEAR_AT_AIMHARDER)}


def replies(of: str, prebookings: list[HostileBooking]) -> Iterator[Result]:
    """Get all of these answers at once; ask, and get them again; and come to an end when the classes begin."""
    with run() as on:
        for prebooking in prebookings:
            on.add_prebooking(prebooking.name, prebooking.script, aimharder=prebooking.aimharder)
        found = [*on.all_called(), *on.settled_or_in_doubt()]
        on.end_leases()
        found += [*on.answered("the questions"), *on.settled_or_in_doubt()]
        on.end_leases()
        on.begin_classes()
        found += [*on.answered("the end"), *on.all_have_a_reason()]
        found += [*on.foreign_cookies(), *on.where.foreign_connections()]
        on.where.search_for_canaries()
    yield Result(f"hostile answers of {of} (time, memory, hosts, reasons){Memory.note()}", len(prebookings), found)
    yield on.where.canaries.result()


def _run(share: Share) -> Iterator[Result]:
    if share.size.sample:
        yield from replies("both", (AT_ENDPOINT + AT_BOX)[::4])
    else:
        yield from replies("an endpoint", AT_ENDPOINT)
        yield from replies("AimHarder", AT_BOX)


PART = Part("a hostile venue", _run)
