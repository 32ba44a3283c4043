"""Mutants of members' logins, and of what reads foreign text, settings and the database's answers."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

OF_LOGINS_AT_BOXES = [
    *mutants(
        "prebooking/bookers/aimharder/sessions.py",
        (
            "        async with self._locks[member]:\n",
            "        if True:\n",
            "aimharder_logins::an_address_in_another_case_is_the_same_member",
        ),
        ('lease.state != "busy"', "True", "aimharder_logins::a_run_waits_for_a_login_that_another_run_is_refreshing"),
        (
            "or pause is None or until.remaining() <= pause",
            "or pause is None",
            "aimharder_logins::a_run_waits_for_a_refresh_of_another_run_until_its_guard",
        ),
        (
            "if member in self._unanswered or until.remaining() < REFRESH_TIME:",
            "if until.remaining() < REFRESH_TIME:",
            "aimharder_logins::a_token_whose_refresh_has_no_answer_is_not_sent_again_and_ends_no_login",
        ),
        (
            "timeout=until.remaining() - WRITE_TIME",
            "timeout=until.remaining()",
            "session_keeper::a_refresh_that_is_not_answered_leaves_time_for_the_warning",
        ),
        *noticed_by(
            "aimharder_logins::a_login_made_during_a_refresh_of_the_old_one_is_used",
            (
                "if await self._sessions.warn(self._venue.id, member, why, version=held.version, within=WRITE_TIME):",
                "if True:",
            ),
            ("return why\n        return await self._use_newer(member, held)", "return why\n        return why"),
        ),
        (
            "        if lease.session is None:\n",
            "        if False:\n",
            "aimharder_logins::a_login_removed_during_its_refresh_fails_no_row_and_no_run",
        ),
        (
            "except (KeyError, TypeError, ValueError):",
            "except (KeyError, TypeError):",
            "session_keeper::a_session_that_cannot_be_opened_is_warned_about_and_left",
        ),
    ),
    Mutant(
        "prebooking/bookers/aimharder/sessions.py",
        "stored.version > held.version",
        "stored.version >= held.version",
        tests=("aimharder_logins",),
        unseen="one version is one login: it would only be opened again",
    ),
    *mutants(
        "prebooking/bookers/aimharder/booker.py",
        *noticed_by(
            "aimharder_logins::the_two_requests_of_a_confirmation_share_one_time_limit",
            ("family_id=family_id, timeout=timeout / 2", "family_id=family_id, timeout=timeout"),
            ("self._site.whoami(session, timeout=timeout / 2)", "self._site.whoami(session, timeout=timeout)"),
        ),
        *noticed_by(
            "unit/aimharder_site::a_status_counts_before_the_body",
            ("in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):", "in (httpx.codes.FORBIDDEN,):"),
            (
                "reply.status >= httpx.codes.INTERNAL_SERVER_ERROR or reply.status == httpx.codes.REQUEST_TIMEOUT",
                "reply.status > httpx.codes.INTERNAL_SERVER_ERROR",
            ),
        ),
    ),
    *mutants(
        "prebooking/bookers/aimharder/site.py",
        *noticed_by(
            "unit/aimharder_site::a_whoami_without_a_member_is_an_expired_session",
            ('if not is_set(body.get("logout")) and _names', "if _names"),
            ("isinstance(v, str | int) and is_set(v)", "is_set(v)"),
        ),
    ),
]

OF_KEPT_LOGINS = [
    *mutants(
        ("prebooking/database/sessions.py", "prebooking/bookers/aimharder/seal.py"),
        ("sealed, validate=True)", "sealed)", "unit/sealing::invalid_text_does_not_open_and_is_not_shown"),
    ),
    *mutants(
        "prebooking/upkeep/logins.py",
        ("AT_ONCE = 10 ", "AT_ONCE = 100 ", "session_keeper::refreshes_are_spaced_out_and_end_within_the_guard"),
        (
            "        except Exception as exc:",
            "        except ValueError as exc:",
            "session_keeper::an_unexpected_error_ends_no_other_login",
        ),
    ),
    *mutants(
        MIGRATIONS + "000005_sessions.sql",
        ("+ interval '1 minute' or warning", "or warning", "sessions::a_session_that_is_over_warns_and_books_no_more"),
        *noticed_by(
            "sessions::a_new_login_skips_locked_rows",
            ("\n      and warning is distinct from p_warning\n", "\n"),
            ("and retry_after > public.prebooking_clock() and not", "and not"),
            ("early_since is null\n    for no key update skip locked", "early_since is null\n    for no key update"),
        ),
        ("= t, leased_by = null, leased_until = null", "= t", "sessions::a_session_is_leased_to_one_run_at_a_time"),
        ("= null, setbacks = 0", "= null", "sessions::a_new_login_ends_the_back_off_of_its_rows"),
        *noticed_by(
            "sessions::a_warning_is_not_written_twice",
            (" and w.warning is distinct from w.old and case", " and case"),
            ("coalesce(w.old, '') !~ '^(bad_data|wrong_password):'", "true"),
        ),
        ("coalesce(expired_at, t) else", "t else", "sessions::the_first_report_that_a_login_is_over_sets_the_time"),
        *noticed_by(
            "sessions::sessions_are_leased_in_opening_order",
            ("w.failed_at order by n.opens, s.user_email)", "w.failed_at order by s.user_email)"),
            ("= t + interval '30 seconds'\n    from free", "= t + interval '299 seconds'\n    from free"),
            ("order by l.opens, l.venue_id, l.user_email), '[]')", "), '[]')"),
        ),
        *noticed_by(
            "sessions::sessions_that_fail_every_time_delay_no_other",
            ("order by d.failed_at nulls first, d.position", "order by d.position"),
            ("order by d.failed_at nulls first, d.position, d.opens", "order by d.failed_at nulls first, d.opens"),
        ),
        (
            " or s.refreshed_at > t + interval '1 minute')",
            ")",
            "sessions::a_session_from_a_clock_that_was_ahead_is_refreshed",
        ),
        ("for no key update of s skip locked),", "for no key update of s),", "sessions::a_locked_login_is_not_leased"),
    ),
    Mutant(
        MIGRATIONS + "000005_sessions.sql",
        "    where p.status = 'pending' and p.claimed_by is null and w.warning is distinct",
        "    where w.warning is distinct",
        tests=("sessions",),
        unseen="a row that is claimed between the snapshot and the lock: no test can stop the statement there",
    ),
]

OF_READERS = [
    *mutants(
        "prebooking/foreign.py",
        ("NAME_LIMIT = 100", "NAME_LIMIT = 101", "unit/foreign::a_name_is_read_without_invisible_characters"),
        ("and same < ends else", "and same <= ends else", "unit/foreign::a_class_time_is_read_in_every_usual_spelling"),
        ("line[:_LINE].partition", "line.partition", "unit/foreign::no_text_makes_a_reader_slow"),
        ('re.split(r"[/?#:]"', 're.split(r"[/?:]"', "unit/foreign::a_host_is_read_from_an_address"),
    ),
    *mutants(
        "prebooking/content_coding.py",
        *noticed_by(
            "unit/content_coding::an_undecodable_body_is_refused_without_its_text",
            ("MOST_CODINGS = 3", "MOST_CODINGS = 4"),
            ("MOST_MEMBERS = 16", "MOST_MEMBERS = 17"),
        ),
        ("_GZIP, limit - len(whole)", "_GZIP, limit", "unit/content_coding::the_memory_for_many_members_is_limited"),
    ),
    *mutants(
        "prebooking/settings.py",
        ("value.strip(), validate=True)", "value.strip())", "unit/settings::a_session_key_has_32_bytes"),
        (":= value.strip()) > 1", ":= value.strip()) > 2", "unit/settings::quotes_round_nothing_are_refused_by_name"),
    ),
    *mutants(
        "prebooking/database/client.py",
        ("ValueError, RecursionError", "ValueError", "isolated_supabase::an_unreadable_refusal_still_has_its_status"),
        ('"apiKey": key, ', "", "isolated_supabase_sharing::a_call_is_what_a_client_of_supabase_sends"),
    ),
    Mutant(
        "prebooking/database/client.py",
        "retry_enabled=False",
        "retry_enabled=True",
        tests=("isolated_supabase",),
        unseen="the library asks again for reads only, and every call here is a POST",
    ),
]

OF_LOGINS: list[Mutant] = [*OF_LOGINS_AT_BOXES, *OF_KEPT_LOGINS, *OF_READERS]
