"""The guards in the function, each with the rule that is replaced to remove it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from prebooking.clock import Clock, DatabaseReading, DatabaseTime, Deadline, Reading
from prebooking.model import FAILED, Kind, Outcome, Prebooking, Verdict
from prebooking.run.evidence import _AFTER_A_CALL
from tests.verification import scenarios
from tests.verification.guard import guard
from tests.verification.mutation import Replaced

ELAPSED, MAY_LEAVE = "prebooking.clock:Reading.elapsed", "prebooking.run.rules:is_between_opening_and_expiry"


def replaced(where: str) -> Callable[[Callable[..., Any]], Replaced]:
    """Return a decorator that turns a function into the replacement of this rule."""
    return lambda by: Replaced(where, by)


@replaced("prebooking.run.rules:in_doubt")
def _never_in_doubt(row: Prebooking) -> bool:
    return False


@replaced("prebooking.run.evidence:verdict_after_call")
def _unclear_is_released(kind: Kind) -> Verdict:
    return _AFTER_A_CALL.get(kind, Verdict.LOGGED_OUT)


@replaced("prebooking.run.outcomes:OutcomeWriter._wait_for_stagger")
async def _settled_at_once(self: Any, batch: Any) -> None:
    pass


@replaced("prebooking.run.scheduler:PrebookingScheduler._wait_for_stagger")
async def _released_at_once(self: Any) -> None:
    pass


@replaced("prebooking.run.rules:refused_in_doubt")
def _refusals_are_clear(row: Prebooking, outcome: Outcome) -> bool:
    return False


@replaced("prebooking.run.rules:refusal_if_not_booked")
def _unsure_is_refused(row: Prebooking, outcome: Outcome) -> Outcome | None:
    return outcome if outcome.kind in FAILED else Outcome(Kind.REJECTED)


@replaced("prebooking.run.rules:settles_earlier_call")
def _every_answer_tells(again: Outcome) -> bool:
    return True


@replaced("prebooking.bookers.webhook.booker:_placed")
def _every_success_is_a_booking(body: dict[str, Any] | None) -> Outcome:
    return Outcome(Kind.BOOKED)


@replaced("prebooking.bookers.call:_without_answer")
def _never_sent(exc: Exception, *, sent: bool) -> Outcome:
    return Outcome(Kind.NOT_SENT)


@replaced("prebooking.run.rules:has_time_for_answer")
def _may_always_start(last_start: Deadline) -> bool:
    return True


@replaced(ELAPSED)
def _by_the_monotonic_clock(self: Reading, clock: Clock) -> float:
    return clock.monotonic() - self.monotonic


@replaced(ELAPSED)
def _by_the_wall_clock(self: Reading, clock: Clock) -> float:
    return (clock.now() - self.wall).total_seconds()


@replaced(MAY_LEAVE)
def _by_the_lower_bound(row: Prebooking, time: DatabaseTime) -> bool:
    return row.available_at <= time.at_least() < row.expires_at


@replaced(MAY_LEAVE)
def _also_after_expiry(row: Prebooking, time: DatabaseTime) -> bool:
    return row.available_at <= time.at_least()


@replaced(MAY_LEAVE)
def _also_before_opening(row: Prebooking, time: DatabaseTime) -> bool:
    return time.at_least() <= time.at_most() < row.expires_at


@replaced("prebooking.run.slots:Slot._wait_for_opening")
async def _opened_at_once(self: Any) -> None:
    pass


@replaced("prebooking.clock:DatabaseReading.at_least")
def _since_the_question(self: DatabaseReading, clock: Clock) -> datetime:
    return self.at + timedelta(seconds=clock.monotonic() - self.asked.monotonic)


@replaced("prebooking.clock:DatabaseReading.monotonic_at")
def _monotonic_since_the_question(self: DatabaseReading, instant: datetime) -> float:
    return self.asked.monotonic + (instant - self.at).total_seconds()


@replaced("prebooking.clock:DatabaseTime._is_newest")
def _first_reading_counts(self: DatabaseTime, new: DatabaseReading) -> bool:
    return False


@replaced("prebooking.clock:DatabaseTime._is_newest")
def _last_answer_counts(self: DatabaseTime, new: DatabaseReading) -> bool:
    return True


@replaced("prebooking.run.slots:Slot._wait_for_stagger")
async def _no_stagger(self: Any) -> None:
    pass


@replaced("prebooking.run.slots:SlotQueue.slot_before")
def _nothing_ahead(self: Any, slot: Any) -> None:
    pass


@replaced("prebooking.run.rules:too_early_is_final")
def too_early_is_always_final(row: Prebooking, time: DatabaseTime) -> bool:
    return True


@replaced("prebooking.run.rules:login_refusal_is_final")
def _every_login_refusal_is_final(row: Prebooking) -> bool:
    return True


@replaced("prebooking.bookers.aimharder.classes:_is_marked")
def _no_mark_is_no_place(entry: Any) -> bool:
    return entry.setdefault("bookState", None) is None or True


@replaced("prebooking.bookers.aimharder.site:AimHarderSite.whoami")
async def _login_never_checked(self: Any, session: Any, *, timeout: float) -> Outcome | None:  # noqa: ASYNC109 - the rule's
    return None


GUARDS_OF_PYTHON = (
    guard("the venue is asked before anything is sent again", scenarios.a_holder_dies_after_sending, _never_in_doubt),
    guard("an unclear response leaves the row leased", scenarios.a_call_is_cut_off, _unclear_is_released),
    guard(
        "settling waits for the stagger",
        scenarios.a_member_joins_right_after_a_call,
        _settled_at_once,
        _released_at_once,
    ),
    guard("a refusal in doubt is confirmed", scenarios.a_class_is_full_because_of_the_first_call, _refusals_are_clear),
    guard("a missing response is no failure", scenarios.a_venue_acts_after_its_gateway_gave_up, _unsure_is_refused),
    guard(
        "a second refusal does not decide about the first call",
        scenarios.a_second_call_is_too_early_and_the_first_is_acted_on,
        _every_answer_tells,
    ),
    guard("a page is no booking", scenarios.a_page_in_place_of_a_response, _every_success_is_a_booking),
    guard("a broken call may have been sent", scenarios.a_connection_breaks_after_the_venue_has_acted, _never_sent),
    guard("the clocks are checked right before the first byte", scenarios.frozen, _may_always_start),
    guard("the wall clock is checked", scenarios.frozen_with_its_monotonic_clock, _by_the_monotonic_clock),
    guard(
        "the monotonic clock is checked",
        scenarios.frozen_with_its_wall_clock,
        _by_the_wall_clock,
        first=(_by_the_lower_bound,),
    ),
    guard(
        "clocks that contradict each other send nothing",
        scenarios.frozen_with_its_wall_clock,
        _by_the_lower_bound,
        first=(_by_the_wall_clock,),
    ),
    guard("nothing is sent after the expiry", scenarios.a_class_begins_while_its_row_is_queued, _also_after_expiry),
    guard("a row is held until its opening: its slot", scenarios.a_trigger_is_early, _opened_at_once),
    guard(
        "a row is held until its opening: its first byte",
        scenarios.a_trigger_is_early_and_a_second_follows,
        _also_before_opening,
        first=(_opened_at_once,),
    ),
    guard(
        "the database's time is known as a lower bound",
        scenarios.a_trigger_is_early_and_a_second_follows,
        _since_the_question,
        first=(_monotonic_since_the_question,),
    ),
    guard("a step back of the clock is accepted", scenarios.the_clock_is_set_back_during_a_hold, _first_reading_counts),
    guard(
        "a response from before a step of the clock is ignored",
        scenarios.an_answer_from_before_the_step_is_late,
        _last_answer_counts,
    ),
    guard("a stagger lies between two calls", scenarios.several_members_wait, _no_stagger),
    guard("a call waits for the one before it", scenarios.the_first_connection_is_slow, _nothing_ahead),
    guard("too early is not final", scenarios.a_venue_whose_clock_is_behind, too_early_is_always_final),
    guard(
        "a missing login does not fail a row in doubt",
        scenarios.a_member_is_logged_out_while_in_doubt,
        _every_login_refusal_is_final,
    ),
    guard(
        "the page of an expired session is no confirmation",
        scenarios.a_session_expires_while_its_row_is_in_doubt,
        _no_mark_is_no_place,
        first=(_login_never_checked,),
    ),
)
