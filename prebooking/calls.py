"""The calls for one row, from the first byte that may leave to an outcome that means something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prebooking.bookers import STALE_CONNECTION, Booker, Gate
from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.errors import SendRefused
from prebooking.model import COMPLETED, FAILED, Attempt, Kind, Outcome

NOT_SENT_PAUSES = (0.1, 0.2)  # seconds before a call that could not be sent is tried again
STALE_CONNECTIONS = 4  # connections in a row that may be closed before their slot: each is made anew at once
RE_ASKS = 3  # calls after an explicit "too early" ...
RE_ASK_PAUSE = 0.25  # ... so many seconds apart
CONFIRM_TIME = 2.0  # seconds a question to the venue may take


class Calls:
    """Talks to one venue about its rows, and leaves in each attempt what would be true if it was cut off right there.

    Attributes:
        stopped: no first byte leaves any more.

    """

    def __init__(
        self, booker: Booker, *, clock: Clock, time: DatabaseTime, last_start: Deadline, guard: Deadline
    ) -> None:
        self.stopped = False
        self._booker, self._clock, self._time = booker, clock, time
        self._last_start, self._guard = last_start, guard

    def is_ready(self, attempt: Attempt) -> bool:
        """Say whether the row can be called as it is."""
        return self._booker.is_ready(attempt.row)

    def is_enough(self, attempt: Attempt) -> bool:
        """Say whether the venue was called about this row as often as it may be."""
        return attempt.row.attempts >= self._booker.most_calls

    async def prepare(self, attempt: Attempt, *, renew: bool = False) -> Outcome | None:
        """See to what a call of this row needs; None: it is there, otherwise why it is not."""
        if not renew and self.is_ready(attempt):
            return None
        return await self._booker.prepare(attempt.row, timeout=self._guard.remaining(), renew=renew)

    async def first(
        self, attempt: Attempt, in_turn: Callable[[], Awaitable[None]], has_left: Callable[[], None]
    ) -> Outcome:
        """Make the row's first call, ``in_turn``, and say when it ``has_left``; if it could not be sent, twice more."""

        def mark_sent() -> None:
            self._let_go(attempt)
            has_left()

        gate = Gate(mark_sent, in_turn)
        outcome = await self._call(attempt, gate)
        for pause in NOT_SENT_PAUSES:
            if outcome.kind is not Kind.NOT_SENT:
                break
            await self._clock.sleep(pause)
            outcome = await self._call(attempt, gate)
        return outcome

    async def to_the_end(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Return what the first answer comes to: asked again, logged in again, made sure of, while there is time."""
        outcome = await self._logged_in_again(attempt, outcome)
        return await self._made_sure(attempt, await self._asked_again(attempt, outcome))

    async def confirm(self, attempt: Attempt, *, if_booked: Kind = Kind.RECONCILED) -> Outcome:
        """Ask the venue whether the member has the place."""
        found = await self._question(attempt)
        if found.kind is Kind.SESSION_EXPIRED and await self.prepare(attempt, renew=True) is None:
            found = await self._question(attempt)
        return Outcome(if_booked, found.booking_id) if found.kind is Kind.BOOKED else found

    # one call

    async def _call(self, attempt: Attempt, gate: Gate) -> Outcome:
        outcome = STALE_CONNECTION
        for _ in range(STALE_CONNECTIONS):
            if outcome != STALE_CONNECTION:
                break
            outcome = await self._booker.book(attempt.row, timeout=self._guard.remaining(), gate=gate)
        if outcome.kind is not Kind.NOT_SENT:
            attempt.outcome = outcome
        return outcome

    async def _again(self, attempt: Attempt, instead: Outcome) -> Outcome:
        """Call once more, at once; what was clear ``instead`` stands if that does not leave."""
        try:
            again = await self._call(attempt, Gate(lambda: self._let_go(attempt)))
        except SendRefused:
            return instead
        return instead if again.kind is Kind.NOT_SENT else again

    def _let_go(self, attempt: Attempt) -> None:
        """Look at the clocks once more, right before the first byte: this process may have been frozen on the way here.

        Raises:
            SendRefused: it may not leave.

        """
        now = self._time.at_least()
        if self.stopped:
            raise SendRefused("the line has stopped")
        if self._last_start.passed():
            raise SendRefused("there is no time left for an answer")
        if not attempt.row.available_at <= now <= self._time.at_most() < attempt.row.expires_at:
            raise SendRefused("it is not between the opening and the class's start")
        attempt.calls += 1
        attempt.sent_at, attempt.fired_at = self._clock.monotonic(), attempt.fired_at or now
        attempt.outcome = Outcome(Kind.UNSURE)

    async def _question(self, attempt: Attempt) -> Outcome:
        return await self._booker.confirm(attempt.row, timeout=min(CONFIRM_TIME, self._guard.remaining()))

    # what an answer is worth

    async def _logged_in_again(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Call once more with a new login, after a clear "log in again": nothing was booked by that call."""
        if outcome.kind is not Kind.SESSION_EXPIRED:
            return outcome
        attempt.outcome = back_in_line = Outcome(Kind.LOGGED_OUT)
        missing = await self.prepare(attempt, renew=True)
        if missing is None:
            return await self._again(attempt, back_in_line)
        return missing if missing.kind in (Kind.SESSION_EXPIRED, Kind.BLOCKED) else back_in_line

    async def _asked_again(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Ask again after an explicit "too early": at the very instant a venue's clock may be a little behind."""
        for _ in range(RE_ASKS):
            if outcome.kind is not Kind.TOO_EARLY:
                break
            await self._clock.sleep(RE_ASK_PAUSE)
            outcome = await self._again(attempt, outcome)
        return outcome

    async def _made_sure(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Replace an outcome that proves nothing by what the venue says when asked, while there is time for that.

        Proves nothing: no clear answer; and a refusal after an earlier call in doubt ("full" may be our own booking).
        """
        refused_in_doubt = in_doubt(attempt) and outcome.kind in FAILED
        if outcome.kind is not Kind.UNSURE and not refused_in_doubt:
            return outcome
        attempt.outcome = Outcome(Kind.UNSURE, detail=outcome.detail)
        if self._guard.remaining() < CONFIRM_TIME:
            return attempt.outcome
        if attempt.row.venue.idempotent:
            return _told(await self._again(attempt, attempt.outcome))
        found = await self.confirm(attempt, if_booked=outcome.if_booked)
        if found.kind in COMPLETED or found.kind is Kind.BLOCKED:
            return found
        if_not_booked = outcome.kind if refused_in_doubt else outcome.if_not_booked
        if found.kind is Kind.NOT_BOOKED and if_not_booked:
            return Outcome(if_not_booked, detail=outcome.detail)
        return attempt.outcome


def _told(again: Outcome) -> Outcome:
    """Return what a second call tells of the first: a place, or nothing, for that may be under way still.

    "Too early" or "full" is said to the second call alone; the first may be acted on a moment later.
    """
    return again if again.kind in COMPLETED or again.kind is Kind.BLOCKED else Outcome(Kind.UNSURE, detail=again.detail)


def in_doubt(attempt: Attempt) -> bool:
    """Say whether only the venue knows if the row is booked; where a key books once, sending it again will tell."""
    return attempt.row.maybe_sent and not attempt.row.venue.idempotent
