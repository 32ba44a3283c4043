"""One invocation: claim the due rows, call the venues in order, settle each result, and release the other rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import UUID

from prebooking.bookers import OpenBooker
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.database.prebookings import Claim, PrebookingStore
from prebooking.errors import StoreBusy, StoreError
from prebooking.log import Log
from prebooking.model import Attempt, Kind, Outcome, RowResult, Summary, Venue
from prebooking.run.evidence import note_for
from prebooking.run.outcomes import OutcomeWriter
from prebooking.run.report import NoClaim, Report
from prebooking.run.slots import SlotQueue
from prebooking.run.venue_context import VenueContext
from prebooking.run.venue_queue import VenueQueue
from prebooking.settings import LAST_START, Settings

CLAIM_LIMIT = 500  # most rows that one invocation holds at once: a small instance can send that many calls in time
MIN_CLAIM_TIME = 0.5  # seconds that must be left to start another claim: a cancelled claim would count as a failure
WRITE_TIME = 1.0  # seconds after the guard in which the run may still write to the database
FINISH_TIME = 0.3  # the last seconds of WRITE_TIME, reserved for finish_run
LOCKED_PAUSES = (0.1, 0.2, 0.4, 0.8)  # seconds before each repeated claim while the last one skipped locked rows
# Seconds: the longest wait after the last planned slot, and the interval of the check for newly settled rows.
DISPATCH_MARGIN = 0.25
# Since the last claim of any run: after this time a tick was certainly missed.
MAX_TIME_WITHOUT_CLAIM = timedelta(seconds=90)


class ClaimTerms(TypedDict):
    """The parameters of every claim of a run. Durations are in seconds."""

    limit: int
    stagger: float
    lead: float
    lease: float
    turn: float


def claim_terms(settings: Settings) -> ClaimTerms:
    """Return the parameters of the claims of a run, and of the preview of a run."""
    return {
        "limit": CLAIM_LIMIT,
        "stagger": settings.stagger_ms / 1000,
        "lead": settings.lead_seconds,
        "lease": settings.lease_seconds,
        "turn": settings.execution_timeout_seconds,
    }


class PrebookingScheduler:
    """Books the due rows in one invocation. Each object runs once."""

    def __init__(
        self,
        *,
        store: PrebookingStore,
        bookers: Mapping[str, OpenBooker],
        settings: Settings,
        keys: Sequence[str],
        read_clock: Callable[[DatabaseTime, datetime], Coroutine[Any, Any, None]],
        guard: Deadline,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store, self._bookers, self._terms, self._keys = store, bookers, claim_terms(settings), keys
        self._read_clock, self._guard, self._clock, self._log = read_clock, guard, clock, log
        self._last_start = guard.before(LAST_START)
        # By the monotonic clock only, because a wall clock that was set forward must not prevent a write.
        writes = guard.by_monotonic_clock()
        self._outcomes_until, self._end = writes.later(WRITE_TIME - FINISH_TIME), writes.later(WRITE_TIME)
        self._stagger = self._terms["stagger"]
        self._outcomes = OutcomeWriter(
            store,
            start=self._write,
            calls=self._calls,
            stagger=self._stagger,
            guard=guard,
            until=self._outcomes_until,
            log=log,
        )
        self._report = Report(store.instance_id)
        self._queues: dict[UUID, VenueQueue] = {}
        self._time: DatabaseTime | None = None
        # Tasks that read the database's clock while rows are held.
        self._clock_readings: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._holds_rows = False  # also True if a claim was sent and its answer was lost

    async def run(self) -> Summary:
        """Run the invocation, and return its summary, also after an error."""
        try:
            async with asyncio.timeout(self._guard.remaining()):
                await self._claim_and_fire()
                await self._wait_for_answers()
        except TimeoutError:
            self._report.timed_out = True
        except Exception as exc:  # noqa: BLE001 - after any error the held rows must still be settled or released
            self._report.failed = True
            self._log.unexpected("unexpected", exc)
        await self._cancel_calls()
        await self._wait_for_writes()
        await self._release_held()
        await self._check_last_claim()
        return self._summary()

    # claim

    async def _claim_and_fire(self) -> None:
        pauses, has_new_rows = iter(LOCKED_PAUSES), False
        try:
            while True:
                settled = self._report.settled
                new = await self._claim()
                if new is None:
                    return
                self._enqueue(new)
                self._read_clock_until_opening(new)
                has_new_rows |= bool(new)
                pause = next(pauses, None) if self._report.locked else None
                if pause is not None:
                    await self._clock.sleep(pause)
                elif has_new_rows:
                    has_new_rows = False
                    await self._wait_for_slots()
                elif not await self._wait_until_more_settled(settled):
                    return
        except StoreBusy:
            self._report.no_claim = None if self._time else NoClaim.BUSY
        except StoreError as exc:
            self._log_store_error("the claim failed", exc)

    async def _claim(self) -> list[Attempt] | None:
        """Claim rows, and return those that this run did not hold before. Return None if there is no time left."""
        if self._last_start.remaining() <= (MIN_CLAIM_TIME if self._time else 0):
            self._report.no_claim = None if self._time else NoClaim.NO_TIME
            return None
        had_rows, self._holds_rows = self._holds_rows, True
        claim = await self._store.claim_due(
            providers=self._bookers, keys=self._keys, fire_within=self._last_start, **self._terms
        )
        self._holds_rows = had_rows or claim.needs_finish
        self._report.note(claim)
        self._refuse_unreadable(claim)
        new = [Attempt.of(row) for row in claim.rows if row.id not in self._report.results]
        self._report.results |= {attempt.id: attempt for attempt in new}
        left = {"locked": claim.locked, "no_login": claim.no_login}
        self._log.info("claimed", rows=len(new), unreadable=len(claim.unreadable), tries=claim.tries, **left)
        self._set_time(claim.time)
        return new

    def _set_time(self, time: DatabaseTime) -> None:
        """Create the run's DatabaseTime from the first claim, and add the clock reading of each later claim to it."""
        if self._time is None:
            self._time = time
        else:
            self._time.merge(time)

    def _refuse_unreadable(self, claim: Claim) -> None:
        for row_id in claim.unreadable:
            if row_id not in self._report.results:
                bad = Outcome(Kind.BAD_DATA)
                result = self._report.results[row_id] = RowResult(row_id, bad)
                self._outcomes.add(result, bad)

    # fire

    def _enqueue(self, attempts: list[Attempt]) -> None:
        for venue in {attempt.row.venue.id: attempt.row.venue for attempt in attempts}.values():
            queue = self._queues.get(venue.id) or self._new_queue(venue)
            queue.add(attempt for attempt in attempts if attempt.row.venue.id == venue.id)

    def _new_queue(self, venue: Venue) -> VenueQueue:
        assert self._time is not None  # noqa: S101 - every claim's answer contains the database's time
        context = VenueContext(
            venue=venue,
            slots=SlotQueue(clock=self._clock, time=self._time, stagger=self._stagger),
            clock=self._clock,
            time=self._time,
            last_start=self._last_start,
            guard=self._guard,
            settle=self._outcomes.add,
            release=self._release,
            log=self._log,
        )
        queue = self._queues[venue.id] = VenueQueue(self._bookers[venue.provider], context)
        return queue

    def _read_clock_until_opening(self, attempts: list[Attempt]) -> None:
        """Start to read the database's clock again while rows are held, so that calls are closer to the opening."""
        assert self._time is not None  # noqa: S101 - as above
        now, time = self._time.at_least(), self._time
        openings = [attempt.row.available_at for attempt in attempts if attempt.row.available_at > now]
        if openings:
            self._clock_readings.add(asyncio.create_task(self._catch_errors(self._read_clock(time, min(openings)))))

    async def _wait_for_slots(self) -> None:
        """Wait for the slots of all rows, but only for the planned time: no venue must delay the next claim."""
        planned = max(queue.planned_seconds() for queue in self._queues.values())
        with suppress(TimeoutError):
            async with asyncio.timeout(planned + DISPATCH_MARGIN):
                for queue in self._queues.values():
                    await queue.wait_for_slots()

    async def _wait_until_more_settled(self, settled: int) -> bool:
        """Wait until more rows are settled or no task is left. Return whether more are: then claim again."""
        while unfinished := self._unfinished_tasks():
            await asyncio.wait(unfinished, timeout=DISPATCH_MARGIN)
            if self._report.settled > settled:
                break
        return self._report.settled > settled

    def _unfinished_tasks(self) -> list[asyncio.Task[None]]:
        return [write for write in self._writes if not write.done()] + self._calls()

    def _calls(self) -> list[asyncio.Task[None]]:
        return [task for queue in self._queues.values() for task in queue.tasks]

    async def _wait_for_answers(self) -> None:
        for queue in self._queues.values():
            await queue.wait_for_tasks()

    async def _cancel_calls(self) -> None:
        for reading in self._clock_readings:
            reading.cancel()
        await asyncio.gather(*(queue.cancel() for queue in self._queues.values()))
        self._report.failed |= any(queue.failed for queue in self._queues.values())

    # settle: in tasks that the guard's timeout does not cancel, because a cancelled write would be lost

    def _release(self, venue_id: UUID, unsent: list[Attempt], pause: float) -> None:
        self._write(self._write_release(venue_id, [attempt.id for attempt in unsent], pause))

    async def _write_release(self, venue_id: UUID, ids: list[UUID], pause: float) -> None:
        released = await self._store.release(ids, blocked_venue=venue_id, pause=pause, until=self._outcomes_until)
        self._log.warning("venue paused", venue=venue_id, seconds=pause, released=released)

    def _write(self, steps: Coroutine[Any, Any, None]) -> None:
        self._writes.add(asyncio.create_task(self._catch_errors(steps)))

    async def _catch_errors(self, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        except StoreError as exc:
            self._log_store_error("a result was not written", exc)
        except Exception as exc:  # noqa: BLE001 - a write that fails must not stop the others
            self._report.failed = True
            self._log.unexpected("unexpected", exc)

    async def _wait_for_writes(self) -> None:
        while unfinished := [write for write in self._writes if not write.done()]:  # a write may start others
            await asyncio.wait(unfinished)

    # release

    async def _release_held(self) -> None:
        if not self._holds_rows:
            return
        await self._wait_for_stagger()
        unsettled = (result for result in self._report.results.values() if result.settled is None)
        notes = [note for result in unsettled if (note := note_for(result))]
        summary = self._summary().as_json()
        try:
            finished = await self._store.finish_run(notes, summary, until=self._end)
            self._log.info("finished", released=finished.released, locked=finished.locked)
        except StoreError as exc:
            self._report.finish_failed = True
            if self._report.results or not isinstance(exc, StoreBusy):
                self._log_store_error("finish_run failed", exc)

    async def _wait_for_stagger(self) -> None:
        """Wait until one stagger after the last call: once the rows are released, another invocation may call."""
        sent_at = max((queue.slots.sent_at for queue in self._queues.values()), default=float("-inf"))
        await self._clock.sleep(max(0.0, sent_at + self._stagger - self._clock.monotonic()))

    async def _check_last_claim(self) -> None:
        """If this run could not claim, read when any run last did. If that is too long ago, this run fails."""
        if self._report.no_claim is None:
            return
        try:
            last = await self._store.last_claim(until=Deadline.within(self._clock, WRITE_TIME))
        except StoreError as exc:
            self._log_store_error("reading the time of the last claim failed", exc)
            return
        self._report.failed |= last.last_claim_at is not None and last.now - last.last_claim_at > MAX_TIME_WITHOUT_CLAIM
        self._log.error("nothing claimed", why=self._report.no_claim, last_claim_at=last.last_claim_at)

    def _log_store_error(self, event: str, exc: StoreError) -> None:
        self._report.failed = True
        self._log.error(event, function=exc.function, code=exc.code)

    def _summary(self) -> Summary:
        return self._report.summary(now=self._clock.now(), execution_time=self._guard.start.elapsed(self._clock))
