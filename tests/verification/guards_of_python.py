"""The guards in the function, and how each is taken away."""

from __future__ import annotations

from tests.verification import scenarios
from tests.verification.guard import Guard
from tests.verification.mutation import InPython

CHECK, RESOLVE = (
    "prebooking.run.attempt:BookingAttempt._check_and_mark_sent",
    "prebooking.run.attempt:BookingAttempt._resolve",
)
MAY_LEAVE, ELAPSED = "prebooking.run.rules:may_leave", "prebooking.clock:Reading.elapsed"
SLOT, TIGHTEN = "prebooking.run.slots:Slot.wait", "prebooking.clock:DatabaseTime.tighten"

_BOTH = "max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())"
_CONTRADICTION = InPython(MAY_LEAVE, "<= time.at_least() <= time.at_most() <", "<= time.at_least() <")
_NO_HOLD = InPython(SLOT, "await queue.time.sleep_until(self._row.available_at)", "pass")
TOO_EARLY_IS_FINAL = InPython(
    "prebooking.run.attempt:BookingAttempt._conclude", "and said_too_early_long_enough(self._row, self._venue.time)", ""
)

GUARDS_OF_PYTHON = (
    Guard(
        "the venue is asked before anything is sent again",
        scenarios.a_holder_dies_after_sending,
        (InPython("prebooking.run.rules:in_doubt", "return row.maybe_sent and not", "return False and not"),),
    ),
    Guard(
        "an unclear answer leaves the row leased",
        scenarios.a_call_is_cut_off,
        (InPython("prebooking.run.evidence:sent", "get(kind, Verdict.UNSURE)", "get(kind, Verdict.LOGGED_OUT)"),),
    ),
    Guard(
        "settling waits for the stagger",
        scenarios.a_member_joins_right_after_a_call,
        (InPython("prebooking.run.scheduler:PrebookingScheduler._stagger_over", "if sent_at is not None", "if False"),),
    ),
    Guard(
        "a refusal in doubt is confirmed",
        scenarios.a_class_is_full_because_of_the_first_call,
        (InPython(RESOLVE, "= in_doubt(self._row) and outcome.kind in FAILED", "= False"),),
    ),
    Guard(
        "no answer is no failure",
        scenarios.a_venue_acts_after_its_gateway_gave_up,
        (InPython(RESOLVE, "and refused_in_doubt:", "and (outcome := Outcome(Kind.REJECTED)):"),),
    ),
    Guard(
        "a second call tells nothing of the first",
        scenarios.a_second_call_is_too_early_and_the_first_is_acted_on,
        (InPython("prebooking.run.rules:tells_of_earlier_call", "return again.kind in COMPLETED", "return True"),),
    ),
    Guard(
        "a page is no booking",
        scenarios.a_page_in_place_of_a_response,
        (
            InPython(
                "prebooking.bookers.webhook.booker:classify",
                "_placed(said) if said is not None",
                "_placed(said or {}) if True",
            ),
        ),
    ),
    Guard(
        "what has left was perhaps sent",
        scenarios.a_connection_breaks_after_the_venue_has_acted,
        (
            InPython(
                "prebooking.bookers.call:call", "Kind.UNSURE if first_byte.left else Kind.NOT_SENT", "Kind.NOT_SENT"
            ),
        ),
    ),
    Guard(
        "the clocks are looked at right before the first byte",
        scenarios.frozen,
        (InPython(CHECK, "if venue.last_start.passed():", "if False:"),),
    ),
    Guard(
        "the wall clock is looked at",
        scenarios.frozen_with_its_monotonic_clock,
        (InPython(ELAPSED, _BOTH, "clock.monotonic() - self.monotonic"),),
    ),
    Guard(
        "the monotonic clock is looked at",
        scenarios.frozen_with_its_wall_clock,
        (InPython(ELAPSED, _BOTH, "(clock.now() - self.wall).total_seconds()"),),
        first=(_CONTRADICTION,),
    ),
    Guard(
        "clocks that contradict each other send nothing",
        scenarios.frozen_with_its_wall_clock,
        (_CONTRADICTION,),
        first=(InPython(ELAPSED, _BOTH, "(clock.now() - self.wall).total_seconds()"),),
    ),
    Guard(
        "nothing leaves after the expiry",
        scenarios.a_class_begins_while_its_row_is_queued,
        (InPython(MAY_LEAVE, "<= time.at_least() <= time.at_most() < row.expires_at", "<= time.at_least()"),),
    ),
    Guard(
        "a row is held until its opening: its slot",
        scenarios.a_trigger_is_early,
        (_NO_HOLD,),
    ),
    Guard(
        "a row is held until its opening: its first byte",
        scenarios.a_trigger_is_early_and_a_second_follows,
        (InPython(MAY_LEAVE, "row.available_at <= time.at_least() <= ", "time.at_least() <= "),),
        first=(_NO_HOLD,),
    ),
    Guard(
        "the database's time is known as a lower bound",
        scenarios.a_trigger_is_early_and_a_second_follows,
        (InPython("prebooking.clock:DatabaseReading.at_least", "self.received.monotonic", "self.asked.monotonic"),),
        first=(
            InPython(
                "prebooking.clock:DatabaseReading.monotonic_at", "self.received.monotonic", "self.asked.monotonic"
            ),
        ),
    ),
    Guard(
        "a clock that was set back is believed",
        scenarios.the_clock_is_set_back_during_a_hold,
        (InPython(TIGHTEN, "self._readings = [new]", "pass"),),
    ),
    Guard(
        "an answer from before the clock was set changes nothing",
        scenarios.an_answer_from_before_the_step_is_late,
        (
            InPython(
                TIGHTEN, "elif all(reading.asked.monotonic <= asked.monotonic for reading in self._readings):", "else:"
            ),
        ),
    ),
    Guard(
        "a stagger lies between two calls",
        scenarios.several_members_wait,
        (InPython(SLOT, "queue.sent_at + queue.stagger", "queue.sent_at"),),
    ),
    Guard(
        "a call waits for the one before it",
        scenarios.the_first_connection_is_slow,
        (InPython(SLOT, "while (ahead := queue.ahead_of(self)) is not None:", "while ahead := None:"),),
    ),
    Guard(
        "too early is not final",
        scenarios.a_venue_whose_clock_is_behind,
        (TOO_EARLY_IS_FINAL,),
    ),
    Guard(
        "a login that is missing fails nothing in doubt",
        scenarios.a_member_is_logged_out_while_in_doubt,
        (InPython("prebooking.run.attempt:BookingAttempt._prepared", "and not self._row.maybe_sent", ""),),
    ),
    Guard(
        "what a dead session is shown is no answer",
        scenarios.a_session_expires_while_its_row_is_in_doubt,
        (
            InPython(
                "prebooking.bookers.aimharder.classes:_place",
                'if "bookState" not in said:',
                'if said.setdefault("bookState"):',
            ),
        ),
        first=(
            InPython(
                "prebooking.bookers.aimharder.booker:AimHarderBooker.confirm",
                "refusal = await self._site.whoami(session, timeout=timeout / 2)",
                "refusal = None",
            ),
        ),
    ),
)
