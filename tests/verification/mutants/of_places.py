"""Mutants of places after the booking: giving them back, and looking at those on waiting lists."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

OF_RECORDS = [
    *mutants(
        (MIGRATIONS + "000010_privacy.sql", MIGRATIONS + "000014_places.sql", MIGRATIONS + "000006_operator.sql"),
        (
            "if old.given_back_at is null and new.given_back_at is not null then",
            "if new.given_back_at is distinct from old.given_back_at then",
            "places::the_record_of_a_give_back_never_changes",
        ),
        (
            "    v_allowed.given_back_at := new.given_back_at;\n",
            "    v_allowed := new;\n",
            "places::giving_back_changes_nothing_else",
        ),
        (
            "status = 'completed' and given_back_at is null;\n  if found",
            "given_back_at is null;\n  if found",
            "places::only_a_completed_prebooking_is_given_back",
        ),
        ("'completed' and given_back_at is null;\n  if", "'completed';\n  if", "places::a_place_is_given_back_once"),
        ("when p.expires_at <= t", "when p.expires_at < t", "places::a_class_that_has_begun_is_not_given_back"),
        *noticed_by(
            "places::a_class_that_was_asked_for_again_is_given_back_by_the_newer_row",
            ("o.given_back_at is null and o.settled_at > p.settled_at", "o.settled_at > p.settled_at"),
            ("o.given_back_at is null and o.settled_at > p.settled_at", "o.given_back_at is null"),
            ("or o.status = 'pending' and o.available_at <= t)", "or o.status = 'pending')"),
        ),
        (
            "status = 'completed' and given_back_at is null) p) x",
            "status = 'completed') p) x",
            "places::a_class_that_was_given_back_can_be_asked_for_again",
        ),
    ),
]

OF_LOOKS = [
    *mutants(
        MIGRATIONS + "000014_places.sql",
        *noticed_by(
            "places::no_other_prebooking_is_looked_at",
            ("= 'waitlisted' and p.given_back_at is null and p.expires_at > t", "= 'waitlisted' and p.expires_at > t"),
            ("p.given_back_at is null and p.expires_at > t", "p.given_back_at is null and p.expires_at >= t"),
            ("    and p.user_email <> 'forgotten' and", "    and"),
            ("case when p.expires_at - interval '1 hour' <= t", "case when p.expires_at - interval '61 minutes' <= t"),
        ),
        *noticed_by(
            "places::a_place_on_a_waiting_list_is_looked_at_after_a_day_and_an_hour_before_the_class",
            ("p.settled_at + interval '24 hours' <= t then", "p.settled_at + interval '25 hours' <= t then"),
            ("tries = case when l.tried_for = excluded.tried_for then l.tries else 0 end + 1", "tries = l.tries + 1"),
        ),
        (
            "(l.looked_at is null or l.looked_at < d.due_at)",
            "true",
            "places::a_class_that_is_nearer_than_an_hour_is_looked_at_once",
        ),
        *noticed_by(
            "places::a_look_without_a_clear_answer_is_tried_three_times",
            ("l.tries < 3", "l.tries < 4"),
            ("tries = case when l.tried_for = excluded.tried_for then l.tries else 0 end + 1", "tries = 1"),
            ("then t + interval '5 minutes' else", "then t + interval '4 minutes' else"),
        ),
        (
            "(l.leased_until is null or l.leased_until <= t or l",
            "(true or l",
            "places::an_upkeep_that_was_killed_is_followed_by_two_more_tries",
        ),
        *noticed_by(
            "places::places_at_a_venue_that_is_not_called_now_wait",
            ("and v.enabled and (v.paused_until", "and (v.paused_until"),
            ("(v.paused_until is null or v.paused_until <= t)", "true"),
            ("v.provider = any (p_providers) and", "true and"),
        ),
        *noticed_by(
            "places::a_member_who_is_being_booked_is_looked_at_later",
            ("(o.claimed_by is not null or o.available_at between", "(o.available_at between"),
            ("t - interval '1 minute' and t + interval '1 minute'))", "t - interval '1 minute' and t))"),
        ),
        *noticed_by(
            "places::a_place_is_leased_to_one_upkeep_at_a_time",
            ("if not pg_try_advisory_xact_lock(7303, 1) then", "if false then"),
            ("    order by p.expires_at, p.id limit", "    limit"),
            ("least(p_limit, 100) - cardinality(v_held)", "least(p_limit, 100)"),
        ),
        ("null or place = p_place then", "null then", "places::a_promotion_is_stored_with_the_look_that_has_shown_it"),
        ("= p_id and leased_by = p_instance;", "= p_id;", "places::a_look_that_was_taken_over_stores_nothing"),
    ),
    *mutants(
        "prebooking/upkeep/places.py",
        (") or row.venue.id in self._blocked", ")", "places_part::a_venue_that_blocks_is_paused_and_looked_at_no_more"),
        (
            "until=self._guard.before(WRITE_TIME)",
            "until=self._guard.later(WRITE_TIME)",
            "places_part::an_endpoint_that_hangs_leaves_time_to_store_that",
        ),
        (
            "        except Exception as exc:",
            "        except ValueError as exc:",
            "places_part::an_exception_in_one_look_stops_no_other",
        ),
        ('{ERRORS: 1, "failed": count}', '{"failed": count}', "places_part::a_row_that_cannot_be_read_stops_no_other"),
    ),
]

OF_GIVING_BACK = [
    *mutants(
        "prebooking/bookers/give_back.py",
        (
            "    if found.kind is Kind.NOT_BOOKED:\n",
            "    if found.kind in (Kind.NOT_BOOKED, Kind.MISSING):\n",
            "unit/give_back::after_an_unclear_answer_the_venue_is_asked_once",
        ),
        (
            "(places.must_be_found or found.kind in _WITHOUT_PLACE)",
            "(found.kind in _WITHOUT_PLACE)",
            "unit/give_back::a_venue_that_does_not_tell_is_called_only_if_a_call_without_a_place_is_harmless",
        ),
        (
            "(places.must_be_found or found.kind in _WITHOUT_PLACE)",
            "places.must_be_found",
            "unit/give_back::nothing_is_sent_without_a_place",
        ),
        (
            "found.booking_id or booking_id)",
            "found.booking_id)",
            "cli_give_back::the_stored_number_is_used_if_the_list_shows_none",
        ),
    ),
    *mutants(
        "prebooking/bookers/aimharder/give_back.py",
        *noticed_by(
            "unit/give_back::the_number_in_aimharders_answer_counts",
            ("return CancelAnswer.UNCLEAR if late else CancelAnswer.LATE", "return CancelAnswer.LATE"),
            ("reply.json_object() if reply.status == httpx.codes.OK else None", "reply.json_object()"),
        ),
        (
            "must_be_found = True",
            "must_be_found = False",
            "cli_give_back::a_box_is_not_told_to_cancel_what_its_list_does_not_show",
        ),
        (
            "        if not self.is_ready(row) and not self._site.problem:\n",
            "        if False:\n",
            "cli_give_back::without_a_usable_login_the_member_logs_in_first",
        ),
        ("if found.kind is Kind.SESSION_EXPIRED:\n", "if False:\n", "cli_give_back::a_dead_session_is_refreshed_once"),
        *noticed_by(
            "cli_give_back::a_late_place_is_given_back_only_with_late",
            ('"late": str(int(late))', '"late": "1"'),
            ('"late": str(int(late))', '"late": "0"'),
        ),
    ),
    *mutants(
        "prebooking/bookers/webhook/give_back.py",
        *noticed_by(
            "unit/give_back::the_status_of_the_endpoints_answer_counts_and_then_its_state",
            ("        return CancelAnswer.UNCLEAR if late else CancelAnswer.LATE", "        return CancelAnswer.LATE"),
            ('| {(404, "not_booked")}', '| {(404, "not_booked"), (404, "")}'),
            ("_UNABLE = frozenset({405, 501})", "_UNABLE = frozenset({405})"),
        ),
        ("if body is None or not", "if not", "unit/give_back::an_answer_that_cannot_be_read_is_unclear"),
        (
            '**({"late": "1"} if late else {})',
            '**{"late": "1"}',
            "cli_give_back::a_late_place_is_given_back_only_with_late",
        ),
        ("position or None)", "position)", "places_part::a_position_that_is_no_position_is_not_stored"),
    ),
    *mutants(
        "prebooking/cli/give_back.py",
        (
            "result is GiveBack.NOT_BOOKED and record.age < _NEW",
            "False",
            "cli_give_back::a_new_place_that_the_list_does_not_show_yet_is_not_taken_for_given_back",
        ),
        (
            "        await _record(database, view)\n",
            "",
            "cli_give_back::a_place_at_the_operators_endpoint_is_given_back",
        ),
        (
            "        _refuse(view, record, result)\n",
            "",
            "cli_give_back::no_answer_to_a_cancellation_records_what_did_not_happen",
        ),
        ("if row.venue.provider not in settings.systems:", "if False:", "cli_give_back::a_missing_variable_is_named"),
    ),
]

OF_PLACES: list[Mutant] = [*OF_RECORDS, *OF_LOOKS, *OF_GIVING_BACK]
