"""One row: prepare it, confirm an earlier call, call in its slot, follow up the answer, and conclude."""

from __future__ import annotations

from prebooking.bookers import STALE_CONNECTION, Gate
from prebooking.errors import BadBookingData, SendRefused
from prebooking.model import COMPLETED, Attempt, Kind, Outcome
from prebooking.run.evidence import Evidence, proves
from prebooking.run.rules import (
    blocks_only_this_row,
    in_doubt,
    login_refusal_is_final,
    may_leave,
    may_start,
    refusal_if_not_booked,
    refused_in_doubt,
    said_too_early_long_enough,
    tells_of_earlier_call,
    was_missing_before,
)
from prebooking.run.slots import Slot
from prebooking.run.venue_context import BLOCKED_PAUSE, UNREACHABLE_PAUSE, VenueContext

NOT_SENT_PAUSES = (0.1, 0.2)  # seconds before the second and the third try of a call that could not be sent
NOT_SENT_TIME = 2.5  # seconds after which no further try begins: the venue accepts no connections
STALE_CONNECTIONS = 3  # consecutive connections that may be closed before the slot and do not count as a try
EARLY_RETRIES = 3  # further calls in a run after the answer "too early"
EARLY_PAUSE = 0.25  # seconds before each of them
BLOCKS = 3  # blocked calls of a row until it is rejected, if the venue books other rows meanwhile
CONFIRM_TIME = 2.0  # seconds that a question to the venue may take
_REFUSED_ALONE = "It refused this booking every time, and booked others meanwhile."


class BookingAttempt:
    """Books one row.

    At every await ``attempt.outcome`` is the outcome that is true if the run is cut off there.
    """

    def __init__(self, attempt: Attempt, venue: VenueContext) -> None:
        self._attempt, self._row, self._venue = attempt, attempt.row, venue

    @property
    def is_ready(self) -> bool:
        """Return whether the row can be called at once, without a preparation or a confirmation."""
        return not in_doubt(self._row) and self._venue.booker.is_ready(self._row)

    async def may_be_called(self, *, delay: float) -> bool:
        """Prepare and confirm the row after ``delay`` seconds, and return whether the venue is to be called."""
        await self._venue.clock.sleep(delay)
        return not self._venue.stopped and await self._prepared() and await self._not_booked_yet()

    async def call(self, slot: Slot) -> None:
        """Call the venue in the row's slot, and follow the answer up."""
        try:
            async with slot:
                outcome = await self._first_call(slot)
            if outcome.kind is Kind.NOT_SENT:
                self._attempt.outcome = self._attempt.outcome or outcome
                self._venue.stop("the venue cannot be reached", outcome, pause=UNREACHABLE_PAUSE)
                return
            await self._resolve(await self._follow_up(outcome))
        except SendRefused as exc:
            self._venue.log.info("not sent", prebooking=self._attempt.id, why=str(exc))
        except BadBookingData as exc:
            if not self._row.maybe_sent:
                self._conclude(Outcome(Kind.BAD_DATA, detail=str(exc)), Evidence.ROW)

    # before the call

    async def _prepared(self) -> bool:
        """Prepare the row, and return whether the venue can be called or asked about it."""
        missing = await self._prepare()
        if missing is None:
            return True
        self._venue.log.warning(
            "not prepared", prebooking=self._attempt.id, outcome=missing.kind, detail=missing.detail
        )
        if missing.kind is Kind.BLOCKED:
            self._venue.stop("the venue blocks a login", missing, pause=BLOCKED_PAUSE)
        if missing.kind is Kind.SESSION_EXPIRED and login_refusal_is_final(self._row):
            self._conclude(missing, Evidence.LOGIN)
        else:  # our own failure, or a row that was sent before: a missing login proves nothing about that call
            self._attempt.outcome = Outcome(Kind.CANNOT_TELL if self._row.maybe_sent else Kind.NOT_READY)
        return False

    async def _prepare(self, *, renew: bool = False) -> Outcome | None:
        if not renew and self._venue.booker.is_ready(self._row):
            return None
        return await self._venue.booker.prepare(self._row, timeout=self._venue.guard.remaining(), renew=renew)

    async def _not_booked_yet(self) -> bool:
        """Ask the venue about a call of an earlier run, and return whether the row is to be called again.

        The lease of that call is over, so the venue cannot act on it any more: "not booked" is final.
        """
        if not in_doubt(self._row):
            return True
        found = await self._confirm()
        self._attempt.outcome = found if found.kind in (Kind.NOT_BOOKED, Kind.MISSING) else Outcome(Kind.CANNOT_TELL)
        if found.kind in COMPLETED:
            self._conclude(found, Evidence.QUESTION)
        elif found.kind is Kind.NOT_BOOKED and (end := self._end_if_not_booked()):
            self._conclude(end, Evidence.QUESTION_AFTER_LEASE)
        elif found.kind is Kind.NOT_BOOKED:
            return True
        elif found.kind is Kind.MISSING and was_missing_before(self._row, self._venue.time):
            self._conclude(Outcome(Kind.CLASS_GONE), Evidence.QUESTION_AFTER_LEASE)
        elif found.kind is Kind.BLOCKED and not self._is_blocked_alone():
            self._venue.stop("the venue blocks a question", found, pause=BLOCKED_PAUSE)
        elif self._was_only_refused():
            self._conclude(Outcome(Kind.REJECTED, detail=_REFUSED_ALONE), Evidence.ANSWER)
        else:
            self._venue.log.warning("the venue cannot tell", prebooking=self._attempt.id)
        return False

    def _end_if_not_booked(self) -> Outcome | None:
        """Return the final outcome of a row that is not booked, or None if it is to be called again."""
        row = self._row
        if row.if_not_booked and proves(Evidence.QUESTION_AFTER_LEASE, row.if_not_booked):
            return Outcome(row.if_not_booked)
        if row.unclear >= self._venue.booker.most_calls:
            return Outcome(Kind.REJECTED, detail=f"It gave no clear answer to {row.unclear} calls.")
        if row.blocks >= BLOCKS and self._is_blocked_alone():
            return Outcome(Kind.REJECTED, detail=_REFUSED_ALONE)
        return None

    def _was_only_refused(self) -> bool:
        """Return whether every call was clearly refused, and the venue could not tell whenever it was asked."""
        row = self._row
        asked_enough = row.blocks + row.setbacks >= BLOCKS
        return asked_enough and row.attempts == row.blocks and self._is_blocked_alone()

    def _ends_without_a_question(self) -> bool:
        """Return whether every call was clearly refused at an idempotent venue, which is never asked."""
        row = self._row
        only_refused = row.attempts + self._attempt.calls == row.blocks + 1
        return row.venue.idempotent and only_refused and row.blocks + 1 >= BLOCKS

    # the call

    async def _first_call(self, slot: Slot) -> Outcome:
        """Call in the row's slot, and twice more if nothing could be sent."""

        def mark_sent() -> None:
            self._check_and_mark_sent()
            slot.sent()

        gate = Gate(mark_sent, slot.wait)
        began, outcome = self._venue.clock.monotonic(), await self._call_fresh(gate)
        for pause in NOT_SENT_PAUSES:
            if outcome.kind is not Kind.NOT_SENT or self._venue.clock.monotonic() - began > NOT_SENT_TIME:
                break
            await self._venue.clock.sleep(pause)
            outcome = await self._call_fresh(gate)
        return outcome

    async def _call_fresh(self, gate: Gate) -> Outcome:
        """Call, and call again at once if the connection was closed while the call waited for its slot."""
        outcome = await self._call(gate)
        for _ in range(STALE_CONNECTIONS):
            if outcome != STALE_CONNECTION:
                break
            outcome = await self._call(gate)
        return outcome

    async def _call(self, gate: Gate) -> Outcome:
        outcome = await self._venue.booker.book(self._row, timeout=self._venue.guard.remaining(), gate=gate)
        if outcome.kind is not Kind.NOT_SENT:
            self._attempt.outcome = outcome
            self._attempt.unclear -= outcome.kind is not Kind.UNSURE
        return outcome

    async def _call_again(self, *, otherwise: Outcome) -> Outcome:
        """Call again at once, and return the answer, or ``otherwise`` if nothing could be sent."""
        try:
            again = await self._call_fresh(Gate(self._check_and_mark_sent))
        except SendRefused:
            return otherwise
        return otherwise if again.kind is Kind.NOT_SENT else again

    def _check_and_mark_sent(self) -> None:
        """Check the clocks right before the first byte, because the process may have been frozen since the last check.

        Raises:
            SendRefused: nothing may be sent any more.

        """
        venue, attempt = self._venue, self._attempt
        if venue.stopped:
            raise SendRefused("nothing more is sent to this venue in this run")
        if not may_start(venue.last_start):
            raise SendRefused("there is no time left for an answer")
        if not may_leave(self._row, venue.time):
            raise SendRefused("it is not between the opening and the class's start")
        attempt.calls += 1
        attempt.unclear += 1
        attempt.sent_at, attempt.fired_at = venue.clock.monotonic(), attempt.fired_at or venue.time.stamp()
        attempt.outcome = Outcome(Kind.UNSURE)

    # after the answer

    async def _follow_up(self, outcome: Outcome) -> Outcome:
        """Call again after "too early" and after "log in again", and return the last answer.

        Both answers are clear: the call has booked nothing. A venue's clock may be a little behind.
        """
        early_retries, logged_in = 0, False
        while True:
            if outcome.kind is Kind.TOO_EARLY and early_retries < EARLY_RETRIES:
                early_retries += 1
                await self._venue.clock.sleep(EARLY_PAUSE)
            elif outcome.kind is Kind.SESSION_EXPIRED:
                self._attempt.outcome = outcome = Outcome(Kind.LOGGED_OUT)
                if logged_in:  # a new login is refused too: not the member's fault
                    return outcome
                if missing := await self._prepare(renew=True):
                    return missing if missing.kind in (Kind.SESSION_EXPIRED, Kind.BLOCKED) else outcome
                logged_in = True
            else:
                return outcome
            outcome = await self._call_again(otherwise=outcome)

    async def _resolve(self, outcome: Outcome) -> None:
        """Conclude with a clear answer. Otherwise ask the venue, and conclude if the member has the place.

        A refusal after an earlier call in doubt is not clear either: the class may be full because of our own booking.
        Only "booked" is final here, because the venue may still act on the call. "Not booked" is final after the lease.
        """
        evidence = Evidence.LOGIN if outcome.kind is Kind.SESSION_EXPIRED else Evidence.ANSWER
        if outcome.kind is not Kind.UNSURE and not refused_in_doubt(self._row, outcome):
            self._conclude(outcome, evidence)
            return
        self._attempt.outcome = unsure = Outcome(
            Kind.UNSURE, detail=outcome.detail, if_not_booked=outcome.if_not_booked
        )
        if self._venue.guard.remaining() < CONFIRM_TIME:
            return
        if self._row.venue.idempotent:
            again = await self._call_again(otherwise=unsure)
            if tells_of_earlier_call(again):
                self._conclude(again, Evidence.ANSWER)
            else:
                self._attempt.outcome = Outcome(Kind.UNSURE, detail=again.detail)
            return
        found = await self._confirm(if_booked=outcome.if_booked)
        if found.kind in COMPLETED:
            self._conclude(found, Evidence.QUESTION)
        elif found.kind is Kind.BLOCKED:
            self._venue.stop("the venue blocks a question", found, pause=BLOCKED_PAUSE)
        elif found.kind is Kind.NOT_BOOKED and (refusal := refusal_if_not_booked(self._row, outcome)):
            self._conclude(refusal, evidence)

    async def _confirm(self, *, if_booked: Kind = Kind.RECONCILED) -> Outcome:
        """Ask the venue whether the member has the place."""
        found = await self._question()
        if found.kind is Kind.SESSION_EXPIRED and await self._prepare(renew=True) is None:
            found = await self._question()
        return Outcome(if_booked, found.booking_id) if found.kind is Kind.BOOKED else found

    async def _question(self) -> Outcome:
        timeout = min(CONFIRM_TIME, self._venue.guard.remaining())
        return await self._venue.booker.confirm(self._row, timeout=timeout)

    # the end

    def _conclude(self, outcome: Outcome, evidence: Evidence) -> None:
        """Settle the outcome if the evidence proves it. Otherwise keep it for the next run."""
        attempt = self._attempt
        attempt.outcome = outcome
        attempt.answered_at = self._venue.time.stamp() if attempt.fired_at else None
        if outcome.kind is Kind.TOO_EARLY and said_too_early_long_enough(self._row, self._venue.time):
            evidence = Evidence.ANSWERS_FOR_LONG
        if proves(evidence, outcome.kind):
            self._venue.completed += outcome.kind in COMPLETED and attempt.calls > 0
            self._venue.settle(attempt, outcome)
        elif outcome.kind is Kind.BLOCKED and self._is_blocked_alone() and self._ends_without_a_question():
            self._conclude(Outcome(Kind.REJECTED, detail=_REFUSED_ALONE), evidence)
        elif outcome.kind is Kind.BLOCKED and self._is_blocked_alone():
            attempt.outcome = Outcome(Kind.BLOCKED_ALONE, detail=outcome.detail)
        elif outcome.kind is Kind.BLOCKED:
            self._venue.stop("the venue blocks us", outcome, pause=BLOCKED_PAUSE)

    def _is_blocked_alone(self) -> bool:
        return blocks_only_this_row(self._row, completed=self._venue.completed)
