"""Mutants of upkeep: its invocation, the class look-up, and the bell's call."""

from __future__ import annotations

from tests.verification.mutants.mutant import mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS, UPKEEP_DUE

_FIVE_HUNDRED = "class_days::at_most_five_hundred_rows_are_changed_and_the_day_is_read_again_for_the_others"

OF_UPKEEP = [
    *mutants(
        "prebooking/upkeep/run.py",
        *noticed_by(
            "upkeep_invocation::a_part_that_fails_stops_no_other",
            (
                "        except Exception as exc:  # noqa: BLE001 - the task",
                "        except ValueError as exc:  # noqa: BLE001 - the task",
            ),
            ("            self._summary.failed.append(name)\n", ""),
        ),
        (
            "async with asyncio.timeout(self._guard.remaining() + LAST_WRITES):",
            "async with asyncio.timeout(None):",
            "upkeep_invocation::a_part_that_hangs_is_cancelled_and_stops_no_other",
        ),
        *noticed_by(
            "upkeep_invocation::counts_of_a_part_decide_on_the_answer",
            (" and not any(part.get(ERRORS) for part in counts)", ""),
            (" or any(part.get(OUT_OF_TIME) for part in counts)", ""),
        ),
        *noticed_by(
            "upkeep_invocation::an_unanswered_question_is_a_failure_and_runs_no_part",
            ("            self._summary.success = False\n", ""),
            ('return "Nothing was due" if self.success else "Upkeep failed: see the log"', 'return "Nothing was due"'),
        ),
        (
            "        if self._guard.passed():\n",
            "        if False:\n",
            "upkeep_invocation::an_upkeep_without_time_asks_and_reports_nothing_and_says_so",
        ),
    ),
    *mutants(
        "prebooking/upkeep/classes.py",
        *noticed_by(
            "class_look_up::a_bad_or_silent_venue_stops_no_other",
            ("if until.remaining() < ANSWER_TIME + WRITE_TIME:", "if until.passed():"),
            ("timeout=until.remaining() - WRITE_TIME", "timeout=until.remaining()"),
        ),
        *noticed_by(
            "class_look_up::a_venue_that_blocks_us_is_paused_and_called_no_more",
            ("        return outcome is not Kind.BLOCKED\n", "        return True\n"),
            ("        if outcome is Kind.BLOCKED:\n", "        if False:\n"),
        ),
        (
            "        except Exception as exc:  # noqa: BLE001 - the task",
            "        except ValueError as exc:  # noqa: BLE001 - the task",
            "class_look_up::a_day_that_cannot_be_stored_is_an_error_of_its_venue_only",
        ),
        (
            "                await self._put_off(day, until)\n",
            "",
            "class_look_up::a_day_that_cannot_be_stored_is_put_off_and_stops_no_other_day_of_its_venue",
        ),
        ("if unreadable:", "if False:", "class_look_up::a_day_that_cannot_be_parsed_is_an_error_and_hides_no_other"),
        *noticed_by(
            "hostile_timetable::no_hostile_answer_is_read_as_a_day",
            ("return usable if usable or not read else Outcome(Kind.CANNOT_TELL)", "return usable"),
            ("if one.class_id and one.starts]", "if one.class_id or one.starts]"),
        ),
        (
            "None if isinstance(read, Outcome)",
            "[] if isinstance(read, Outcome)",
            "class_look_up::a_day_that_cannot_be_read_changes_nothing_and_is_tried_again",
        ),
    ),
    *mutants(
        "prebooking/upkeep/matching.py",
        *(
            (before, after, "unit/class_matching::a_class_is_taken_only_if_exactly_one_fits")
            for before, after in (
                ("NEAR = 60 ", "NEAR = 59 "),
                ("<= NEAR]", "< NEAR]"),
                ("    if not classes:\n", "    if False:\n"),
                ("if len(fitting) > 1 and not known:", "if len(fitting) > 1:"),
                ("if len(fitting) > 1 and not known:", "if False:"),
                ("found = (known or fitting)[0]", "found = fitting[0]"),
                ("    if found.cancelled:\n", "    if False:\n"),
                ("CLOSED if found.closed else None", "None"),
                ('wanted.name in ("", name_key(one.name))', "wanted.name == name_key(one.name)"),
                ("[one for one in classes if one.starts == wanted.starts]", "list(classes)"),
                ("RENAMED if len(then) == 1 else GONE", "RENAMED if then else GONE"),
                ("if wanted.name else one.class_id == wanted.class_id", ""),
                ("nearest = min(same, key=lambda one: _minutes_apart(one.starts, wanted.starts))", "nearest = same[0]"),
            )
        ),
    ),
    *mutants(
        MIGRATIONS + "000011_upkeep.sql",
        *noticed_by(
            "class_look_up::a_day_before_an_opening_takes_one_request_in_six_hours_and_one_in_the_last_hour_before_an_opening",
            ("d.read_at <= t - interval '6 hours'", "d.read_at <= t - interval '5 hours'"),
            ("d.read_at < a.available_at - interval '1 hour'", "false"),
        ),
        (
            " or (a.class_unknown and d.read_at < a.created_at)",
            "",
            "class_look_up::a_row_that_is_added_in_the_last_hour_is_found_at_once",
        ),
        ("'15 minutes'", "'1 minute'", "class_look_up::a_day_that_cannot_be_read_changes_nothing_and_is_tried_again"),
        ("'24 hours'\n", "'48 hours'\n", "class_look_up::nothing_is_read_earlier_than_a_day_before_the_opening"),
        (
            "when jsonb_typeof(w.name) = 'string' or w.name::text ~ '^-?[0-9]{1,40}$' then w.name",
            "when true then w.name",
            "class_days::a_name_that_is_no_text_and_no_whole_number_is_any_name",
        ),
        (
            "  if not pg_try_advisory_xact_lock(7301, 4) then\n",
            "  if false then\n",
            "class_days::a_claim_during_another_one_returns_nothing_and_does_not_wait",
        ),
        (
            "(d.leased_until is null or d.leased_until <= t or d.leased_until > t + interval '5 minutes')",
            "true",
            "class_days::a_leased_day_is_free_after_half_a_minute",
        ),
        (
            " or d.leased_until > t + interval '5 minutes')",
            ")",
            "class_days::a_lease_from_a_clock_that_was_ahead_does_not_count",
        ),
        (
            "and v.enabled and (v.paused_until is null or v.paused_until <= t) and v.provider_box_id is not null",
            "and v.provider_box_id is not null",
            "class_look_up::a_disabled_or_paused_venue_is_not_read",
        ),
        ("where n.position <= 3 order", "where true order", "class_look_up::a_bad_or_silent_venue_stops_no_other"),
        (
            "  delete from public.class_days where day < (t - interval '2 days')::date;\n",
            "",
            "class_days::past_days_are_deleted",
        ),
        ("distinct a.wanted)", "a.wanted)", "class_days::a_claim_returns_the_venue_the_day_and_each_wanted_class_once"),
        ("= p_day and leased_by = p_instance;", "= p_day;", "class_days::only_the_holder_settles_a_day_and_only_once"),
        (
            "(p.class_unknown or p.available_at > t + interval '1 minute')",
            "true",
            "class_days::a_row_that_opens_within_a_minute_is_not_changed_by_a_settled_day",
        ),
        *noticed_by(
            _FIVE_HUNDRED,
            ("by p.available_at, p.created_at, p.id limit 500 for", "by p.available_at, p.created_at, p.id for"),
            ("order by p.available_at, p.created_at, p.id limit 500", "order by p.available_at desc, p.id limit 500"),
            ("set read_at = null, failed_at = t where", "set read_at = null where"),
            ("  if n = 500 then", "  if false then"),
        ),
        ("key update of p skip locked", "key update of p", "class_days::a_locked_row_is_skipped_and_delays_nothing"),
        ("  when unique_violation", "  when division_by_zero", "class_look_up::the_same_class_twice_is_a_warning"),
        ("check_violation or lock_not_available", "lock_not_available", "class_look_up::one_bad_row_stops_no_other"),
        ("or lock_not_available then", "then", "class_days::a_class_that_another_transaction_is_adding_is_left"),
        (
            "exception when data_exception then\n  return null;",
            "exception when division_by_zero then\n  return null;",
            "class_days::a_row_without_a_class_waits_exactly_if_its_day_and_hour_can_be_read",
        ),
        (
            "and claimed_by is null and not maybe_sent;\n  return found;\nexception",
            ";\n  return found;\nexception",
            "class_days::a_row_in_doubt_is_not_changed_even_if_it_is_named",
        ),
    ),
    *mutants(
        UPKEEP_DUE,
        *(
            (
                f"begin {asks} exception when others then null; end;",
                asks,
                "upkeep_invocation::a_broken_function_of_the_database_stops_no_other_part",
            )
            for asks in (
                "v_repeats := public.upkeep_repeats_due(t);",
                "v_classes := public.upkeep_classes_due(t, p_providers);",
                "v_places := public.upkeep_places_due(t, p_providers);",
            )
        ),
        *noticed_by(
            "upkeep_invocation::a_broken_function_of_the_database_stops_no_other_part",
            ("v_failed := v_failed || 'warnings'::text;", "null;"),
            ("v_failed := v_failed || 'choices'::text;", "null;"),
        ),
        ("set sessions_at = t", "set sessions_at = sessions_at", "heartbeat::each_trigger_has_a_heartbeat_of_its_own"),
    ),
    *mutants(
        MIGRATIONS + "000002_edits.sql",
        ("  if new.status = 'pending'", "  if true", "class_days::a_settled_row_without_a_class_can_be_forgotten"),
        (
            "new.booking_data || case when new.class_unknown then '{\"class_id\": \"0\"}' else '{}' end::jsonb",
            "new.booking_data",
            "class_days::a_row_without_a_class_waits_exactly_if_its_day_and_hour_can_be_read",
        ),
    ),
    *mutants(
        MIGRATIONS + "000007_bell.sql",
        (
            "coalesce(v_next > t + interval '3 seconds', true)",
            "true",
            "bell_upkeep::no_ring_is_later_because_upkeep_is_due",
        ),
        (
            "b.triggered_at >= t - interval '3 seconds'",
            "false",
            "bell_upkeep::upkeep_waits_for_a_moment_without_a_ring",
        ),
        (
            "coalesce(bell.upkeep_at < date_trunc('minute', t), true)",
            "true",
            "bell_upkeep::upkeep_is_called_once_a_minute_while_it_is_due",
        ),
        (
            "exception when others then\n  raise warning 'upkeep",
            "exception when division_by_zero then\n  raise warning 'upkeep",
            "bell_upkeep::a_failing_upkeep_prevents_no_ring_and_is_tried_once_a_minute",
        ),
        ("- interval '1 hour'", "- interval '1 day'", "bell_upkeep::warnings_about_logins_are_renewed_once_an_hour"),
    ),
]
