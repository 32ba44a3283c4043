"""Mutants of repeats and absences: their SQL, the part of upkeep, and what the commands refuse."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

_RACE = "absences::a_prebooking_that_is_made_meanwhile_is_cancelled"
_AHEAD = "repeats::a_repeat_from_a_clock_that_was_ahead_is_looked_at"
_BAD_ROW = "repeats_changed::a_row_that_cannot_be_moved_stops_no_other_of_its_repeat"
_PARTLY = "repeats_changed::a_prebooking_that_may_be_at_the_venue_moves_when_it_is_free"

_IN_SQL = mutants(
    MIGRATIONS + "000012_repeats.sql",
    *noticed_by(
        "opening_in_sql",
        (
            "return public.prebooking_local_instant(p_local, p_zone) - split_part(p_rule, ' before', 1)::interval;",
            "return public.prebooking_local_instant(p_local - split_part(p_rule, ' before', 1)::interval, p_zone);",
        ),
        ("coalesce(v_at::time, p_local::time), p_zone);", "coalesce(v_at::time, p_local::time), 'UTC');"),
    ),
    *noticed_by(
        "repeats",
        ("::interval)::date - 1 as day)", "::interval)::date + 1 as day)"),
        ("generate_series(0, 21, 7)", "generate_series(0, 7, 7)"),
        ("where o.opens > t and", "where o.opens >= t - interval '7 days' and"),
        ("order by d.day limit 2", "order by d.day limit 1"),
    ),
    ("d.day <= coalesce(repeat.last_day, d.day)", "true", "repeats::no_class_after_the_last_day_is_made"),
    ("p_day between first_day and last_day", "p_day > first_day and p_day <= last_day", "absences"),
    (
        "error_message = p_why, repeat_id = null, repeat_day = null",
        "error_message = p_why",
        "repeats_changed::a_resumed_repeat_makes_the_cancelled_days_again_but_not_those_of_the_member",
    ),
    (
        "where id = any (p_ids) and status = 'pending' and claimed_by is null and not maybe_sent\n",
        "where id = any (p_ids) and status = 'pending'\n",
        "repeats_changed::a_removed_repeat_leaves_what_may_be_at_the_venue_and_names_it",
    ),
    *noticed_by(
        _PARTLY,
        ("where p.status = 'pending' and p.claimed_by is null and not p.maybe_sent\n", "where p.status = 'pending'\n"),
        ("for no key update of p skip locked", "for no key update of p"),
        ("case when v_unmoved > 0 then made_by else coalesce(v_by, made_by) end", "v_by"),
    ),
    *noticed_by(
        "repeats_changed",
        ("and (v_after is not null or p.stands_after is null or p.promoted_at is not null))", ")"),
        ("if r.made_by <> v_by then", "if false then"),
        ("after update of timezone, opening_rule on", "after update of opening_rule on"),
    ),
    (
        "p.repeat_id is distinct from repeat.id and p.given_back_at is null)",
        "p.repeat_id is distinct from repeat.id)",
        "repeats::a_class_that_is_booked_already_is_made_only_if_it_was_given_back",
    ),
    ("x.number\n", "x.number desc\n", "repeats_changed::later_choices_stand_after_each_other_and_share_repeat_and_day"),
    (
        "    where not public.prebooking_is_away(repeat.user_email, c.day)\n",
        "    where true\n",
        "absences::a_later_choice_on_a_day_away_is_left_out",
    ),
    (
        "continue when public.prebooking_is_away(r.user_email, v_next.day);",
        "",
        "absences::a_day_away_has_none_of_its_choices",
    ),
    (
        "least(v_next.opens + interval '1 minute', t + interval '1 day'));",
        "t + interval '1 day');",
        "repeats::the_next_class_is_made_after_an_opening_and_nothing_before",
    ),
    ("if r.made_by <> v_by then", "if true then", "repeats_changed::an_opening_that_was_corrected_by_hand_is_kept"),
    ("if v_due is null and exists", "if false and exists", "repeats::a_repeat_whose_last_prebooking_has_ended_is_over"),
    ("    when others then", "    when no_data_found then", "repeats::a_repeat_that_cannot_be_made_stops_no_other_one"),
    (
        "    when lock_not_available or deadlock_detected then\n",
        "    when no_data_found then\n",
        "repeats_changed::a_row_that_is_locked_does_not_stop_the_repeats",
    ),
    (
        "order by due_at, id limit least(greatest(p_limit, 1), 1000)\n      for no key update skip locked)",
        "order by due_at, id limit least(greatest(p_limit, 1), 1000))",
        "repeats_changed::two_upkeeps_at_once_make_each_day_once",
        "repeats_part",
    ),
    *noticed_by(
        "repeats_changed::a_call_looks_at_as_many_repeats_as_it_is_told_the_longest_due_first",
        ("order by due_at, id limit", "order by due_at desc, id limit"),
        ("exists (select from public.repeats where due_at <= t or due_at > t + interval '2 days'));", "false);"),
    ),
    (
        "    exit when clock_timestamp() > v_until;\n",
        "",
        "repeats_changed::one_call_of_ten_thousand_due_repeats_ends_within_two_seconds",
    ),
    (
        "return exists (select from public.repeats where due_at <= t or due_at > t + interval '2 days');",
        "return false;",
        "repeats",
        "repeats_part",
    ),
    *noticed_by(
        _AHEAD,
        ("public.repeats where due_at <= t or due_at > t + interval '2 days');", "public.repeats where due_at <= t);"),
        ("where due_at <= t or due_at > t + interval '2 days'\n", "where due_at <= t\n"),
    ),
    *noticed_by(
        _BAD_ROW,
        ("public.prebooking_class_start(p.booking_data, venue.timezone", "(p.booking_data ->> 'starts_at'"),
        (" and c.local between p.repeat_day - 31 and p.repeat_day + 31\n", "\n"),
    ),
    (
        "where venue_id = new.id and due_at is not null;",
        "where false;",
        "repeats_changed::prebookings_move_with_the_zone_and_the_rule_of_their_venue",
    ),
    ("if r.id <> p_id then", "if false then", "repeats_changed::a_second_repeat_of_a_member_at_one_hour_is_refused"),
    *noticed_by(
        "repeats_changed::a_paused_repeat_cancels_its_prebookings_and_makes_no_new_ones",
        ("due_at = case when not p_paused then t end", "due_at = t"),
        ("and settled_at >= r.paused_at and error_message like", "and settled_at > r.paused_at and error_message like"),
    ),
    ("= p_id for update", "= p_id", "repeats_changed::a_repeat_that_is_removed_while_it_is_made_leaves_no_prebooking"),
    ("  update public.repeats set due_at = t where user_email = v_member and due_at is not null;\n", "", _RACE),
    ("v.timezone)::date between", "'UTC')::date between", "absences::the_days_are_those_of_each_venue_s_clock"),
    *noticed_by(
        "absences::days_that_are_past_everywhere_or_in_another_absence_are_refused",
        ("  if p_last < v_today then\n", "  if p_last <= v_today then\n"),
        ("first_day <= p_first and last_day >= p_last\n", "first_day <= p_first and last_day > p_last\n"),
    ),
    ("< v_today - 30;", "< v_today;", "absences::absences_are_listed_until_they_are_over_and_removed_a_month_later"),
)

OF_REPEATS: list[Mutant] = [
    *_IN_SQL,
    *mutants(
        MIGRATIONS + "000010_privacy.sql",
        *noticed_by(
            "privacy::a_forgotten_member_has_no_repeat_and_no_absence",
            ("  delete from public.repeats where user_email = v_email;\n", ""),
            ("  p.repeat_id := null;\n  p.repeat_day := null;\n", ""),
        ),
    ),
    *mutants(
        "prebooking/upkeep/repeats.py",
        ("if not made.more or not made.repeats:", "if True:", "repeats_part::many_repeats_are_made_in_several_calls"),
        (
            "if not made.more or not made.repeats:",
            "if not made.more:",
            "repeats_part::repeats_that_another_upkeep_has_locked_are_left_to_it",
        ),
    ),
    *mutants(
        "prebooking/cli/new_repeat.py",
        ("if instant(_begins(later), zone) <= rule", "if instant(_begins(later), zone) < rule", "cli_repeats"),
        (
            "while rule.opening(datetime.combine(days[-1], options.clock), zone) <= now:",
            "while False:",
            "cli_repeats::a_class_whose_booking_is_open_already_is_named_with_the_command",
        ),
        ("if not offers[day].offers:", "if False:", "cli_repeats::a_day_that_is_not_published_yet_is_accepted"),
        ("if day not in offers:\n", "if True:\n", "cli_repeats::the_timetable_of_the_next_class_is_read_once_per_day"),
    ),
    *mutants(
        "prebooking/cli/requested.py",
        *noticed_by(
            "cli_repeats::bad_input_is_refused_with_the_cure",
            ("if placeholder not in class_id:", "if False:"),
            ("if unknown := re.search(", "if unknown := re.fullmatch("),
        ),
    ),
    *mutants(
        "prebooking/cli/absences.py",
        *noticed_by(
            "cli_absences", ("if last < today:", "if first < today:"), ("if last < first:", "if last <= first:")
        ),
    ),
]
