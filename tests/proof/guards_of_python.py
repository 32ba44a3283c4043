"""The guards in the function, and how each is taken away."""

from __future__ import annotations

from tests.proof import scenes, scenes_of_calls, scenes_of_settling
from tests.proof.guard import Guard
from tests.proof.mutation import InPython

LET_GO, MADE_SURE = "prebooking.calls:Calls._let_go", "prebooking.calls:Calls._made_sure"
ELAPSED, SLOT = "prebooking.clock:Reading.elapsed", "prebooking.line:VenueLine._slot"

_BOTH = "max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())"
_CONTRADICTION = InPython(LET_GO, "<= now <= self._time.at_most() <", "<= now <")

GUARDS_OF_PYTHON = (
    Guard(
        "the venue is asked before anything is sent again",
        scenes.a_holder_dies_after_sending,
        (InPython("prebooking.calls:in_doubt", "return attempt.row.maybe_sent and not", "return False and not"),),
    ),
    Guard(
        "an unclear answer leaves the row leased",
        scenes_of_settling.a_call_is_cut_off,
        (
            InPython(
                "prebooking.scheduler:_sent", "_VERDICTS.get(ending.outcome.kind, Verdict.UNSURE)", "Verdict.NOT_BOOKED"
            ),
        ),
    ),
    Guard(
        "settling waits for the stagger",
        scenes_of_settling.one_joins_right_after_a_call,
        (InPython("prebooking.scheduler:PrebookingScheduler._stagger_over", "if sent_at is not None", "if False"),),
    ),
    Guard(
        "a refusal in doubt is confirmed",
        scenes_of_calls.a_refusal_is_ones_own_booking,
        (InPython(MADE_SURE, "= in_doubt(attempt) and outcome.kind in FAILED", "= False"),),
    ),
    Guard(
        "no answer is no failure",
        scenes_of_calls.a_venue_acts_after_its_gateway_gave_up,
        (InPython(MADE_SURE, "if refused_in_doubt else outcome.if_not_booked", "and Kind.REJECTED"),),
    ),
    Guard(
        "a second call tells nothing of the first",
        scenes_of_calls.a_second_call_is_too_early_and_the_first_is_acted_on,
        (InPython("prebooking.calls:_told", "return again if again.kind in COMPLETED", "return again if True"),),
    ),
    Guard(
        "a page is no booking",
        scenes_of_settling.a_page_in_place_of_an_answer,
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
        scenes_of_calls.a_connection_breaks_after_the_venue_has_acted,
        (
            InPython(
                "prebooking.bookers.call:call", "Kind.UNSURE if first_byte.left else Kind.NOT_SENT", "Kind.NOT_SENT"
            ),
        ),
    ),
    Guard(
        "the clocks are looked at right before the first byte",
        scenes_of_calls.frozen,
        (InPython(LET_GO, "if self._last_start.passed():", "if False:"),),
    ),
    Guard(
        "the wall clock is looked at",
        scenes_of_calls.frozen_with_its_monotonic_clock,
        (InPython(ELAPSED, _BOTH, "clock.monotonic() - self.monotonic"),),
    ),
    Guard(
        "the monotonic clock is looked at",
        scenes_of_calls.frozen_with_its_wall_clock,
        (InPython(ELAPSED, _BOTH, "(clock.now() - self.wall).total_seconds()"),),
        first=(_CONTRADICTION,),
    ),
    Guard(
        "clocks that contradict each other send nothing",
        scenes_of_calls.frozen_with_its_wall_clock,
        (_CONTRADICTION,),
        first=(InPython(ELAPSED, _BOTH, "(clock.now() - self.wall).total_seconds()"),),
    ),
    Guard(
        "nothing leaves after the expiry",
        scenes_of_calls.a_class_begins_while_its_row_stands_in_line,
        (InPython(LET_GO, "<= now <= self._time.at_most() < attempt.row.expires_at", "<= now"),),
    ),
    Guard(
        "a row is held until its opening: its slot",
        scenes_of_calls.a_trigger_comes_early,
        (
            InPython(
                SLOT, "max(self._time.monotonic_at(attempt.row.available_at), self.sent_at + self._stagger)", "0.0"
            ),
        ),
    ),
    Guard(
        "a row is held until its opening: its first byte",
        scenes_of_calls.a_trigger_comes_early_and_nobody_holds,
        (InPython(LET_GO, "attempt.row.available_at <= now <= ", "now <= "),),
        first=(
            InPython(
                SLOT,
                "max(self._time.monotonic_at(attempt.row.available_at), self.sent_at + self._stagger)",
                "self.sent_at + self._stagger",
            ),
        ),
    ),
    Guard(
        "the database's time is known as a lower bound",
        scenes_of_calls.a_trigger_comes_early_and_nobody_holds,
        (InPython("prebooking.clock:DatabaseReading.at_least", "self.received.monotonic", "self.asked.monotonic"),),
        first=(
            InPython(
                "prebooking.clock:DatabaseReading.monotonic_at", "self.received.monotonic", "self.asked.monotonic"
            ),
        ),
    ),
    Guard(
        "a stagger lies between two calls",
        scenes_of_calls.many_wait,
        (InPython(SLOT, "self.sent_at + self._stagger)", "self.sent_at)"),),
    ),
    Guard(
        "a call waits for the one before it",
        scenes_of_calls.the_first_connection_is_slow,
        (InPython(SLOT, "await before.wait()", "pass"),),
    ),
    Guard(
        "too early is not final",
        scenes_of_calls.a_venue_whose_clock_is_behind,
        (
            InPython(
                "prebooking.line:VenueLine._conclude", "now < (attempt.row.early_since or now) + EARLY_TIME", "False"
            ),
        ),
    ),
    Guard(
        "a login that is missing fails nothing in doubt",
        scenes_of_calls.a_member_is_logged_out_while_in_doubt,
        (InPython("prebooking.line:VenueLine._go_without", "and not attempt.row.maybe_sent", ""),),
    ),
    Guard(
        "what a dead session is shown is no answer",
        scenes_of_calls.a_session_dies_while_its_row_is_in_doubt,
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
                "nobody = await self._site.whoami(session, timeout=timeout / 2)",
                "nobody = None",
            ),
        ),
    ),
)
