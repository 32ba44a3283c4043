"""Mutants of later choices: of their promotion and cancellation, of waiting, and of ``prebooking add --else``."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS, STATUS, UPKEEP_DUE

_CHOICES = MIGRATIONS + "000013_choices.sql"

OF_PROMOTION = mutants(
    _CHOICES,
    *(
        (f"'{outcome}'{after}", f"'{other}'{after}", "choices::a_refusal_about_the_class_promotes_the_next_choice")
        for outcome, other, after in (
            ("full", "-", ", 'class_gone',"),
            ("too_late", "-", ", 'conflict"),
            ("conflict_same_hour", "-", ")\n"),
        )
    ),
    *noticed_by(
        "choices::a_class_that_is_gone_while_its_call_is_in_doubt_promotes_nothing",
        ("and not (p.outcome = 'class_gone' and p.maybe_sent)", ""),
        ("when p.outcome in ('unknown', 'class_gone') then", "when p.outcome = 'unknown' then"),
    ),
    ("not (p.outcome = 'class_gone' and p", "not (p", "choices::a_refusal_that_ends_a_doubt_promotes_the_next_choice"),
    (
        "  if public.prebooking_promotes_next(new) then\n",
        "  if new.status = 'failed' then\n",
        "choices::a_refusal_about_the_member_cancels_all_later_choices",
    ),
    ("set promoted_at = new.settled_at", "set promoted_at = new.created_at", "choices"),
    ("row when (old.status = 'pending' and new.status <> 'pending')", "row when (new.status = 'completed')", "choices"),
    ("no key update skip locked", "no key update", "choices_races::the_expiry_of_an_earlier_choice_waits_for_no_lock"),
    ("= public.prebooking_why_cancelled(new)", "= null", "choices::cancelling_the_first_choice_cancels_the_later_ones"),
    (
        "when p.status = 'cancelled' and p.stands_after is not null and p.error_message ~ '^not (needed|tried): ' then",
        "when false then",
        "choices::a_place_cancels_all_later_choices",
    ),
    ("when p.outcome = 'waitlisted' then", "when false then", "choices::a_place_cancels_all_later_choices"),
)

OF_THE_RULES = mutants(
    _CHOICES,
    (
        "where id = new.stands_after for share;",
        "where id = new.stands_after;",
        "choices_races::a_choice_that_is_added_while_the_earlier_one_ends_is_seen_by_its_end",
    ),
    *noticed_by(
        "choices::a_fourth_later_choice_is_refused", ("v_number > 3", "v_number > 4"), ("v_number > 3", "v_number > 2")
    ),
    ("is distinct from 'pending' then", "is null then", "choices::an_ended_prebooking_gets_no_later_choice"),
    (
        "(v_earlier.venue_id, lower(v_earlier.user_email)) is distinct from (new.venue_id, lower(new.user_email))",
        "lower(v_earlier.user_email) is distinct from lower(new.user_email)",
        "choices::a_choice_is_of_the_same_venue",
    ),
    (
        "elsif new.promoted_at is not null or new.status",
        "elsif new.status",
        "choices::a_choice_is_added_only_after_a_pending_one_of_its_member",
    ),
    ("is distinct from old.stands_after then", "is null then", "choices::a_choice_keeps_its_place"),
    ("(old.promoted_at is not null or not exists (", "(not exists (", "choices::a_promotion_is_not_taken_back"),
    ("public.prebooking_promotes_next(e)))", "e.status <> 'pending'))", "choices::a_choice_cannot_be_promoted_by_hand"),
    *noticed_by(
        "choices::one_of_several_choices_cannot_get_another_member_or_venue",
        (
            (
                "(new.id, new.venue_id, lower(new.user_email)) is distinct from"
                " (old.id, old.venue_id, lower(old.user_email))"
            ),
            "(new.id, lower(new.user_email)) is distinct from (old.id, lower(old.user_email))",
        ),
        ("(old.stands_after is not null\n        or exists (", "(exists ("),
    ),
    ("e.status is distinct from", "e.status <>", "choices_races::a_choice_whose_earlier_one_was_deleted_is_repaired"),
    ("p.promoted_at is null and e.status", "e.status", "choices_races::a_repair_leaves_waiting_and_promoted_choices"),
    ("of p skip locked", "of p", "choices_races::a_choice_that_was_locked_when_the_earlier_one_was_booked_is_repaired"),
    (":= v_earlier || v.id;", ":= array[v.id];", "choices_added::choices_of_one_request_may_begin_at_the_same_hour"),
    (
        "raise exception 'none is added' using errcode = 'PV000';",
        "return v_answer;",
        "choices_added::none_is_added_if_one_is_refused",
    ),
)

OF_WAITING_CHOICES = [
    *mutants(
        (MIGRATIONS + "000001_tables.sql", MIGRATIONS + "000002_edits.sql"),
        *noticed_by(
            "choices::two_choices_cannot_stand_after_the_same_one",
            ("create unique index prebookings_after on", "create index prebookings_after on"),
            ("(stands_after) where status = 'pending' and stands_after is", "(stands_after) where stands_after is"),
        ),
        (
            "(class_unknown or (stands_after is not null and promoted_at is null)) stored,",
            "(class_unknown or stands_after is not null) stored,",
            "choices::each_refused_choice_promotes_the_next_one",
        ),
        (
            "and not class_unknown and (stands_after is null or promoted_at is not null)) stored,",
            "and not class_unknown) stored,",
            "choices::a_waiting_choice_is_not_previewed_due_or_rung_for",
        ),
        ("created_at, promoted_at", "created_at", "choices::a_promoted_choice_is_overdue_and_late_from_its_promotion"),
        *noticed_by(
            "choices::waiting_choices_count_in_the_limit_once_they_are_promoted",
            ("\n        and (p.stands_after is null or p.promoted_at is not null) offset 0) live)", " offset 0) live)"),
            ("and (p.stands_after is null or p.promoted_at is not null) offset", "and p.stands_after is null offset"),
        ),
        *noticed_by(
            "choices::a_waiting_choice_is_added_and_moved_to_any_opening",
            ("= 'pending' and (new.stands_after is null or new.promoted_at is not null)", "= 'pending'"),
            ("(new.status = 'pending' and new.stands_after is null) execute", "(new.status = 'pending') execute"),
        ),
    ),
    *mutants(
        MIGRATIONS + "000020_claim_cost.sql",
        (
            "and not p.waits and not p.fresh\n       and (p.claimed",
            "and not p.fresh\n       and (p.claimed",
            "choices::a_waiting_choice_gets_no_warning_about_a_missing_login",
        ),
        (
            "and not p.fresh and not p.waits and p.available_at",
            "and not p.fresh and p.available_at",
            "choices::a_waiting_choice_with_a_back_off_is_taken_by_no_claim",
        ),
    ),
    *mutants(
        MIGRATIONS + "000020_claim_cost.sql",
        (
            "'created_at', greatest(p.created_at, p.promoted_at), ",
            "'created_at', p.created_at, ",
            "later_choices::a_promoted_choice_is_late_from_its_promotion",
        ),
    ),
    Mutant(
        MIGRATIONS + "000020_claim_cost.sql",
        "p.status = 'pending' and not p.waits\n        and (p.claimed_until",
        "p.status = 'pending'\n        and (p.claimed_until",
        tests=("choices", "choices_races"),
        unseen="the chosen rows do not wait; only one that begins to wait in the same millisecond could",
    ),
    *mutants(
        MIGRATIONS + "000006_operator.sql",
        (
            "p.claimed_by is null and not p.waits and p.available_at",
            "p.claimed_by is null and p.available_at",
            "choices::a_waiting_choice_is_not_previewed_due_or_rung_for",
        ),
        ("and p.id <> all (p_after) then", "then", "choices_added::choices_of_one_request_may_begin_at_the_same_hour"),
        (
            "v_verdict := case when v_id = p_id then 'added' else 'waiting' end;",
            "v_verdict := 'waiting';",
            "choices_added::a_concurrent_repeated_call_adds_nothing_more",
        ),
    ),
    *mutants(
        STATUS,
        (
            "available_at, greatest(created_at, promoted_at) as created_at, id",
            "available_at, created_at, id",
            "later_choices::a_promoted_choice_overtakes_nobody",
            "later_choices::a_promoted_choice_is_late_from_its_promotion",
        ),
        (
            "p.available_at <= t and not p.waits)",
            "p.available_at <= t)",
            "choices::a_waiting_choice_is_not_previewed_due_or_rung_for",
        ),
        (
            "          and (p.promoted_at is null or p.promoted_at < v_late)\n",
            "",
            "choices::a_promoted_choice_is_overdue_and_late_from_its_promotion",
        ),
    ),
    *mutants(
        UPKEEP_DUE,
        (
            "  perform public.prebooking_repair_choices();\n",
            "",
            "choices_races::a_choice_that_was_locked_when_the_earlier_one_was_booked_is_repaired",
        ),
    ),
]

OF_ADDING = mutants(
    ("prebooking/cli/choices.py", "prebooking/cli/add.py", "prebooking/cli/prebookings.py"),
    *noticed_by(
        "cli_choices::useless_choices_are_refused_with_the_cure",
        ("if len(later) > MOST_LATER:", "if len(later) > 9:"),
        ("if later.begins <= opens[number]:", "if later.begins < later.begins:"),
    ),
    (
        "return nearest if nearest >= today else nearest + timedelta(days=7)",
        "return nearest",
        "cli_choices::a_weekday_is_the_nearest_one_that_is_not_over",
    ),
    *noticed_by(
        "cli_choices::choices_at_a_webhook_venue_need_data_and_a_rule",
        ("if options.later and (options.opens or not venue.opening_rule):", "if options.later and options.opens:"),
        ("if len(options.data) != len(choices):", "if len(options.data) > len(choices):"),
    ),
    (
        "name or (None if is_number else first.class_name)",
        "name or first.class_name",
        "cli_choices::the_number_of_the_first_class_is_not_that_of_the_others",
    ),
    (
        "    if prebooking.choice and not prebooking.promoted:\n",
        "    if False:\n",
        "cli_choices::choices_are_listed_with_their_number_and_the_reason_of_their_end",
    ),
)

OF_CHOICES: list[Mutant] = [*OF_PROMOTION, *OF_THE_RULES, *OF_WAITING_CHOICES, *OF_ADDING]
