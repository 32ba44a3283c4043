"""Where real processes are put to the test: the whole local stack, watched, with leases short enough to wait for."""

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

GUARD = 3.0  # seconds, the shortest that the settings take; so a lease of 23 s is the shortest, too
LEASE = 8.0  # seconds, scaled down from that in the database: the guard + 4 s in which a venue acts late + 1 s
PATIENCE = 60.0  # seconds for which the battery waits for an answer or a start: then something hangs
TICK = 1.0  # seconds from trigger to trigger, instead of 60
BOUND = LEASE + TICK + (GUARD + 1.0) + 5.0  # seconds: the promise of 105 s, with these
_BOX, _DAY = "mybox.aimharder.com", "20300111"
_BATCH = 20  # rows of one venue that a run with this guard can take
SCALED = f"lease {LEASE:.0f} s for 30, tick {TICK:.0f} s for 60, no pauses"

_SHORTER_LEASES = f"""
create schema proof;
create function proof.shorten() returns trigger language plpgsql set search_path = '' as $$
begin
  new.claimed_until := least(new.claimed_until, public.prebooking_clock() + interval '{LEASE} seconds');
  new.turn_until := least(new.turn_until, new.claimed_until);
  return new;
end $$;
create trigger proof_shorter_leases before update on public.prebookings
  for each row when (new.claimed_until > coalesce(old.claimed_until, '-infinity'))
  execute function proof.shorten();
"""
_PENDING = "select count(*) from public.prebookings where status = 'pending'"

# What must hold whatever dies and breaks. Order and promptness are for those whose run lives: other parts look at them.
# The simulation looks at the stagger, exactly: a row's fired_at is an upper bound, which is as wide as a slow answer.
_QUESTIONS = [
    completed_is_booked,
    failed_is_not_booked,
    no_member_is_booked_twice,
    no_call_is_early,
]


@dataclass(frozen=True, slots=True)
class Place:
    """A venue; ``host`` is that of a box at AimHarder's."""

    venue: UUID
    host: str | None = None


@dataclass(slots=True)
class Harness:
    """A stack, its places, and everything that is seen on it."""

    stack: Stack
    watch: Watch
    canaries: Canaries
    cron: ThreadPoolExecutor
    places: deque[Place]
    allowed: set[int]  # ports that the function may connect to
    answers: list[Future[httpx.Response]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2001))  # of classes

    def function(self, **environment: str) -> Function:
        """Return one more instance of the function, to be entered."""
        scaled = {"EXECUTION_TIMEOUT_SECONDS": f"{GUARD}", "LEASE_SECONDS": f"{GUARD + 20}"}
        return self.watch.function(self.stack.environment | scaled | environment)

    def opening(self, members: int, *, ahead: float = 0.3) -> None:
        """Let members ask for a class that opens so many seconds from now, at the place whose turn it is."""
        place, class_id = self.places[0], str(next(self._numbers))
        self.places.rotate()
        emails = [f"{MARK}-{uuid4()}@example.com" for _ in range(members)]
        if place.host:
            log_in(self.stack, place.venue, place.host, emails)
        opens = datetime.now(UTC) + timedelta(seconds=ahead)
        on_the_schedule: dict[str, Any] = {"day": _DAY, "time": "07:00", "box": place.host} if place.host else {}
        self.stack.twin.open_class(class_id, opens_at=opens, capacity=1000, **on_the_schedule)
        prebooking: dict[str, Any] = {"booking_data": {"class_id": class_id, "day": _DAY}, "available_at": opens}
        for email in emails:
            add_prebooking(self.stack.connection, place.venue, user_email=email, **prebooking)

    def trigger(self, function: Function) -> Future[httpx.Response]:
        """Call the function, and go on; whether there is an answer or not."""
        self.answers.append(self.cron.submit(function.trigger))
        return self.answers[-1]

    def reconnect(self) -> None:
        """Find the database again after a restart."""
        self.stack.connection.close()
        connection = psycopg.connect(self.stack.postgres.dsn(), autocommit=True)
        self.stack = replace(self.stack, connection=connection)

    def pending(self) -> int:
        (count,) = self.stack.connection.execute(_PENDING).fetchone() or (0,)
        return int(count)

    def end_pauses(self) -> None:
        """End the pauses of venues and the back-off of rows: they are minutes, where a tick is a second here."""
        self.stack.connection.execute("update public.venues set paused_until = null where paused_until is not null")
        self.stack.connection.execute("update public.prebookings set retry_after = null where status = 'pending'")

    def settle_all(self, function: Function) -> Iterator[str]:
        """Trigger every tick; complain if somebody is still waiting when the promise's time is over."""
        batches = max(1, ceil(self.pending() / (_BATCH * len(self.places))))
        started, limit = time.monotonic(), BOUND * batches
        while self.pending() and time.monotonic() - started < limit:
            self.end_pauses()
            self.trigger(function)
            threading.Event().wait(TICK)
        if left := self.pending():
            yield f"{left} rows are still pending {limit:.0f} s after the last fault"

    def disagreements(self) -> list[str]:
        """Return where the venue's ledger and the database disagree, and with whom the function has talked besides."""
        both = BothSides(read_rows(self.stack.connection), self.stack.ledger)
        return [complaint for question in _QUESTIONS for complaint in question(both)] + self.foreign_connections()

    def foreign_connections(self) -> list[str]:
        """Return whom the function was not to talk to, and has."""
        seen = set(self.watch.connections())
        elsewhere = {(host, port) for host, port in seen if host != "127.0.0.1" or port not in self.allowed}
        found = [f"the function has connected to {host}:{port}" for host, port in sorted(elsewhere)]
        return found if seen else ["the watch is blind: it has seen no connection at all"]

    def search_for_canaries(self) -> None:
        """Look through all that was answered, logged and stored."""
        self.canaries.others |= self._logins()
        answered = [answer.result() for answer in self.answers if not answer.exception(PATIENCE)]
        self.canaries.search("the answers", (answer.text for answer in answered))
        self.canaries.search("the log", self.watch.log)
        self.canaries.search_columns(self.stack.connection)

    def _logins(self) -> dict[str, str]:
        """Return every token and cookie that is kept, as it is when it is open."""
        seal = Seal.of(Settings.from_environment(self.stack.environment))
        kept = self.stack.connection.execute("select venue_id, user_email, sealed from member_sessions").fetchall()
        opened = [seal.open(sealed, venue_id=venue, member=member) for venue, member, sealed in kept]
        return {f"login {n}": one["token"] for n, one in enumerate(opened)} | {
            f"cookie {n}": one["cookies"]["amhrdrauth"] for n, one in enumerate(opened)
        }


@contextmanager
def harness(venues: int = 3) -> Iterator[Harness]:
    """Set everything up, and take it down again: so many venues behind the webhook, and a box at AimHarder's."""
    with quiet(), local_stack() as stack, watching() as watch, ThreadPoolExecutor(32) as cron:
        stack.connection.execute(_SHORTER_LEASES.encode())
        places = deque(Place(add_venue(stack.connection, host=None)) for _ in range(venues))
        places.appendleft(Place(add_box(stack, "Box", host=_BOX, box_id=10_584), _BOX))
        where = Harness(stack, watch, Canaries(stack.environment), cron, places, set(ports(stack.environment.values())))
        yield where
        where.stack.connection.close()


@contextmanager
def quiet() -> Iterator[None]:
    """Let the servers on the stage not complain of callers who die and connections that break: that is the play."""
    loggers = [logging.getLogger(name) for name in ("aiohttp.server", "psycopg.pool")]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in loggers:
            logger.disabled = False


def ports(addresses: Iterable[str]) -> Iterator[int]:
    """Return the ports in what may be addresses."""
    return (port for address in addresses if address.startswith("http") and (port := urlsplit(address).port))
