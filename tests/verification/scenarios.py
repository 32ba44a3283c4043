"""Scenarios that violate an invariant only without one guard, or one of a few."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from prebooking.local.venue.aimharder import TOKEN_UPDATE
from prebooking.local.venue.twin import DROP, HANG, CallPlan, TwinReply
from tests.verification import interference
from tests.verification.fault_plan import RpcPlan
from tests.verification.instance import Instance
from tests.verification.scenario import Scenario, is_completed, is_sent_by, is_unclaimed, join
from tests.verification.simulation import Simulation
from tests.verification.systems import KINDS

WITHOUT, _, CAPACITY_FIRST, IDEMPOTENT, BOX, BOX_WITHOUT = KINDS
CLAIM, FAIL = "claim_due_prebookings_v1", "fail_prebooking_v1"
LOST = RpcPlan(acts=False, ends="silent")
FIRST_CALL_UNANSWERED = {"i0": [CallPlan(answer=HANG)]}  # the venue acts on it

# The claim.

two_triggers_overlap = Scenario(10, (0, 0.2, 40))

a_member_joins_during_a_turn = Scenario(20, (0, 0.4, 20), interference=join(3, at=0.3))

a_member_joins_behind_a_dead_holder = Scenario(
    3,
    (0, 9.5),
    interference=join(1, at=1),
    faults={"injections": {("i0", "database response", 1): Instance.kill}},
    expected=is_sent_by(15),
)

a_venue_acts_late = Scenario(1, (0, 12, 40), faults={"bookings": {"i0": [CallPlan(delay_before=20, answer=HANG)]}})

a_holder_dies_after_sending = Scenario(2, (0, 40), faults={"injections": {("i0", "venue response", 1): Instance.kill}})

the_response_to_a_claim_is_lost = Scenario(
    1, (0,), faults={"rpcs": {("i0", CLAIM): [RpcPlan(ends="broken")]}}, expected=is_completed
)

a_claim_arrives_after_its_run_is_closed = Scenario(
    1,
    (0,),
    interference=join(1, at=6),
    faults={"rpcs": {("i0", CLAIM): [RpcPlan(delay_before=11)]}},
    expected=is_unclaimed,
)

a_class_begins_while_its_response_is_under_way = Scenario(
    1, (0, 4), opening={"lasts": 3}, faults={"bookings": {"i0": [CallPlan(delay_after=5)]}}, expected=is_completed
)

a_class_begins_before_its_booking_is_confirmed = Scenario(
    1, (0, 60), opening={"lasts": 20}, faults={"bookings": FIRST_CALL_UNANSWERED}
)

# The queue and its calls.

# The venue acts later than it may, between the confirmation and the second call, and then is full.
a_class_is_full_because_of_the_first_call = Scenario(
    1,
    (0, 30.5),
    opening={"capacity": 1},
    kind=CAPACITY_FIRST,
    faults={"bookings": {"i0": [CallPlan(delay_before=30.58, answer=HANG)], "i1": [CallPlan(delay_before=0.6)]}},
)

a_venue_acts_after_its_gateway_gave_up = Scenario(
    1, (0, 40), faults={"bookings": {"i0": [CallPlan(acts=False, answer=TwinReply(504))]}, "late_acts": [15.0]}
)

a_second_call_is_too_early_and_the_first_is_acted_on = Scenario(
    1,
    (0, 40),
    kind=IDEMPOTENT,
    interference={20: lambda sim, rows: interference.cancel(sim, rows[0])},
    faults={
        "bookings": {"i0": [CallPlan(acts=False, answer=TwinReply(502)), CallPlan(acts=False, answer=TwinReply(425))]},
        "late_acts": [15.0],
    },
)

a_connection_breaks_after_the_venue_has_acted = Scenario(
    1, (0, 40), faults={"bookings": {"i0": [CallPlan(answer=DROP)]}}
)


def _frozen_before_a_send(*, wall: bool = False, monotonic: bool = False) -> Scenario:
    """Freeze an instance right before a first byte, until after another instance has sent the same row."""
    freeze = partial(Instance.halt, seconds=45, wall_stopped=wall, monotonic_stopped=monotonic)
    return Scenario(3, (0, 35), faults={"injections": {("i0", "venue request", 1): freeze}})


frozen = _frozen_before_a_send()
frozen_with_its_wall_clock = _frozen_before_a_send(wall=True)
frozen_with_its_monotonic_clock = _frozen_before_a_send(monotonic=True)

a_class_begins_while_its_row_is_queued = Scenario(
    20, (0, 60), opening={"at": -1}, interference=join(1, at=0, lasts=0.5)
)

_SLOW_CLAIM = {"rpcs": {("i0", CLAIM): [RpcPlan(delay_before=0.4)]}}
a_trigger_is_early = Scenario(3, (0,), lead=3, opening={"at": 2}, faults=_SLOW_CLAIM, expected=is_sent_by(12))

# Without a hold the first calls are refused at their first byte, and the second trigger sends them.
a_trigger_is_early_and_a_second_follows = Scenario(3, (0, 60), lead=3, opening={"at": 2}, faults=_SLOW_CLAIM)

several_members_wait = Scenario(5, (0,))

the_first_connection_is_slow = Scenario(4, (0,), faults={"connects": [0.5]})

a_venue_whose_clock_is_behind = Scenario(1, (0, 60), venue_skew=-5, expected=is_completed)

a_member_is_logged_out_while_in_doubt = Scenario(
    1,
    (0, 40, 105, 210),
    opening={"lasts": 200, "session_age": 1190},
    kind=BOX,
    interference={20: lambda sim, rows: sim.twin.members.log_out(sim.prebookings[rows[0]].member)},
    faults={"bookings": FIRST_CALL_UNANSWERED},
)

a_session_expires_while_its_row_is_in_doubt = Scenario(
    1,
    (0, 40),
    kind=BOX_WITHOUT,
    interference={20: lambda sim, rows: sim.twin.members.expire(sim.prebookings[rows[0]].member)},
    faults={"bookings": FIRST_CALL_UNANSWERED},
)


def _keep_sessions_slowly(sim: Simulation, rows: list[UUID]) -> None:
    sim.twin.script(sim.prebookings[rows[0]].member, CallPlan(delay_after=1.0), path=TOKEN_UPDATE)
    sim.keep(Instance("k0"))


# A refresh token works once. The keeper is using it when a booking call gets the response "log in again".
two_instances_refresh_one_session = Scenario(
    1,
    (0.3, 75),
    opening={"session_age": 1300},
    kind=BOX,
    interference={0: _keep_sessions_slowly},
    expected=is_completed,
)

# Settling, releasing, cancelling and editing.


def _a_failure_is_written_late(*, second_response_after: float) -> Scenario:
    bookings = {
        "i0": [CallPlan(acts=False, answer=TwinReply(422))],
        "i1": [CallPlan(delay_after=second_response_after)],
    }
    return Scenario(
        1, (0, 31), faults={"rpcs": {("i0", FAIL): [RpcPlan(delay_before=32.5), LOST, LOST]}, "bookings": bookings}
    )


a_failure_is_written_while_the_next_run_holds_the_row = _a_failure_is_written_late(second_response_after=4)
a_failure_is_written_after_the_row_is_terminal = _a_failure_is_written_late(second_response_after=0)

# The next on the waiting list gets the place.
a_place_is_given_back = Scenario(
    3,
    (0, 60),
    opening={"capacity": 1, "waiting": 1},
    interference={
        20: lambda sim, rows: interference.give_back(sim, rows[0]),
        25: lambda sim, rows: interference.remove_give_back(sim, rows[0]),
    },
)

a_call_is_cut_off = Scenario(1, (0, 12, 40, 75), faults={"bookings": FIRST_CALL_UNANSWERED})

a_call_is_cut_off_and_no_fault_follows = Scenario(
    1, (0, 60, 120, 180), faults={"bookings": FIRST_CALL_UNANSWERED}, quiet_from=10
)

a_page_in_place_of_a_response = Scenario(
    1, (0, 40), faults={"bookings": {"i0": [CallPlan(acts=False, answer=TwinReply(200, body=b"<html>"))]}}
)

_CANNOT_TELL = {"bookings": FIRST_CALL_UNANSWERED, "questions": {"i1": [CallPlan(acts=False, answer=TwinReply(500))]}}
a_venue_cannot_tell = Scenario(1, (0, 40, 60, 105), faults=_CANNOT_TELL)  # the row is held back for a minute

# The first run's next claim is slow, so that another run claims the row that was added.
a_member_joins_right_after_a_call = Scenario(
    1,
    (0, *(0.002 * number for number in range(1, 40)), 20),
    interference=join(1, at=0.001),
    faults={"travel": 0.0002, "rpcs": {("i0", CLAIM): [RpcPlan(), RpcPlan(), RpcPlan(delay_before=1)]}},
)

# The venue has booked the row and could not tell it, and no run holds the row.
cancelled_by_writing_while_in_doubt = Scenario(
    1,
    (0, 40, 60),
    interference={55: lambda sim, rows: interference.cancel(sim, rows[0], directly=True)},
    faults=_CANNOT_TELL,
)
cancelled_by_function_while_in_doubt = Scenario(
    1, (0, 40, 60), interference={55: lambda sim, rows: interference.cancel(sim, rows[0])}, faults=_CANNOT_TELL
)


def _edit_class_and_member(sim: Simulation, rows: list[UUID]) -> None:
    interference.edit(sim, rows[0], new_class=True, new_member=False)
    interference.edit(sim, rows[1], new_class=False, new_member=True)


rows_are_edited_while_they_are_held = Scenario(
    2, (0,), lead=5, opening={"at": 3}, interference={1: _edit_class_and_member}
)

# Steps of the database's clock.

# An answer with the clock during the hold shows the step, and the call is sent at the opening by the new clock.
the_clock_is_set_back_during_a_hold = Scenario(
    1,
    (0,),
    lead=5,
    opening={"at": 3},
    interference={1: lambda sim, _: sim.step_database_clock(-1.5)},
    expected=is_sent_by(4.6),
)

# The response to a query from before the step arrives after one that shows the step, and no other follows.
an_answer_from_before_the_step_is_late = Scenario(
    1,
    (0,),
    lead=5,
    opening={"at": 2.6},
    interference={1: lambda sim, _: sim.step_database_clock(-2.5)},
    faults={
        "rpcs": {
            ("i0", "prebooking_clock"): [
                RpcPlan(),
                RpcPlan(delay_after=1.6),
                RpcPlan(),
                RpcPlan(ends="silent"),
                RpcPlan(ends="silent"),
            ]
        }
    },
    expected=is_sent_by(6),
)
