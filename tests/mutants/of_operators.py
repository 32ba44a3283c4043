"""Mutants of the operator's functions, of the rules of the tables, and of the bell."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, mutants
from tests.mutants.of_the_claim import MIGRATIONS

OF_OPERATORS = [
    *mutants(
        MIGRATIONS + "000001_prebookings.sql",
        (
            "pg_advisory_xact_lock(7302, hashtext(lower(new.user_email)) & 1023)",
            "pg_advisory_xact_lock(7302, 1)",
            "writing::nobody_who_adds_for_one_member_waits_for_another_member",
        ),
    ),
    Mutant(
        MIGRATIONS + "000001_prebookings.sql",
        "grant select, update on public.prebookings to service_role;",
        "grant select, update, delete on public.prebookings to service_role;",
        tests=("grants",),
        unseen="a later migration grants it too, for rows that are old (prebooking_prune)",
    ),
    *mutants(
        MIGRATIONS + "000005_operator.sql",
        (
            "perform pg_advisory_xact_lock(7301, 2);\n  select other.* into",
            "select other.* into",
            "operator_verdicts::two_edits_cannot_give_two_venues_the_same_box",
        ),
    ),
]

OF_BELLS = [
    *mutants(
        MIGRATIONS + "000006_bell.sql",
        ("|private|corp|", "|corp|", "bell_switch::refuses_any_other_address_to_whoever_writes_it"),
    ),
    *mutants(
        "prebooking/bell.py",
        (
            "[run.at for run in state.runs if run.at]",
            "[run.at for run in state.runs]",
            "bell_faults::a_run_that_never_started_is_said",
        ),
        ("state.answer in (401, 403)", "state.answer == 401", "bell_faults::the_answer_to_the_last_ring_is_explained"),
    ),
]

OF_OPERATION: list[Mutant] = [*OF_OPERATORS, *OF_BELLS]
