"""One row: prepare it, confirm an earlier call, call in its slot, follow up the answer, and conclude."""

from __future__ import annotations

from prebooking.bookers import STALE_CONNECTION, Gate
from prebooking.database.prebookings import BLOCKED_PAUSE, UNREACHABLE_PAUSE
from prebooking.errors import BadBookingData, SendRefused
from prebooking.model import COMPLETED, Attempt, Kind, Outcome
from prebooking.run.evidence import Evidence, proves
from prebooking.run.rules import (
    blocks_only_this_row,
    has_time_for_answer,
    in_doubt,
    is_between_opening_and_expiry,
    login_refusal_is_final,
    refusal_if_not_booked,
    refused_in_doubt,
    settles_earlier_call,
    too_early_is_final,
    was_missing_before,
)
from prebooking.run.slots import Slot
from prebooking.run.venue_context import VenueContext

NOT_SENT_PAUSES = (0.1, 0.2)  # seconds before the second and the third try, if the previous one sent nothing
NOT_SENT_TIME = 2.5  # seconds after the first try from which on no further try starts: the venue accepts no connections
MAX_STALE_CONNECTIONS = 3  # replacements of a connection that was closed before its slot; they do not count as tries
MAX_EARLY_RETRIES = 3  # further calls in a run after the answer "too early"
EARLY_PAUSE = 0.25  # seconds before each of these calls
MAX_BLOCKS = 3  # calls of a row answered "blocked" after which it is rejected, if the venue books other rows meanwhile
CONFIRM_TIME = 2.0  # timeout of a query to the venue, in seconds
_ROW_BLOCKED = "It blocked this booking every time, and accepted others meanwhile."


class BookingAttempt:
    """Books one row.

    At every await, ``attempt.outcome`` is already the correct result in case the run is cancelled there.
    """

    def __init__(self, attempt: Attempt, venue: VenueContext) -> None:
        self._attempt, self._row, self._venue = attempt, attempt.row, venue

    @property
    def is_ready(self) -> bool:
        """Return whether the booking call can be made now, without ``prepare`` or ``confirm`` before it."""
        return not in_doubt(self._row) and self._venue.booker.is_ready(self._row)

    async def prepare_and_confirm(self, *, delay: float) -> bool:
        """After ``delay`` seconds prepare the row and confirm an earlier call. Return whether to call now."""
        await self._venue.clock.sleep(delay)
        return not self._venue.stopped and await self._try_to_prepare() and await self._must_call_after_query()

    async def call(self, slot: Slot) -> None:
        """Call the venue in the row's slot, and handle the answer."""
        try:
            async with slot:
                outcome = await self._call_in_slot(slot)
            if outcome.kind is Kind.NOT_SENT:
                self._attempt.outcome = self._attempt.outcome or outcome
                self._venue.stop("venue unreachable", outcome, pause=UNREACHABLE_PAUSE)
                return
            await self._settle_or_query(await self._repeat_if_not_final(outcome))
        except SendRefused as exc:
            self._venue.log.info("call not sent", prebooking=self._attempt.id, why=str(exc))
        except BadBookingData as exc:
            if not self._row.maybe_sent:
                self._settle_if_proved(Outcome(Kind.BAD_DATA, detail=str(exc)), Evidence.ROW)

    # before the call

    async def _try_to_prepare(self) -> bool:
        """Prepare the row, and return whether the venue can be called or queried about it."""
        missing = await self._prepare()
        if missing is None:
            return True
        self._venue.log.warning(
            "row not prepared", prebooking=self._attempt.id, outcome=missing.kind, detail=missing.detail
        )
        if missing.kind is Kind.BLOCKED:
            self._venue.stop("login blocked by the venue", missing, pause=BLOCKED_PAUSE)
        if missing.kind is Kind.SESSION_EXPIRED and login_refusal_is_final(self._row):
            self._settle_if_proved(missing, Evidence.LOGIN)
        else:  # our own failure, or a login problem of a row in doubt, which proves nothing about the earlier call
            self._attempt.outcome = Outcome(Kind.CANNOT_TELL if self._row.maybe_sent else Kind.NOT_READY)
        return False

    async def _prepare(self, *, renew: bool = False) -> Outcome | None:
        if not renew and self._venue.booker.is_ready(self._row):
            return None
        return await self._venue.booker.prepare(self._row, timeout=self._venue.guard.remaining(), renew=renew)

    async def _must_call_after_query(self) -> bool:
        """Query the venue about a call of an earlier run, settle the row if possible, and return whether to call again.

        The lease of that run has ended, so the venue can no longer act on that call: "not booked" is final.
        """
        if not in_doubt(self._row):
            return True
        found = await self._confirm()
        self._attempt.outcome = found if found.kind in (Kind.NOT_BOOKED, Kind.MISSING) else Outcome(Kind.CANNOT_TELL)
        if found.kind in COMPLETED:
            self._settle_if_proved(found, Evidence.QUERY)
        elif found.kind is Kind.NOT_BOOKED and (end := self._end_if_not_booked()):
            self._settle_if_proved(end, Evidence.QUERY_AFTER_LEASE)
        elif found.kind is Kind.NOT_BOOKED:
            return True
        elif found.kind is Kind.MISSING and was_missing_before(self._row, self._venue.time):
            self._settle_if_proved(Outcome(Kind.CLASS_GONE), Evidence.QUERY_AFTER_LEASE)
        elif found.kind is Kind.BLOCKED and not self._is_blocked_alone():
            self._venue.stop("query blocked by the venue", found, pause=BLOCKED_PAUSE)
        elif self._only_blocked_and_unclear():
            self._settle_if_proved(Outcome(Kind.REJECTED, detail=_ROW_BLOCKED), Evidence.ANSWER)
        else:
            self._venue.log.warning("no clear answer to the query", prebooking=self._attempt.id)
        return False

    def _end_if_not_booked(self) -> Outcome | None:
        """Return the final outcome of a row that is not booked, or None if it must be called again."""
        row = self._row
        if row.if_not_booked and proves(Evidence.QUERY_AFTER_LEASE, row.if_not_booked):
            return Outcome(row.if_not_booked)
        if row.unclear >= self._venue.booker.max_unclear_calls:
            return Outcome(Kind.REJECTED, detail=f"It gave no clear answer to {row.unclear} calls.")
        if row.blocks >= MAX_BLOCKS and self._is_blocked_alone():
            return Outcome(Kind.REJECTED, detail=_ROW_BLOCKED)
        return None

    def _only_blocked_and_unclear(self) -> bool:
        """Return whether every call was answered "blocked", and no query got a clear answer."""
        row = self._row
        asked_enough = row.blocks + row.setbacks >= MAX_BLOCKS
        return asked_enough and row.attempts == row.blocks and self._is_blocked_alone()

    def _only_blocked_and_idempotent(self) -> bool:
        """Return whether all calls were answered "blocked" at an idempotent venue, which is never queried."""
        row = self._row
        only_refused = row.attempts + self._attempt.calls == row.blocks + 1
        return row.venue.idempotent and only_refused and row.blocks + 1 >= MAX_BLOCKS

    # the call

    async def _call_in_slot(self, slot: Slot) -> Outcome:
        """Call in the row's slot. If nothing could be sent, try twice more."""

        def mark_sent() -> None:
            self._check_and_mark_sent()
            slot.sent()

        gate = Gate(mark_sent, slot.wait)
        began, outcome = self._venue.clock.monotonic(), await self._call_replacing_stale(gate)
        for pause in NOT_SENT_PAUSES:
            if outcome.kind is not Kind.NOT_SENT or self._venue.clock.monotonic() - began > NOT_SENT_TIME:
                break
            await self._venue.clock.sleep(pause)
            outcome = await self._call_replacing_stale(gate)
        return outcome

    async def _call_replacing_stale(self, gate: Gate) -> Outcome:
        """Call. If the connection was closed before the slot, call again at once on a new one."""
        outcome = await self._call(gate)
        for _ in range(MAX_STALE_CONNECTIONS):
            if outcome != STALE_CONNECTION:
                break
            outcome = await self._call(gate)
        return outcome

    async def _call(self, gate: Gate) -> Outcome:
        outcome = await self._venue.booker.book(self._row, timeout=self._venue.guard.remaining(), gate=gate)
        if outcome.kind is not Kind.NOT_SENT:
            self._attempt.outcome = outcome
            if outcome.kind is not Kind.UNSURE:
                self._attempt.unclear -= 1
        return outcome

    async def _call_again(self, *, otherwise: Outcome) -> Outcome:
        """Call again without waiting for a slot, and return the answer. Return ``otherwise`` if nothing was sent."""
        try:
            again = await self._call_replacing_stale(Gate(self._check_and_mark_sent))
        except SendRefused:
            return otherwise
        return otherwise if again.kind is Kind.NOT_SENT else again

    def _check_and_mark_sent(self) -> None:
        """Check the clocks right before the first byte, because the process may have been frozen, and record the call.

        Raises:
            SendRefused: the call must not be sent.

        """
        venue, attempt = self._venue, self._attempt
        if venue.stopped:
            raise SendRefused("this run has stopped calling this venue")
        if not has_time_for_answer(venue.last_start):
            raise SendRefused("too little time is left for an answer")
        if not is_between_opening_and_expiry(self._row, venue.time):
            raise SendRefused("the time is not between the opening and the start of the class")
        attempt.calls += 1
        attempt.unclear += 1
        attempt.sent_at, attempt.fired_at = venue.clock.monotonic(), attempt.fired_at or venue.time.stamp()
        attempt.outcome = Outcome(Kind.UNSURE)

    # after the answer

    async def _repeat_if_not_final(self, outcome: Outcome) -> Outcome:
        """Call again after "too early" and after "log in again", and return the last answer.

        After both answers it is certain that nothing was booked. "Too early" can mean that the venue's clock is behind.
        """
        early_retries, logged_in = 0, False
        while True:
            if outcome.kind is Kind.TOO_EARLY and early_retries < MAX_EARLY_RETRIES:
                early_retries += 1
                await self._venue.clock.sleep(EARLY_PAUSE)
            elif outcome.kind is Kind.SESSION_EXPIRED:
                self._attempt.outcome = outcome = Outcome(Kind.LOGGED_OUT)
                if logged_in:  # the venue refuses the new login too, so the old one was not the cause
                    return outcome
                if missing := await self._prepare(renew=True):
                    return missing if missing.kind in (Kind.SESSION_EXPIRED, Kind.BLOCKED) else outcome
                logged_in = True
            else:
                return outcome
            outcome = await self._call_again(otherwise=outcome)

    async def _settle_or_query(self, outcome: Outcome) -> None:
        """Settle a clear answer. After an unclear one query the venue, and settle if the member has the place.

        A refusal of a row in doubt is not clear either: the class can be full because the earlier call booked it.
        Now only "booked" is final, as the venue may still process the call. "Not booked" is final after the lease.
        """
        evidence = Evidence.LOGIN if outcome.kind is Kind.SESSION_EXPIRED else Evidence.ANSWER
        if outcome.kind is not Kind.UNSURE and not refused_in_doubt(self._row, outcome):
            self._settle_if_proved(outcome, evidence)
            return
        self._attempt.outcome = unsure = Outcome(
            Kind.UNSURE, detail=outcome.detail, if_not_booked=outcome.if_not_booked
        )
        if self._venue.guard.remaining() < CONFIRM_TIME:
            return
        if self._row.venue.idempotent:
            again = await self._call_again(otherwise=unsure)
            if settles_earlier_call(again):
                self._settle_if_proved(again, Evidence.ANSWER)
            else:
                self._attempt.outcome = Outcome(Kind.UNSURE, detail=again.detail)
            return
        found = await self._confirm(if_booked=outcome.if_booked)
        if found.kind in COMPLETED:
            self._settle_if_proved(found, Evidence.QUERY)
        elif found.kind is Kind.BLOCKED:
            self._venue.stop("query blocked by the venue", found, pause=BLOCKED_PAUSE)
        elif found.kind is Kind.NOT_BOOKED and (refusal := refusal_if_not_booked(self._row, outcome)):
            self._settle_if_proved(refusal, evidence)

    async def _confirm(self, *, if_booked: Kind = Kind.RECONCILED) -> Outcome:
        """Query whether the member has the place. If the venue asks for a login, renew it and query once more."""
        found = await self._query()
        if found.kind is Kind.SESSION_EXPIRED and await self._prepare(renew=True) is None:
            found = await self._query()
        return Outcome(if_booked, found.booking_id) if found.kind is Kind.BOOKED else found

    async def _query(self) -> Outcome:
        timeout = min(CONFIRM_TIME, self._venue.guard.remaining())
        return await self._venue.booker.confirm(self._row, timeout=timeout)

    # the end

    def _settle_if_proved(self, outcome: Outcome, evidence: Evidence) -> None:
        """Settle the outcome if the evidence proves it, else keep it. Pause a venue that blocks us."""
        attempt = self._attempt
        attempt.outcome = outcome
        attempt.answered_at = self._venue.time.stamp() if attempt.fired_at else None
        if outcome.kind is Kind.TOO_EARLY and too_early_is_final(self._row, self._venue.time):
            evidence = Evidence.REPEATED_ANSWER
        if proves(evidence, outcome.kind):
            self._venue.completed += outcome.kind in COMPLETED and attempt.calls > 0
            self._venue.settle(attempt, outcome)
        elif outcome.kind is Kind.BLOCKED and self._is_blocked_alone() and self._only_blocked_and_idempotent():
            self._settle_if_proved(Outcome(Kind.REJECTED, detail=_ROW_BLOCKED), evidence)
        elif outcome.kind is Kind.BLOCKED and self._is_blocked_alone():
            attempt.outcome = Outcome(Kind.BLOCKED_ALONE, detail=outcome.detail)
        elif outcome.kind is Kind.BLOCKED:
            self._venue.stop("call blocked by the venue", outcome, pause=BLOCKED_PAUSE)

    def _is_blocked_alone(self) -> bool:
        return blocks_only_this_row(self._row, completed=self._venue.completed)
