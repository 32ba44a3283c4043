"""One venue's line: first come, first served, one slot every stagger, from the doubt before a call to its outcome."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prebooking.bookers import Booker
from prebooking.calls import Calls, in_doubt
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.errors import BadBookingData, SendRefused
from prebooking.log import Log
from prebooking.model import COMPLETED, FAILED, Attempt, Kind, Outcome

EARLY = 0.6  # seconds before an opening at which the first calls connect, to wait for it at their first byte
AHEAD = 4  # calls that connect or wait for their slots: a connection may take three slots; each costs the venue one
EARLY_TIME = timedelta(minutes=15)  # for which the venue may say "too early" before the opening is taken to be wrong


class VenueLine:
    """Books the rows of one venue in their order.

    Calls start early and wait inside, at their first byte: by then the request is built and the connection open, and
    nothing but the bytes is left to send. A call waits there for the one before it to have left, so no call overtakes
    another on a warmer connection.

    Attributes:
        attempts: everything that was ever in this line.
        sent_at: the last first call's first byte, on the monotonic clock.
        walk: lets everybody have their turn; done when nobody stands in line any more.
        faulty: whether something happened that nobody foresaw.

    """

    def __init__(
        self,
        booker: Booker,
        *,
        venue_id: UUID,
        clock: Clock,
        time: DatabaseTime,
        stagger: float,
        last_start: Deadline,
        guard: Deadline,
        settle: Callable[[Attempt, Outcome], None],
        blocked: Callable[[UUID, list[Attempt]], None],
        log: Log,
    ) -> None:
        self.venue_id = venue_id
        self.attempts: list[Attempt] = []
        self.sent_at = float("-inf")
        self.faulty = False
        self._calls = Calls(booker, clock=clock, time=time, last_start=last_start, guard=guard)
        self._clock, self._time, self._stagger, self._last_start = clock, time, stagger, last_start
        self._settle, self._blocked, self._log = settle, blocked, log
        self._waiting: list[tuple[tuple[datetime, datetime, UUID], Attempt]] = []
        self._news = asyncio.Event()
        self._seats = asyncio.Semaphore(AHEAD)
        self._last_left = asyncio.Event()
        self._last_left.set()
        self._asked = 0  # questions about doubtful rows, and refreshed logins: they too leave one stagger apart
        self.walk: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Let these stand in line; who has to be prepared, or may have been sent before, comes when that is done."""
        for attempt in attempts:
            self.attempts.append(attempt)
            if in_doubt(attempt) or not self._calls.is_ready(attempt):
                self._spawn(self._come_later(attempt, after=self._asked * self._stagger))
                self._asked += 1
            else:
                self._stand(attempt)

    def planned(self) -> float:
        """Return in how many seconds the last who stands in line should have left, if the venue is quick."""
        last = max((attempt.row.available_at for _, attempt in self._waiting), default=None)
        if last is None:
            return 0.0
        return max(0.0, self._time.monotonic_at(last) - self._clock.monotonic()) + len(self._waiting) * self._stagger

    async def done(self) -> None:
        """Return when every call has its outcome."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cut(self) -> None:
        """End every call where it is; what each has become stands in its attempt."""
        self._calls.stopped = True
        for task in self._tasks:
            task.cancel()
        await self.done()

    # who stands where

    def _stand(self, attempt: Attempt) -> None:
        heapq.heappush(self._waiting, (attempt.row.order, attempt))
        self._news.set()
        if self.walk is None or self.walk.done():
            self.walk = self._spawn(self._call_in_turn())

    async def _call_in_turn(self) -> None:
        while self._waiting and not self._calls.stopped and not self._last_start.passed():
            early = self._opens_in(self._waiting[0][1]) - EARLY
            if early > EARLY / 1000:  # less could be rounded to nothing, for ever
                await self._somebody_comes(early)
                continue
            await self._seats.acquire()
            if self._calls.stopped:
                break
            attempt = heapq.heappop(self._waiting)[1]  # whoever is first by now
            before, self._last_left = self._last_left, asyncio.Event()
            self._spawn(self._fire(attempt, before, self._last_left))

    async def _somebody_comes(self, seconds: float) -> None:
        """Wait so long, or until somebody comes who may be due before those who wait."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _opens_in(self, attempt: Attempt) -> float:
        return self._time.monotonic_at(attempt.row.available_at) - self._clock.monotonic()

    async def _come_later(self, attempt: Attempt, *, after: float) -> None:
        """Prepare a row, and clear a doubt about it. Those who are ready do not wait for it: its place may be lost."""
        await self._clock.sleep(after)
        if self._calls.stopped:
            return
        missing = await self._calls.prepare(attempt)
        if missing:
            self._go_without(attempt, missing)
        elif in_doubt(attempt):
            await self._clear(attempt)
        else:
            self._stand(attempt)

    def _go_without(self, attempt: Attempt, missing: Outcome) -> None:
        """Leave a row out of the line. One that may have been sent is never settled by what is missing now."""
        self._log.warning("not prepared", prebooking=attempt.id, outcome=missing.kind, detail=missing.detail)
        if missing.kind is Kind.BLOCKED:
            self._block(missing)
        elif missing.kind in FAILED and not attempt.row.maybe_sent:
            self._conclude(attempt, missing)

    async def _clear(self, attempt: Attempt) -> None:
        """Find out whether an earlier invocation's call got through, before anything is sent again."""
        found = await self._calls.confirm(attempt)
        if found.kind in COMPLETED:
            self._conclude(attempt, found)
        elif found.kind is Kind.NOT_BOOKED and self._calls.is_enough(attempt):
            self._conclude(
                attempt, Outcome(Kind.REJECTED, detail=f"It gave no clear answer to {attempt.row.attempts} calls.")
            )
        elif found.kind is Kind.NOT_BOOKED:
            self._stand(attempt)
        else:
            self._log.warning("the venue cannot tell", prebooking=attempt.id)
            if found.kind is Kind.BLOCKED:
                self._block(found)

    # one call

    async def _fire(self, attempt: Attempt, before: asyncio.Event, left: asyncio.Event) -> None:
        try:
            outcome = await self._calls.first(
                attempt, lambda: self._slot(attempt, before), lambda: self._has_left(left)
            )
            if outcome.kind is Kind.NOT_SENT:
                attempt.outcome = outcome
                self._stop("the venue cannot be reached", outcome)
            else:
                self._conclude(attempt, await self._calls.to_the_end(attempt, outcome))
        except SendRefused as exc:
            self._log.info("not sent", prebooking=attempt.id, why=str(exc))
        except BadBookingData as exc:
            self._conclude(attempt, Outcome(Kind.BAD_DATA, detail=str(exc)))
            await before.wait()  # whoever comes next waits for those before this one
        finally:
            self._leave(left)

    async def _slot(self, attempt: Attempt, before: asyncio.Event) -> None:
        """Return at the row's slot: after the one before it has left, a stagger later, and not before its opening."""
        await before.wait()
        await self._clock.sleep_until(
            max(self._time.monotonic_at(attempt.row.available_at), self.sent_at + self._stagger)
        )

    def _has_left(self, left: asyncio.Event) -> None:
        """Let the next slot count from now, which is after the instant that the row itself will show."""
        self.sent_at = self._clock.monotonic()
        # Not at once: the next call would be built now, and these bytes would leave a millisecond or two later.
        asyncio.get_running_loop().call_later(self._stagger / 10, self._leave, left)

    def _leave(self, left: asyncio.Event) -> None:
        if not left.is_set():
            left.set()
            self._seats.release()

    # what has become of a row

    def _conclude(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.outcome = outcome
        attempt.answered_at = self._time.at_least() if attempt.calls else None
        now = self._time.at_least()
        early = outcome.kind is Kind.TOO_EARLY and now < (attempt.row.early_since or now) + EARLY_TIME
        if outcome.kind in COMPLETED | FAILED and not early:
            self._settle(attempt, outcome)
        elif outcome.kind is Kind.BLOCKED:
            self._block(outcome)

    # the line's own end

    def _block(self, outcome: Outcome) -> None:
        if not self._calls.stopped:
            self._stop("the venue blocks us", outcome)
            self._blocked(self.venue_id, [a for a in self.attempts if a.outcome is None and not a.row.maybe_sent])

    def _stop(self, why: str, outcome: Outcome) -> None:
        self._calls.stopped = True
        self._waiting.clear()
        self._log.warning(why, venue=self.venue_id, outcome=outcome.kind, detail=outcome.detail)

    def _spawn(self, steps: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._watched(steps))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watched(self, steps: Coroutine[Any, Any, None]) -> None:
        """Let a row that goes wrong in a way nobody foresaw stop no other; if it was sent, it stays unsure."""
        try:
            await steps
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other rows go on
            self.faulty = True
            self._log.unexpected("unexpected", exc)
