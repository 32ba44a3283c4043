"""Mutants of the outbox: what is stored, its lease, its results, and the part of upkeep that sends it."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

PART = "notifications_part"

OF_STORING = mutants(
    MIGRATIONS + "000016_notifications.sql",
    ("'failed') then", "'failed', 'cancelled') then", "notifications::a_cancelled_prebooking_is_not_told"),
    ("= 'waitlisted' then 'waitlisted'", "is null then 'waitlisted'", "notifications::a_completed_prebooking_is_told"),
    *noticed_by(
        "notifications::a_warning_is_told_once_per_code",
        ("'warned', split_part(new.class_warning, ':', 1));", "'warned', new.class_warning);"),
        ("    or new.class_warning is distinct from old.class_warning and new.class_warning is not null\n", ""),
    ),
    (
        "    or old.given_back_at is null and new.given_back_at is not null)\n",
        ")\n",
        "notifications::a_place_that_is_given_back_is_told",
    ),
    (
        "(c.user_email = lower(p.user_email) or c.user_email is null) and p_event = any (c.events)",
        "(c.user_email = lower(p.user_email) or c.user_email is null)",
        "notifications::each_channel_that_wants_an_event_is_told_and_no_other_member",
    ),
    (
        "raise warning 'what happened to prebooking % is not told: %', new.id, sqlstate;",
        "raise;",
        "notifications::an_error_while_storing_prevents_no_settle",
    ),
    (
        "(sqlstate = '55P03')::text",
        "'false'",
        "notifications::a_locked_table_of_notifications_delays_a_claim_that_ends_many_rows_only_once",
    ),
    (
        "when (new.warning is not null or new.class_warning is not null)",
        "when (false)",
        "notifications::a_warning_that_a_prebooking_has_from_the_beginning_is_told",
    ),
    ("(new.place = 'booked'", "(new.place is not null", "notifications::a_promotion_from_a_waiting_list_is_told_once"),
)

OF_SENDING = mutants(
    (MIGRATIONS + "000016_notifications.sql", MIGRATIONS + "000010_privacy.sql"),
    (
        " and p_failure is distinct from 'no_time'\n",
        "\n",
        "notifications::an_upkeep_that_had_no_time_to_try_changes_nothing_about_the_channel",
    ),
    *noticed_by(
        "notifications::a_leased_message_is_not_leased_again_before_a_minute",
        ("next_at = t + interval '1 minute'\n    from free", "next_at = t\n    from free"),
        ("set unsure = n.unsure or n.leased_until is not null, attempts", "set unsure = n.unsure, attempts"),
    ),
    *noticed_by(
        "notifications::one_channel_has_five_leased_rows_and_the_kinds_take_turns",
        ("from due d where in_channel <= 5),", "from due d),"),
        ("coalesce(b.n, 0) + row_number()", "row_number()"),
        ("partition by kind order by in_channel", "order by kind desc, in_channel"),
    ),
    (
        "select v_held || array(select id from leased) into v_held;",
        "v_held := array(select id from leased);",
        "notifications::a_repeated_claim_returns_the_same_rows",
    ),
    (
        "and n.leased_by = p_instance and n.leased_until is not null and n.status",
        "and n.leased_until is not null and n.status",
        "notifications::a_result_of_another_upkeep_is_refused",
    ),
    (
        "where id = p_id and leased_by = p_instance and leased_until is null);",
        "where false);",
        "notifications::a_sent_message_is_over_and_its_channel_healthy",
    ),
    *noticed_by(
        "notifications::telegram_gets_a_message_twice_at_most",
        ("= 'unsure' and o.unsure and c.kind = 'telegram' then", "= 'unsure' and o.unsure and c.kind = 'ntfy' then"),
        ("and n.unsure and n.leased_until is not null and c.kind = 'telegram'", "and false"),
    ),
    (
        "when p_result = 'gone' or o.due_at <= t - interval '24 hours' then 'dead'",
        "when o.due_at <= t - interval '24 hours' then 'dead'",
        "notifications::a_message_to_a_receiver_that_is_gone_is_dead_at_once",
    ),
    (
        "when p_result = 'gone' or o.due_at <= t - interval '24 hours' then 'dead'",
        "when p_result = 'gone' or o.due_at <= t - interval '12 hours' then 'dead'",
        "notifications::a_message_that_was_not_taken_is_sent_again_after_growing_pauses_for_a_day",
    ),
    (
        "    or prebooking_id in (select id from public.prebookings where lower(user_email) = v_email);",
        ";",
        "notifications::a_forgotten_member_has_no_channel_and_no_message",
    ),
)

OF_THE_PART = mutants(
    "prebooking/upkeep/notifications.py",
    (
        " or (running and not self._last_start.passed())",
        "",
        f"{PART}::a_long_queue_of_a_slow_channel_is_sent_beside_a_fast_one",
    ),
    *noticed_by(
        f"{PART}::one_receiver_that_fails_delays_no_other",
        ("return_when=asyncio.FIRST_COMPLETED", "return_when=asyncio.ALL_COMPLETED"),
        ("rows = [row for row in claim.rows if row.id not in self._handled]", "rows = list(claim.rows)"),
        ("async with asyncio.timeout(timeout + SPARE_TIME):", "async with asyncio.timeout(None):"),
    ),
    ("start + APART.get(row.kind, 0.0)", "start", f"{PART}::telegram_gets_one_message_per_second_and_chat"),
    (
        "await self._settle(row, SendResult.NOT_SENT, UNREADABLE)",
        "pass",
        f"{PART}::a_row_that_cannot_be_read_stops_no_other",
    ),
)

OF_NOTIFICATIONS: list[Mutant] = [*OF_STORING, *OF_SENDING, *OF_THE_PART]
