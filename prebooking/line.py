"""One venue's line: first come, first served, one slot every stagger, from the doubt before a call to its outcome."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from prebooking.bookers import Booker
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.errors import BadBookingData, SendRefused
from prebooking.log import Log
from prebooking.model import COMPLETED, FAILED, Attempt, Kind, Outcome

EARLY = 1.0  # seconds before an opening at which the first calls connect, to wait for it at their first byte
AHEAD = 2  # calls that are connected and wait for their slots; each costs the venue a connection
NOT_SENT_PAUSES = (0.1, 0.2)  # seconds before a call that could not be sent is tried again
RE_ASKS = 3  # calls after an explicit "too early" ...
RE_ASK_PAUSE = 0.25  # ... so many seconds apart
EARLY_RUNS = 3  # runs that may end with "too early" before the opening is taken to be wrong
CONFIRM_TIME = 2.0  # seconds a question to the venue may take


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
        self._booker, self._clock, self._time, self._stagger = booker, clock, time, stagger
        self._last_start, self._guard = last_start, guard
        self._settle, self._blocked, self._log = settle, blocked, log
        self._waiting: list[tuple[tuple[datetime, datetime, UUID], Attempt]] = []
        self._news = asyncio.Event()
        self._seats = asyncio.Semaphore(AHEAD)
        self._last_left = asyncio.Event()
        self._last_left.set()
        self._asked = 0  # questions about doubtful rows: they too leave one stagger apart
        self.walk: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Let these stand in line; whoever may have been sent before is asked about first."""
        for attempt in attempts:
            self.attempts.append(attempt)
            if attempt.row.maybe_sent and not attempt.row.venue.idempotent:
                self._spawn(self._clear(attempt, after=self._asked * self._stagger))
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
        self._stopped = True
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
        while self._waiting and not self._stopped and not self._last_start.passed():
            early = self._time.monotonic_at(self._waiting[0][1].row.available_at) - EARLY - self._clock.monotonic()
            if early > 0:
                await self._somebody_comes(early)
                continue
            await self._seats.acquire()
            if self._stopped:
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

    async def _clear(self, attempt: Attempt, *, after: float) -> None:
        """Find out whether an earlier invocation's call got through, before anything is sent again."""
        await self._clock.sleep(after)
        if self._stopped:
            return
        found = await self._confirm(attempt)
        if found.kind in COMPLETED:
            self._conclude(attempt, found)
        elif found.kind is Kind.NOT_BOOKED:
            self._stand(attempt)
        else:
            self._log.warning("the venue cannot tell", prebooking=attempt.id)

    # one call

    async def _fire(self, attempt: Attempt, before: asyncio.Event, left: asyncio.Event) -> None:
        try:
            outcome = await self._first_call(attempt, before, left)
            if outcome.kind is Kind.NOT_SENT:
                attempt.outcome = outcome
                self._stop("the venue cannot be reached", outcome)
            else:
                self._conclude(attempt, await self._made_sure(attempt, await self._asked_again(attempt, outcome)))
        except SendRefused as exc:
            self._log.info("not sent", prebooking=attempt.id, why=str(exc))
        except BadBookingData as exc:
            self._conclude(attempt, Outcome(Kind.BAD_DATA, detail=str(exc)))
            await before.wait()  # whoever comes next waits for those before this one
        finally:
            self._leave(left)

    async def _first_call(self, attempt: Attempt, before: asyncio.Event, left: asyncio.Event) -> Outcome:
        async def in_turn() -> None:
            await before.wait()
            slot = max(self._time.monotonic_at(attempt.row.available_at), self.sent_at + self._stagger)
            await self._clock.sleep_until(slot)
            self._let_go(attempt)
            self.sent_at = self._clock.monotonic()
            # Not at once: the next call would be built now, and these bytes would leave a millisecond or two later.
            asyncio.get_running_loop().call_later(self._stagger / 10, self._leave, left)

        outcome = await self._call(attempt, in_turn)
        for pause in NOT_SENT_PAUSES:
            if outcome.kind is not Kind.NOT_SENT:
                break
            await self._clock.sleep(pause)
            outcome = await self._call(attempt, in_turn)
        return outcome

    async def _again(self, attempt: Attempt) -> Outcome:
        async def at_once() -> None:
            self._let_go(attempt)

        return await self._call(attempt, at_once)

    async def _call(self, attempt: Attempt, gate: Callable[[], Coroutine[Any, Any, None]]) -> Outcome:
        outcome = await self._booker.book(attempt.row, timeout=self._guard.remaining(), gate=gate)
        if outcome.kind is not Kind.NOT_SENT:
            attempt.outcome = outcome
        return outcome

    def _let_go(self, attempt: Attempt) -> None:
        """Look at the clocks once more, right before the first byte: this process may have been frozen on the way here.

        Raises:
            SendRefused: it may not leave.

        """
        now = self._time.at_least()
        if self._stopped:
            raise SendRefused("the line has stopped")
        if self._last_start.passed():
            raise SendRefused("there is no time left for an answer")
        if not attempt.row.available_at <= now <= self._time.at_most() < attempt.row.expires_at:
            raise SendRefused("it is not between the opening and the class's start")
        attempt.calls += 1
        attempt.sent_at, attempt.fired_at = self._clock.monotonic(), attempt.fired_at or now
        attempt.outcome = Outcome(Kind.UNSURE)

    def _leave(self, left: asyncio.Event) -> None:
        if not left.is_set():
            left.set()
            self._seats.release()

    # what an answer is worth

    async def _asked_again(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Ask again after an explicit "too early": at the very instant a venue's clock may be a little behind."""
        for _ in range(RE_ASKS):
            if outcome.kind is not Kind.TOO_EARLY:
                break
            await self._clock.sleep(RE_ASK_PAUSE)
            try:
                again = await self._again(attempt)
            except SendRefused:
                break  # the clear answer stands
            outcome = outcome if again.kind is Kind.NOT_SENT else again
        return outcome

    async def _made_sure(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Replace an outcome that proves nothing by what the venue says when asked, while there is time for that.

        Proves nothing: no clear answer; and a refusal after an earlier call in doubt ("full" may be our own booking).
        """
        refused_in_doubt = attempt.row.maybe_sent and not attempt.row.venue.idempotent and outcome.kind in FAILED
        if outcome.kind is not Kind.UNSURE and not refused_in_doubt:
            return outcome
        attempt.outcome = Outcome(Kind.UNSURE, detail=outcome.detail)
        if self._guard.remaining() < CONFIRM_TIME:
            return attempt.outcome
        if attempt.row.venue.idempotent:
            again = await self._again(attempt)
            return attempt.outcome if again.kind is Kind.NOT_SENT else again
        found = await self._confirm(attempt)
        if found.kind in COMPLETED:
            return found
        return outcome if found.kind is Kind.NOT_BOOKED and refused_in_doubt else attempt.outcome

    async def _confirm(self, attempt: Attempt) -> Outcome:
        found = await self._booker.confirm(attempt.row, timeout=min(CONFIRM_TIME, self._guard.remaining()))
        if found.kind is Kind.BLOCKED:
            self._block(found)
        return Outcome(Kind.RECONCILED, found.booking_id) if found.kind is Kind.BOOKED else found

    def _conclude(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.outcome = outcome
        attempt.answered_at = self._time.at_least() if attempt.calls else None
        early = outcome.kind is Kind.TOO_EARLY and attempt.row.early_runs + 1 < EARLY_RUNS
        if outcome.kind in COMPLETED | FAILED and not early:
            self._settle(attempt, outcome)
        elif outcome.kind is Kind.BLOCKED:
            self._block(outcome)

    # the line's own end

    def _block(self, outcome: Outcome) -> None:
        if not self._stopped:
            self._stop("the venue blocks us", outcome)
            self._blocked(self.venue_id, [a for a in self.attempts if a.outcome is None and not a.row.maybe_sent])

    def _stop(self, why: str, outcome: Outcome) -> None:
        self._stopped = True
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
