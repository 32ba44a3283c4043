"""Mutants of what members read, and when: texts, quiet hours, reminders, and the commands that change channels."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

TEXTS, CHANNELS, COMMANDS = "unit/texts::", "channels::", "cli_notify::"
SWEEP = CHANNELS + "quiet_hours_never_drop_or_hasten_a_message_in_any_zone"
WAITS = CHANNELS + "a_message_in_quiet_hours_waits_for_their_end_on_the_venues_clock"
ONCE = CHANNELS + "a_member_is_reminded_once_an_hour_before_the_limit"
NO_NEED = CHANNELS + "nobody_is_reminded_of_a_place_that_needs_no_reminder"
OF_NO_USE = CHANNELS + "a_reminder_that_is_of_no_use_any_more_is_not_sent"
BEFORE_THEM = CHANNELS + "a_reminder_that_quiet_hours_would_make_late_is_sent_before_them"
REFUSED = COMMANDS + "a_bad_channel_is_refused_with_the_cure"
THROUGH = CHANNELS + "a_failure_and_an_urgent_warning_pass_through_quiet_hours"

OF_TEXTS: list[Mutant] = [
    *mutants(
        "prebooking/channels/texts.py",
        (
            "LANGUAGES.get(notification.language, ENGLISH)",
            "LANGUAGES[notification.language]",
            TEXTS + "no_fact_raises_and_a_message_is_one_short_line",
        ),
        (
            "if notification.is_operator and notification.user_email:",
            "if notification.user_email:",
            TEXTS + "the_operator_reads_whom_it_is_about_and_a_member_does_not",
        ),
        *noticed_by(
            TEXTS + "each_event_is_told_with_its_facts",
            ('if row.event == "booked" and row.outcome in words.events', "if row.outcome in words.events"),
            ('if row.outcome == "booked" else None]', "]"),
            ("if row.promoted else None]", "]"),
            ("row.available_at > row.created_at", "True"),
        ),
        (
            '    if "{hour}" in template and not hour:\n        return words.other_warning\n',
            "",
            TEXTS + "a_moved_class_whose_hour_is_unknown_has_the_general_sentence",
        ),
        (
            'instant.astimezone(ZoneInfo(row.timezone or ""))',
            "instant",
            TEXTS + "the_hour_is_that_of_the_venues_clock_on_both_sides_of_a_clock_change",
        ),
        (
            "except (ValueError, OSError, LookupError):",
            "except ValueError:",
            TEXTS + "an_unknown_time_zone_is_told_in_utc_and_says_so",
        ),
        *noticed_by(
            TEXTS + "names_are_cut_and_stay_in_one_line",
            ('one if one.isprintable() else " " for one', "one for one"),
            ("return line if len(line) <= NAME_LENGTH else", "return line if True else"),
        ),
    ),
    *mutants(
        MIGRATIONS + "000016_notifications.sql",
        ("p_from or local_time >=", "p_from or local_time >", CHANNELS + "quiet_hours_within_one_day_are_those_hours"),
        ("< p_from and local_time >= p_until end) then t", "< p_from or local_time >= p_until end) then t", WAITS),
        ("else greatest(t, public.prebooking_local_instant(", "else (public.prebooking_local_instant(", SWEEP),
        ("case when local_time < p_until then interval '0' else interval '1 day' end,", "interval '1 day',", WAITS),
        ("case when p_event = 'failed' or (p_event = 'warned'", "case when (p_event = 'warned'", THROUGH),
        ("(p_event = 'warned' and p_available_at < t + interval '12 hours')", "p_event = 'warned'", THROUGH),
        ("when r.waits_until < p_limit then r.waits_until", "when true then r.waits_until", BEFORE_THEM),
        ("case when r.local_at::time < p_from then interval '1", "case when false then interval '1", BEFORE_THEM),
        ("where 'reminder' = any (c.events) and v.late", "where v.late", NO_NEED),
        ("v.late_cancel_hours is not null and p.given_back_at is null\n", "v.late_cancel_hours is not null\n", NO_NEED),
        ("    and (p.outcome <> 'waitlisted' or l.place = 'booked')\n", "", NO_NEED),
        (
            "(p.outcome <> 'waitlisted' or l.place = 'booked')",
            "p.outcome <> 'waitlisted'",
            CHANNELS + "a_place_that_moved_up_from_the_waiting_list_is_reminded_of",
        ),
        (" and p.settled_at < d.due_at\n", "\n", NO_NEED),
        ("e.ends_at > t and d.due_at <= t", "e.ends_at > t", ONCE),
        ("    or exists (select from public.prebooking_reminders_due(t))\n", "", ONCE),
        ("p.given_back_at is not null or v.late_cancel_hours is null or", "v.late_cancel_hours is null or", OF_NO_USE),
        ("    'cancel_until', p.expires_at - v.late_cancel_hours * interval '1 hour',\n", "", ONCE),
    ),
    *mutants(
        MIGRATIONS + "000017_channels.sql",
        ("    on conflict do nothing;\n", ";\n", CHANNELS + "a_channel_is_added_once_however_often_it_is_asked_for"),
        ("is not distinct from v_member", "= v_member", CHANNELS + "a_channel_of_the_operator_that_exists_is_found"),
        (
            "if v_member is null and p_user_email is not null then",
            "if false then",
            CHANNELS + "a_member_whose_address_is_not_ascii_is_refused",
        ),
        ("= 'dead'))", "<> 'waiting'))", CHANNELS + "the_list_counts_messages_that_wait_and_those_that_are_dead"),
        ("channel_id = p_id and status = 'waiting'", "false", CHANNELS + "a_removed_channel_is_sent_nothing_more"),
    ),
    *mutants(
        "prebooking/cli/notify.py",
        ("if operator and member:", "if False:", REFUSED),
        (
            "    if kind not in kinds_set_up(",
            "    if False and kind not in kinds_set_up(",
            COMMANDS + "each_kind_without_its_setting_is_refused",
        ),
        ("if problem := address_problem(kind, given):", "if problem := None:", REFUSED),
        ("    if ALL in events:\n        return every\n", "", COMMANDS + "a_channel_is_added_as_it_is_asked_for"),
        ("    if hours[0] == hours[1]:", "    if False:", REFUSED),
        (
            "if delivery.result is SendResult.SENT:",
            "if delivery.result is not SendResult.GONE:",
            COMMANDS + "a_test_that_no_receiver_takes_says_what_to_look_at",
        ),
    ),
    *mutants(
        MIGRATIONS + "000006_operator.sql",
        (
            "nullif(coalesce(p_late_cancel_hours, late_cancel_hours), 0)",
            "p_late_cancel_hours",
            "cli_venues::the_limit_of_late_cancellations_is_set_kept_and_removed",
        ),
    ),
    *mutants(
        "prebooking/local/demo/messages.py",
        *noticed_by(
            "acceptance/demo::the_checker_reports_what_was_not_told_once",
            ("if len(messages) != 1:", "if not messages:"),
            (" and reason in message.text", ""),
            ("if inbox.deliveries[message.id] != 1:", "if False:"),
        ),
    ),
]
