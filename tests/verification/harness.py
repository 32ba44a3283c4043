"""Runs the local stack with watched processes, and with leases and ticks shortened to seconds."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import psycopg

from prebooking.bookers.aimharder.seal import Seal
from prebooking.local.box import add_box, log_in
from prebooking.local.demo.checker import (
    BothSides,
    completed_is_booked,
    failed_is_not_booked,
    given_back_is_not_booked,
    no_call_is_early,
    no_member_is_booked_twice,
    read_rows,
)
from prebooking.local.function import Function
from prebooking.local.stack import Stack, local_stack
from prebooking.settings import Settings
from tests.support.factories import add_prebooking, add_venue
from tests.verification.canaries import MARK, Canaries
from tests.verification.watch import Watch, watching

GUARD = 3.0  # seconds: the shortest that the settings accept, with which a lease is at least 23 s
LEASE = 8.0  # seconds, shortened by a trigger: the guard + 4 s in which a venue acts late + 1 s
TIMEOUT = 60.0  # seconds for a response or a start; a longer wait is a fault
TICK = 1.0  # seconds from trigger to trigger, instead of 60
BOUND = LEASE + TICK + (GUARD + 1.0) + 5.0  # seconds: the bound of I2 (105 s) with these numbers
_BOX, _DAY = "mybox.aimharder.com", "20300111"
_BATCH = 20  # rows of one venue that a run with this guard can take
SCALED = f"lease {LEASE:.0f} s for 30, tick {TICK:.0f} s for 60, no pauses"

_SHORTER_LEASES = f"""
create schema harness;
create function harness.shorten() returns trigger language plpgsql set search_path = '' as $$
begin
  new.claimed_until := least(new.claimed_until, public.prebooking_clock() + interval '{LEASE} seconds');
  new.turn_until := least(new.turn_until, new.claimed_until);
  return new;
end $$;
create trigger harness_shorter_leases before update on public.prebookings
  for each row when (new.claimed_until > coalesce(old.claimed_until, '-infinity'))
  execute function harness.shorten();
"""
_PENDING = "select count(*) from public.prebookings where status = 'pending'"

# What must hold under every fault. The simulation checks the order, and the stagger exactly: ``fired_at`` is only an
# upper bound of the instant of a call.
_QUESTIONS = [completed_is_booked, given_back_is_not_booked, failed_is_not_booked, no_member_is_booked_twice]
_QUESTIONS += [no_call_is_early]


@dataclass(frozen=True, slots=True)
class HarnessVenue:
    """A venue; ``host`` is that of an AimHarder box."""

    id: UUID
    host: str | None = None


@dataclass(slots=True)
class Harness:
    """A stack with its venues, and what was observed on it."""

    stack: Stack
    watch: Watch
    canaries: Canaries
    cron: ThreadPoolExecutor
    venues: deque[HarnessVenue]
    allowed: set[int]  # ports that the function may connect to
    answers: list[Future[httpx.Response]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2001))  # of classes

    def function(self, **environment: str) -> Function:
        """Return one more instance of the function, as a context manager."""
        scaled = {"EXECUTION_TIMEOUT_SECONDS": f"{GUARD}", "LEASE_SECONDS": f"{GUARD + 20}"}
        return self.watch.function(self.stack.environment | scaled | environment)

    def add_opening(self, members: int, *, ahead: float = 0.3) -> None:
        """Add prebookings for a class that opens ``ahead`` seconds from now, at the next venue."""
        venue, class_id = self.venues[0], str(next(self._numbers))
        self.venues.rotate()
        emails = [f"{MARK}-{uuid4()}@example.com" for _ in range(members)]
        if venue.host:
            log_in(self.stack, venue.id, venue.host, emails)
        opens = datetime.now(UTC) + timedelta(seconds=ahead)
        schedule: dict[str, Any] = {"day": _DAY, "time": "07:00", "box": venue.host} if venue.host else {}
        self.stack.twin.open_class(class_id, opens_at=opens, capacity=1000, **schedule)
        prebooking: dict[str, Any] = {"booking_data": {"class_id": class_id, "day": _DAY}, "available_at": opens}
        for email in emails:
            add_prebooking(self.stack.connection, venue.id, user_email=email, **prebooking)

    def trigger(self, function: Function) -> Future[httpx.Response]:
        """Invoke the function without waiting for its response."""
        self.answers.append(self.cron.submit(function.trigger))
        return self.answers[-1]

    def reconnect(self) -> None:
        """Connect to the database again after a restart."""
        self.stack.connection.close()
        connection = psycopg.connect(self.stack.postgres.dsn(), autocommit=True)
        self.stack = replace(self.stack, connection=connection)

    def pending(self) -> int:
        (count,) = self.stack.connection.execute(_PENDING).fetchone() or (0,)
        return int(count)

    def end_pauses(self) -> None:
        """End the pauses of venues and the delays of rows, which are minutes, because a tick is a second here."""
        self.stack.connection.execute("update public.venues set paused_until = null where paused_until is not null")
        self.stack.connection.execute("update public.prebookings set retry_after = null where status = 'pending'")

    def settle_all(self, function: Function) -> Iterator[str]:
        """Invoke the function every tick; complain if a row is still pending after the bound."""
        batches = max(1, ceil(self.pending() / (_BATCH * len(self.venues))))
        started, limit = time.monotonic(), BOUND * batches
        while self.pending() and time.monotonic() - started < limit:
            self.end_pauses()
            self.trigger(function)
            threading.Event().wait(TICK)
        if left := self.pending():
            yield f"{left} rows are still pending {limit:.0f} s after the last fault"

    def disagreements(self) -> list[str]:
        """Return where the ledger and the database disagree, and every forbidden connection."""
        both = BothSides(read_rows(self.stack.connection), self.stack.ledger)
        return [complaint for question in _QUESTIONS for complaint in question(both)] + self.foreign_connections()

    def foreign_connections(self) -> list[str]:
        """Return the addresses that the function may not connect to, and has."""
        seen = set(self.watch.connections())
        forbidden = {(host, port) for host, port in seen if host != "127.0.0.1" or port not in self.allowed}
        found = [f"the function has connected to {host}:{port}" for host, port in sorted(forbidden)]
        return found if seen else ["the watch does not work: it has seen no connection"]

    def search_for_canaries(self) -> None:
        """Search all responses, logs and columns."""
        self.canaries.others |= self._logins()
        received = [answer.result() for answer in self.answers if not answer.exception(TIMEOUT)]
        self.canaries.search("the responses", (answer.text for answer in received))
        self.canaries.search("the log", self.watch.log)
        self.canaries.search_columns(self.stack.connection)

    def _logins(self) -> dict[str, str]:
        """Return every stored token and cookie, decrypted."""
        seal = Seal.of(Settings.from_environment(self.stack.environment))
        kept = self.stack.connection.execute("select venue_id, user_email, sealed from member_sessions").fetchall()
        opened = [seal.open(sealed, venue_id=venue, member=member) for venue, member, sealed in kept]
        return {f"login {n}": one["token"] for n, one in enumerate(opened)} | {
            f"cookie {n}": one["cookies"]["amhrdrauth"] for n, one in enumerate(opened)
        }


@contextmanager
def new_harness(venues: int = 3) -> Iterator[Harness]:
    """Start a harness with an AimHarder box and this many webhook venues; stop it at the end of the block."""
    with quiet(), local_stack() as stack, watching() as watch, ThreadPoolExecutor(32) as cron:
        stack.connection.execute(_SHORTER_LEASES.encode())
        in_turn = deque(HarnessVenue(add_venue(stack.connection, host=None)) for _ in range(venues))
        in_turn.appendleft(HarnessVenue(add_box(stack, "Box", host=_BOX, box_id=10_584), _BOX))
        harness = Harness(
            stack, watch, Canaries(stack.environment), cron, in_turn, set(ports(stack.environment.values()))
        )
        yield harness
        harness.stack.connection.close()


@contextmanager
def quiet() -> Iterator[None]:
    """Disable the loggers of the local servers, which report killed clients and broken connections."""
    loggers = [logging.getLogger(name) for name in ("aiohttp.server", "psycopg.pool")]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in loggers:
            logger.disabled = False


def ports(addresses: Iterable[str]) -> Iterator[int]:
    """Return the ports of those values that are addresses."""
    return (port for address in addresses if address.startswith("http") and (port := urlsplit(address).port))
