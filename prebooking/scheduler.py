"""One invocation: claim what is due, fire it in order, settle what became of it, give the rest back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypedDict
from uuid import UUID

from prebooking.bookers import OpenBooker
from prebooking.clock import Clock, Deadline
from prebooking.errors import StoreBusy, StoreError
from prebooking.line import VenueLine
from prebooking.log import Log
from prebooking.model import COMPLETED, Attempt, Ending, Kind, Outcome, Sent, Summary, Venue, Verdict
from prebooking.report import Report
from prebooking.settings import LAST_START, Settings
from prebooking.store import Claim, PrebookingStore

CLAIM_LIMIT = 500  # rows one invocation holds at once: what a small instance can fire before its last start
CLAIM_TIME = 0.5  # seconds that must be left for one more claim: one cut short would look like a fault
WRITES = 1.0  # seconds after the guard until which the database may be written to ...
END_OF_RUN = 0.3  # ... of which the last are kept for the end of the run


class ClaimTerms(TypedDict):
    """What a claim goes by, but for the instant of its last slot: durations in seconds."""

    limit: int
    stagger: float
    lead: float
    lease: float
    turn: float


def claim_terms(settings: Settings) -> ClaimTerms:
    """Return the terms on which a run claims: whoever shows what a run would do asks by the same."""
    return {
        "limit": CLAIM_LIMIT,
        "stagger": settings.stagger_ms / 1000,
        "lead": settings.lead_seconds,
        "lease": settings.lease_seconds,
        "turn": settings.execution_timeout_seconds,
    }


class PrebookingScheduler:
    """Books what is due, once. An object is one invocation: it is run and thrown away."""

    def __init__(
        self,
        *,
        store: PrebookingStore,
        bookers: Mapping[str, OpenBooker],
        settings: Settings,
        guard: Deadline,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store, self._bookers, self._terms = store, bookers, claim_terms(settings)
        self._guard, self._clock, self._log = guard, clock, log
        self._last_start = guard.later(-LAST_START)
        self._outcomes_until, self._end = guard.later(WRITES - END_OF_RUN), guard.later(WRITES)
        self._stagger = self._terms["stagger"]
        self._report = Report(store.instance_id)
        self._lines: dict[UUID, VenueLine] = {}
        self._open_bookers = AsyncExitStack()
        self._writes: set[asyncio.Task[None]] = set()
        self._holds_rows = False  # or may hold some: an answer was lost

    async def run(self) -> Summary:
        """Go through one invocation, and answer what it did, whatever happened on the way."""
        async with self._open_bookers:
            try:
                async with asyncio.timeout(self._guard.remaining()):
                    await self._claim_and_fire()
                    await self._answers()
            except TimeoutError:
                self._report.timed_out = True
            except Exception as exc:  # noqa: BLE001 - whatever it is, what is held has to be settled and given back
                self._report.broken = True
                self._log.unexpected("unexpected", exc)
            await self._cut_calls()
            await self._outcomes_written()
            await self._give_back()
        return self._summary()

    # claim

    async def _claim_and_fire(self) -> None:
        try:
            while new := await self._claim():
                await self._stand_in_line(new)
                await self._last_slot()
        except StoreBusy:
            self._report.busy = True
        except StoreError as exc:
            self._fault("the claim failed", exc)

    async def _claim(self) -> list[Attempt]:
        """Claim again, and return what this invocation did not have before."""
        if self._last_start.remaining() <= (CLAIM_TIME if self._report.endings else 0):
            return []
        had_rows, self._holds_rows = self._holds_rows, True
        claim = await self._store.claim_due(providers=self._bookers, fire_within=self._last_start, **self._terms)
        self._holds_rows = had_rows or claim.anything_happened
        self._report.expired, self._report.unknown = claim.expired, claim.unknown
        self._refuse_unreadable(claim)
        new = [Attempt.of(row) for row in claim.rows if row.id not in self._report.endings]
        self._report.endings |= {attempt.id: attempt for attempt in new}
        self._log.info("claimed", rows=len(new), unreadable=len(claim.unreadable), tries=claim.tries)
        self._time = claim.time
        return new

    def _refuse_unreadable(self, claim: Claim) -> None:
        for row_id in claim.unreadable:
            if row_id not in self._report.endings:
                bad = Outcome(Kind.BAD_DATA)
                ending = self._report.endings[row_id] = Ending(row_id, bad)
                self._settle(ending, bad)

    # fire

    async def _stand_in_line(self, attempts: list[Attempt]) -> None:
        for venue in {attempt.row.venue.id: attempt.row.venue for attempt in attempts}.values():
            line = self._lines.get(venue.id) or await self._new_line(venue)
            line.add(attempt for attempt in attempts if attempt.row.venue.id == venue.id)

    async def _new_line(self, venue: Venue) -> VenueLine:
        booker = await self._open_bookers.enter_async_context(self._bookers[venue.provider](venue))
        line = self._lines[venue.id] = VenueLine(
            booker,
            venue_id=venue.id,
            clock=self._clock,
            time=self._time,
            stagger=self._stagger,
            last_start=self._last_start,
            guard=self._guard,
            settle=self._settle,
            blocked=self._release_blocked,
            log=self._log,
        )
        return line

    async def _last_slot(self) -> None:
        """Wait for the end of the lines, as long as the longest should take: a venue that hangs holds up no claim."""
        planned = max(line.planned() for line in self._lines.values())
        if walks := [line.walk for line in self._lines.values() if line.walk]:
            await asyncio.wait(walks, timeout=planned)

    async def _answers(self) -> None:
        for line in self._lines.values():
            await line.done()

    async def _cut_calls(self) -> None:
        await asyncio.gather(*(line.cut() for line in self._lines.values()))
        self._report.broken |= any(line.faulty for line in self._lines.values())

    # settle; none of this stands inside the guard: a write that it cuts off is lost

    def _settle(self, ending: Ending, outcome: Outcome) -> None:
        self._write(self._settled(ending, outcome))

    async def _settled(self, ending: Ending, outcome: Outcome) -> None:
        mark = self._store.mark_completed if outcome.kind in COMPLETED else self._store.mark_failed
        await self._stagger_over(ending.sent_at)
        ending.settled = await mark(ending, outcome, until=self._outcomes_until)
        event = "settled" if ending.settled else "lost"
        self._log.info(event, prebooking=ending.id, outcome=outcome.kind, calls=ending.calls)

    def _release_blocked(self, venue_id: UUID, unsent: list[Attempt]) -> None:
        self._write(self._released(venue_id, [attempt.id for attempt in unsent]))

    async def _released(self, venue_id: UUID, ids: list[UUID]) -> None:
        released = await self._store.release(ids, blocked_venue=venue_id, until=self._outcomes_until)
        self._log.warning("venue paused", venue=venue_id, released=released)

    async def _stagger_over(self, sent_at: float | None) -> None:
        """Wait until the next call of an opening may leave: whoever finds it free may fire at once."""
        if sent_at is not None:
            await self._clock.sleep(max(0.0, sent_at + self._stagger - self._clock.monotonic()))

    def _write(self, steps: Coroutine[Any, Any, None]) -> None:
        self._writes.add(asyncio.create_task(self._noted(steps)))

    async def _noted(self, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        except StoreError as exc:
            self._fault("an outcome could not be written", exc)
        except Exception as exc:  # noqa: BLE001 - one write that goes wrong stops no other
            self._report.broken = True
            self._log.unexpected("unexpected", exc)

    async def _outcomes_written(self) -> None:
        if self._writes:
            await asyncio.wait(self._writes)

    # give back

    async def _give_back(self) -> None:
        if not self._holds_rows:
            return
        await self._stagger_over(max((line.sent_at for line in self._lines.values()), default=None))
        unsettled = [ending for ending in self._report.endings.values() if ending.settled is None]
        try:
            sent = [_sent(ending) for ending in unsettled if ending.calls]
            finished = await self._store.finish_run(sent, self._summary().as_json(), until=self._end)
            self._log.info("finished", released=finished.released, locked=finished.locked)
        except StoreError as exc:
            if self._report.endings or not isinstance(exc, StoreBusy):
                self._fault("the end of the run could not be written", exc)

    def _fault(self, event: str, exc: StoreError) -> None:
        self._report.broken = True
        self._log.error(event, function=exc.function, code=exc.code)

    def _summary(self) -> Summary:
        return self._report.summary(now=self._clock.now(), execution_time=self._guard.start.elapsed(self._clock))


_VERDICTS = {
    Kind.TOO_EARLY: Verdict.TOO_EARLY,
    Kind.LOGGED_OUT: Verdict.LOGGED_OUT,
    Kind.BLOCKED: Verdict.BLOCKED,
}


def _sent(ending: Ending) -> Sent:
    """Return what is known of a row that was called; only after a clear answer nothing is under way any more."""
    earlier = ending.row if isinstance(ending, Attempt) else None
    verdict = _VERDICTS.get(ending.outcome.kind, Verdict.UNSURE) if ending.outcome else Verdict.UNSURE
    unclear = (earlier.unclear if earlier else 0) + (verdict is Verdict.UNSURE)
    return Sent(ending.id, (earlier.attempts if earlier else 0) + ending.calls, ending.fired_at, verdict, unclear)
