"""The guards in the database, and the edits that remove them."""

from __future__ import annotations

from tests.verification import (
    scenarios,
    scenarios_of_choices,
    scenarios_of_locks,
    scenarios_of_logins,
    scenarios_of_repeats,
)
from tests.verification.guard import guard
from tests.verification.mutation import Dropped, InSql

CLAIM, FINISH, CANCEL = "claim_due_prebookings_v1", "finish_run_v1", "cancel_prebooking_v1"
VENUES = "prebooking_venues_to_claim"
END_CHOICE = "prebookings_end_choice"
COMPLETE, FAIL = "complete_prebooking_v1", "fail_prebooking_v1"

_MINE = "where p.id = p_id and p.claimed_by = p_instance and p.status = 'pending'"
_UNFENCED = "where p.id = p_id and p.status = 'pending'"
_LEASE_OVER = "(p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)"
_ANY_ROW = "p.status = 'pending' and p.available_at <= p_until\n    order"
_TURN = "claimed_by is distinct from p_instance and turn_until > t and turn_until <= v_longest)"

GUARDS_OF_SQL = (
    guard(
        "a live claim is respected",
        scenarios.two_triggers_overlap,
        InSql(VENUES, "p.status = 'pending' and p.fresh and p.available_at <= p_until\n    order", _ANY_ROW),
        InSql(CLAIM, "and p.fresh and", "and"),
        InSql(CLAIM, _TURN, "false)"),
        InSql(CLAIM, f"and {_LEASE_OVER}\n      for no key", "for no key"),
    ),
    guard(
        "one invocation per opening: the turn", scenarios.a_member_joins_during_a_turn, InSql(CLAIM, _TURN, "false)")
    ),
    guard(
        "the turn is not as long as the lease",
        scenarios.a_member_joins_behind_a_dead_holder,
        InSql(CLAIM, _TURN, _TURN.replace("turn_until", "claimed_until")),
    ),
    guard(
        "the lease is longer than the turn",
        scenarios.a_venue_acts_late,
        InSql(CLAIM, "claimed_until = t + v_lease,", "claimed_until = t + v_turn,"),
    ),
    guard(
        "a row that is taken over is in doubt",
        scenarios.a_holder_dies_after_sending,
        InSql(CLAIM, "set maybe_sent = p.maybe_sent or p.claimed_by is not null,", "set maybe_sent = p.maybe_sent,"),
    ),
    guard(
        "a row with an expired lease is taken over",
        scenarios.a_call_is_cut_off_and_no_fault_follows,
        InSql(
            CLAIM, f"and {_LEASE_OVER}\n          and (p.retry", "and p.claimed_until is null\n          and (p.retry"
        ),
    ),
    guard(
        "a repeated claim returns the rows that are held already",
        scenarios.the_response_to_a_claim_is_lost,
        InSql(
            CLAIM,
            "p.claimed_by = p_instance and p.claimed_until > t and p.claimed_until <= v_longest);\nend",
            "p.claimed_until = t + v_lease);\nend",
        ),
    ),
    guard(
        "a closed run claims nothing",
        scenarios.a_claim_arrives_after_its_run_is_closed,
        InSql(CLAIM, "where instance_id = p_instance and closed_at is not null) then", "where false) then"),
    ),
    guard(
        "claims run one after the other: the lock",
        scenarios_of_locks.two_claims_overlap,
        InSql(CLAIM, "perform public.prebooking_lock();", ""),
    ),
    guard(
        "a locked row is skipped",
        scenarios_of_locks.a_row_is_edited_during_a_claim,
        InSql(CLAIM, "skip locked),\n    taken", "),\n    taken"),
    ),
    guard(
        "the expiry respects a live claim",
        scenarios.a_class_begins_while_its_response_is_under_way,
        InSql(
            CLAIM, "and (claimed_until is null or claimed_until <= t or claimed_until > v_longest)\n    order", "order"
        ),
    ),
    guard(
        "a row that expires in doubt is unknown",
        scenarios.a_class_begins_before_its_booking_is_confirmed,
        InSql(
            CLAIM, "outcome = case when p.maybe_sent or p.claimed_by is not null then", "outcome = case when false then"
        ),
    ),
    guard(
        "settling is fenced by the claim",
        scenarios.a_failure_is_written_while_the_next_run_holds_the_row,
        InSql(COMPLETE, _MINE, _UNFENCED),
        InSql(FAIL, _MINE, _UNFENCED),
    ),
    guard(
        "the giving back of a place is recorded once",
        scenarios.a_place_is_given_back,
        InSql("prebookings_keep", "old.given_back_at is null and new.given_back_at is not null", "true"),
    ),
    guard(
        "a terminal row cannot be written",
        scenarios.a_failure_is_written_after_the_row_is_terminal,
        Dropped("prebookings_terminal"),
        first=(InSql(COMPLETE, _MINE, "where p.id = p_id"), InSql(FAIL, _MINE, "where p.id = p_id")),
    ),
    guard(
        "no row is terminal without an outcome",
        scenarios.two_triggers_overlap,
        Dropped("outcome_fits_status", "constraint"),
        first=(InSql(COMPLETE, "status = 'completed', outcome = p_outcome,", "status = 'completed', outcome = null,"),),
    ),
    guard(
        "only rows that were surely not sent are released",
        scenarios.a_call_is_cut_off,
        InSql(FINISH, "case when s.stays then p.claimed_by end", "null"),
        InSql(FINISH, "case when s.stays then p.claimed_until end", "null"),
        InSql(FINISH, "case when s.stays then least(p.turn_until, t) end", "null"),
    ),
    guard(
        "a release never ends a doubt",
        scenarios.a_venue_cannot_tell,
        InSql(FINISH, "p.maybe_sent and s.verdict <> 'not_booked'", "false"),
    ),
    guard(
        "a row in doubt cannot be cancelled by writing",
        scenarios.cancelled_by_writing_while_in_doubt,
        Dropped("prebookings_being_booked"),
    ),
    guard(
        "a row that is being booked cannot become another prebooking",
        scenarios.rows_are_edited_while_they_are_held,
        Dropped("prebookings_being_booked"),
    ),
    guard(
        "a row in doubt cannot be cancelled by the function",
        scenarios.cancelled_by_function_while_in_doubt,
        InSql(CANCEL, " and claimed_by is null and not maybe_sent", ""),
        first=(Dropped("prebookings_being_booked"),),
    ),
    guard(
        "a repeat has one prebooking per day",
        scenarios_of_repeats.a_day_of_a_repeat_is_cancelled,
        Dropped("prebookings_of_repeats", "index"),
    ),
    guard(
        "a later choice waits until it is promoted",
        scenarios_of_choices.a_first_choice_is_booked,
        InSql(CLAIM, "and p.fresh and", "and"),
        InSql(
            CLAIM, "p.status = 'pending' and not p.waits\n        and (p.claimed", "p.status = 'pending' and (p.claimed"
        ),
        first=(Dropped("waiting_is_not_held", "constraint"),),
    ),
    guard(
        "the end of a choice decides about the next one",
        scenarios_of_choices.a_first_choice_is_full,
        Dropped("prebookings_choice_ended"),
    ),
    *(
        guard(
            f"a later choice is promoted only by a refusal: {name}",
            scenario,
            InSql(END_CHOICE, "if public.prebooking_promotes_next(new) then", f"if {condition} then"),
            first=(Dropped("prebookings_choice_kept"),),
        )
        for name, scenario, condition in (
            ("booked", scenarios_of_choices.a_first_choice_is_booked, "true"),
            ("on a waiting list", scenarios_of_choices.a_first_choice_is_on_a_waiting_list, "true"),
            ("unknown", scenarios_of_choices.a_first_choice_is_unknown, "new.status = 'failed'"),
        )
    ),
    guard(
        "a later choice cannot be promoted by hand",
        scenarios_of_choices.a_choice_is_promoted_by_hand,
        Dropped("prebookings_choice_kept"),
    ),
    guard(
        "one automatic login per opening",
        scenarios_of_logins.a_login_gets_no_answer,
        InSql("login_may_be_made", "(s.login_tried_for is null or s.login_tried_for < p_opens)", "true"),
    ),
    guard(
        "no automatic login while the venue refuses logins",
        scenarios_of_logins.the_venue_refuses_logins,
        InSql("claim_logins_v1", " and (v.logins_stopped_until is null or v.logins_stopped_until <= t)", ""),
    ),
    guard(
        "a login is refreshed by one instance at a time",
        scenarios.two_instances_refresh_one_session,
        InSql("lease_session_v1", " or leased_by = p_instance);", " or true);"),
        first=(
            InSql(
                "prebooking_login_needs",
                "having not bool_or(p.claimed_by is not null or p.available_at between",
                "having true or bool_or(p.claimed_by is not null or p.available_at between",
            ),
        ),
    ),
)
