"""Mutants of the operator's functions, of the rules of the tables, and of the bell."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS, STATUS

OF_OPERATORS = [
    *mutants(
        (MIGRATIONS + "000001_tables.sql", MIGRATIONS + "000002_edits.sql"),
        ("length(host) <= 253", "length(host) <= 254", "rules::a_venue_that_breaks_a_rule_is_refused"),
        ("+ interval '24", "+ interval '25", "writing::a_prebooking_expires_a_day_after_its_opening_by_default"),
        (
            "and status = 'pending' and not fresh and not waits and (claimed_by is not null or maybe_sent)",
            "and (claimed_by is not null or maybe_sent)",
            "writing::a_venue_with_rows_being_booked_keeps_its_identity",
        ),
        ("hashtext(lower(new.user_email)) & 1023)", "1)", "writing::adding_a_row_does_not_wait_for_another_member_s"),
    ),
    Mutant(
        MIGRATIONS + "000001_tables.sql",
        "grant select, update on public.prebookings to service_role;",
        "grant select, update, delete on public.prebookings to service_role;",
        tests=("grants",),
        unseen="a later migration grants it too, for rows that are old (prebooking_prune)",
    ),
    *mutants(
        MIGRATIONS + "000006_operator.sql",
        (
            "perform pg_advisory_xact_lock(7301, 2);\n  select other.* into",
            "select other.* into",
            "operator_races::two_venues_cannot_get_the_same_box_concurrently",
        ),
        (
            "order by x.verdict = 'waiting' desc, x.verdict = 'booked' desc, x.status = 'completed' desc limit 1",
            "order by x.verdict = 'waiting' desc, x.status = 'completed' desc limit 1",
            "operator_verdicts::the_strongest_of_several_conflicts_is_reported",
        ),
    ),
    *mutants(
        STATUS,
        *noticed_by(
            "status_figures::only_neighbours_in_a_queue_can_overtake",
            ("(partition by venue_id, available_at order by", "(partition by available_at order by"),
            ("(partition by venue_id, available_at order by", "(partition by venue_id order by"),
        ),
        ("order by created_at, id)", "order by id)", "status_figures::the_queue_of_an_opening_is_ordered_by_creation"),
        *noticed_by(
            "status_figures::the_holder_of_the_claim_lock_is_shown",
            (" and l.objid = 1 and", " and"),
            (" and l.objsubid = 2 and l.granted", " and l.granted"),
            (" and l.objsubid = 2 and l.granted", " and l.objsubid = 2"),
        ),
        *noticed_by(
            "status_figures::the_status_has_five_openings_and_twenty_claims",
            ("desc limit 20) c", "desc limit 200) c"),
            ("v.name limit 5) o", "v.name limit 6) o"),
        ),
    ),
    *mutants(
        MIGRATIONS + "000025_prune.sql",
        (
            "order by settled_at limit 100 for",
            "order by settled_at limit 101 for",
            "privacy::a_claim_deletes_a_hundred_old_rows_and_skips_locked_ones",
        ),
        ("    when lock_not_available then\n      null;\n", "", "privacy::a_locked_part_of_an_old_row_delays_no_claim"),
        (" set lock_timeout = '10ms'", "", "privacy::a_locked_part_of_an_old_row_delays_no_claim"),
        *noticed_by(
            "privacy::rows_that_another_table_refers_to_stop_no_claim",
            ("  set constraints all immediate;\n", ""),
            ("order by random() limit 20", "order by id limit 0"),
            ("        exception when others then\n          null;\n", ""),
        ),
        (
            "where settled_at < p_now - interval '400 days'\n",
            "where settled_at < p_now - interval '399 days'\n",
            "privacy::settled_rows_are_deleted_by_a_claim_after_400_days",
        ),
    ),
    *mutants(
        MIGRATIONS + "000010_privacy.sql",
        *noticed_by(
            "privacy::an_anonymised_row_has_no_warning",
            (" and jsonb_typeof(value) in ('string', 'number')", ""),
            ("array['warning', 'class_warning', 'lateness_ms',", "array['class_warning', 'lateness_ms',"),
            ("  new.warning := null;\n", ""),
        ),
        (") - interval '400 days'", ") - interval '399 days'", "privacy::pending_and_recent_rows_cannot_be_deleted"),
        ("is null and not maybe_sent;", "is null;", "privacy::a_member_with_a_row_in_doubt_is_forgotten_later"),
    ),
    *mutants(
        MIGRATIONS + "000001_tables.sql",
        ("<= 6144", "<= 6145", "rules::a_prebooking_that_breaks_a_rule_is_refused"),
    ),
]

OF_BELLS = [
    *mutants(
        MIGRATIONS + "000007_bell.sql",
        ("|private|corp|", "|corp|", "bell_switch::any_other_address_is_refused_from_every_role"),
    ),
    *mutants(
        "prebooking/database/bell.py",
        ("run in state.runs if run.at]", "run in state.runs]", "bell_faults::a_run_that_never_started_is_reported"),
        ("state.answer in (401, 403)", "state.answer == 401", "bell_faults::the_answer_to_the_last_ring_is_explained"),
    ),
]

OF_OPERATION: list[Mutant] = [*OF_OPERATORS, *OF_BELLS]
