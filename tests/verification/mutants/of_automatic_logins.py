"""Mutants of automatic logins: when one may be made, how it is counted, and how it ends."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant, mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

_WINDOW = "logins::a_login_is_made_10_to_25_minutes_before_an_opening"
_NOT_MADE, _MADE = "logins::a_login_is_not_made", "logins::a_login_is_made"
_LIVES = "logins::a_session_that_lives_until_the_opening_is_used"
_WARNED = "logins::a_member_with_a_remembered_password_is_warned_only_if_there_is_no_login"
_ALL_OPENINGS = "logins::one_login_serves_all_openings_of_the_next_minutes"
_REPLACES = "logins::a_login_replaces_the_session_and_ends_the_lease"
_NEWER = "logins::a_wrong_password_is_removed_also_from_a_newer_session"
_MEANWHILE = "logins::a_login_that_the_member_made_meanwhile_is_kept"
_WRONG = "logins::a_wrong_password_is_removed_and_the_member_is_warned"
_REMEMBERS = "logins::a_stored_login_remembers_a_password_or_removes_it"
_FAILS = "automatic_logins::a_login_that_fails_is_not_tried_again_for_its_opening"
_OTHER_KIND = "automatic_logins::a_password_of_another_kind_is_not_sent_and_is_no_error"
_REFUSED = "automatic_logins::a_venue_that_refuses_logins_gets_no_other_for_an_hour"
_MANY = "automatic_logins::many_logins_are_spaced_out_and_none_is_counted_without_being_made"
_LOST = "automatic_logins::a_lost_call_of_the_database_sends_no_password_twice"
_SEALED_AGAIN = "automatic_logins::a_password_sealed_with_the_previous_key_is_sealed_again_when_it_is_used"

OF_THE_DECISION = mutants(
    (MIGRATIONS + "000023_operator_cost.sql", MIGRATIONS + "000005_sessions.sql"),
    *noticed_by(
        _WINDOW,
        ("between t + interval '10 minutes' and t", "between t and t"),
        ("and t + interval '25 minutes')", "and t + interval '26 minutes')"),
    ),
    ("    max(p.available_at) filter (", "    min(p.available_at) filter (", _ALL_OPENINGS),
    *noticed_by(
        _LIVES,
        ("s.refreshed_at > p_opens - interval '30 minutes'", "s.refreshed_at > p_opens - interval '31 minutes'"),
        ("  select s.expired_at is null and s.refreshed_at > p_opens", "  select s.refreshed_at > p_opens"),
        ("'1 minute'\n    and (p_keys is null or s.key_id is null or s.key_id = any (p_keys))\n", "'1 minute'\n"),
        ("    and not public.session_lives(s, t, p_opens, p_keys) and", "    and"),
    ),
    ("(p_keys is null or s.password_key_id = any (p_keys))", "true", "logins::a_login_needs_the_key_of_the_password"),
    *noticed_by(
        _NOT_MADE,
        ("p_opens, p_keys) and public.session_is_free(s, t)\n    and (s.login", "p_opens, p_keys)\n    and (s.login"),
        ("or s.login_tried_for < p_opens)", "or s.login_tried_for <= p_opens)"),
        ("or s.login_tried_for < p_opens)", "or s.login_tried_for <> p_opens)"),
        ("s.logins_that_day < 3 or", "s.logins_that_day < 4 or"),
        ("at time zone 'UTC')::date < (t at", "at time zone 'UTC')::date <= (t at"),
        (
            (
                "(public.login_may_be_made(s, t, n.login_for, p_keys) and (v.logins_stopped_until is null"
                " or v.logins_stopped_until <= t))"
            ),
            "public.login_may_be_made(s, t, n.login_for, p_keys)",
        ),
    ),
    ("s.login_tried_at at time zone 'UTC')::date <", "s.login_tried_at + interval '1 hour')::date <", _MADE),
    *noticed_by(
        "logins::a_refresh_is_due_after_25_minutes",
        ("  select s.password is null and s.expired_at is null and", "  select s.expired_at is null and"),
        ("constant interval    := '25 minutes'", "constant interval    := '26 minutes'"),
    ),
)

OF_THE_ATTEMPT = mutants(
    MIGRATIONS + "000005_sessions.sql",
    (
        (
            "where public.login_may_be_made(s, t, n.login_for, p_keys) and (v.logins_stopped_until is null"
            " or v.logins_stopped_until <= t)"
        ),
        "where public.login_may_be_made(s, t, n.login_for, p_keys)",
        _NOT_MADE,
    ),
    ("by n.login_for, s.user_email)", "by s.user_email)", "logins::logins_are_made_in_the_order_of_the_openings"),
    ("by d.position, d.login_for, s.venue_id,", "by d.login_for, s.venue_id,", "logins::the_venues_take_turns"),
    (
        " and s.refreshed_at <= t + interval '1 minute'",
        "",
        "logins::a_session_from_a_clock_that_was_ahead_does_not_prevent_a_login",
    ),
    ("key update of s skip locked)\n  update", "key update of s)\n  update", "logins::two_upkeeps_make_a_login_once"),
    ("login_tried_at = t, login_tried_for = f.login_for,", "login_tried_at = t,", _ALL_OPENINGS),
    *noticed_by(
        "logins::a_member_is_logged_in_three_times_a_day_at_most",
        ("      logins_that_day = 1 + case when", "      logins_that_day = 0 + case when"),
        ("        then s.logins_that_day else 0 end", "        then s.logins_that_day else s.logins_that_day end"),
    ),
    *noticed_by(
        "logins::a_repeated_claim_returns_its_logins_again",
        ("where s.leased_by = p_instance and s.leased_until > t and", "where s.leased_until > t and"),
        ("= p_instance and s.leased_until > t and s.login_tried_at", "= p_instance and s.login_tried_at"),
    ),
    (
        "and s.login_tried_at = s.leased_until - interval '30 seconds'\n",
        "\n",
        "logins::a_session_that_is_leased_for_a_refresh_is_no_claimed_login",
    ),
)

OF_ITS_END = mutants(
    MIGRATIONS + "000005_sessions.sql",
    *noticed_by(
        _REPLACES,
        ("version = version + 1, refreshed_at = t, expired_at = null,", "version = version + 1, refreshed_at = t,"),
        ("password = coalesce(p_password, password),", "password = p_password,"),
        ("    perform public.prebooking_logged_in(p_venue_id, v_email);\n  end if;", "    null;\n  end if;"),
    ),
    *noticed_by(
        _MEANWHILE,
        ("= p_venue_id and user_email = v_email and version = p_version;", "= p_venue_id and user_email = v_email;"),
        ("    and (version = p_version or (p_why = 'wrong_password' and password = p_password));", "    ;"),
    ),
    (
        "password_key_id = coalesce(p_password_key_id, password_key_id),",
        "password_key_id = password_key_id,",
        "logins::a_password_that_was_sealed_again_is_stored_with_the_login",
    ),
    ("t + interval '1 hour')", "t + interval '59 minutes')", "logins::a_stop_lasts_an_hour_and_leaves_the_password"),
    ("case when version <> p_version then leased_by end,", "leased_by,", "logins::a_login_that_failed_ends_its_lease"),
    *noticed_by(
        _NEWER,
        (
            (
                "  set leased_by = case when version <> p_version then leased_by end,\n"
                "      leased_until = case when version <> p_version then leased_until end,"
            ),
            "  set leased_by = null, leased_until = null,",
        ),
        (" or (p_why = 'wrong_password' and password = p_password));", ");"),
        ("p_why = 'wrong_password' and version = p_version and", "p_why = 'wrong_password' and"),
    ),
    ("and refreshed_at <= t - interval '30 minutes' then", "then", "logins::a_wrong_password_ends_only_a_dead_session"),
    *noticed_by(
        _WRONG,
        ("password = case when p_why <> 'wrong_password' then password end", "password = password"),
        ("  if p_why = 'wrong_password' then\n", "  if false then\n"),
    ),
    *noticed_by(
        _REMEMBERS,
        (
            "password = excluded.password, password_key_id = excluded.password_key_id,",
            (
                "password = coalesce(excluded.password, s.password),"
                " password_key_id = coalesce(excluded.password_key_id, s.password_key_id),"
            ),
        ),
        ("lateral (values (s.key_id), (s.password_key_id)) k (id)", "lateral (values (s.key_id)) k (id)"),
    ),
)

OF_LOGIN_WARNINGS = mutants(
    MIGRATIONS + "000005_sessions.sql",
    *noticed_by(
        _WARNED,
        ("when public.session_lives(s, t, p.available_at, p_keys) or not", "when not"),
        ("p.available_at, p_keys) or not public.session_is_free(s, t) then null", "p.available_at, p_keys) then null"),
        ("when t <= p.available_at - interval '10 minutes'\n", "when true\n"),
        (
            "          and public.login_may_be_made(s, p.available_at - interval '10 minutes', p.available_at, p_keys)",
            "",
        ),
        ("public.login_may_be_made(s, p.available_at - interval '10 minutes',", "public.login_may_be_made(s, t,"),
    ),
    (
        (
            "          and (v.logins_stopped_until is null or v.logins_stopped_until <= p.available_at"
            " - interval '10 minutes')\n"
        ),
        "",
        "logins::a_stop_that_ends_too_late_is_warned_about",
    ),
    (
        "'^(no_login|other_key|login_failed):'",
        "'^(no_login|other_key):'",
        "logins::a_warning_about_a_failed_login_ends_with_the_next_one",
    ),
    ("'^(bad_data|wrong_password):'", "'^(bad_data):'", _WRONG),
    ("if not v_remembered", "if true", "logins::a_refused_session_with_a_remembered_password_ends_without_a_warning"),
)

OF_THE_LIST = mutants(
    (MIGRATIONS + "000023_operator_cost.sql", MIGRATIONS + "000006_operator.sql"),
    (
        "when s.password is null and (s.expired_at is not null",
        "when (s.expired_at is not null",
        "logins::the_list_says_log_in_again_only_where_nothing_else_will_do_it",
    ),
    ("s.password is not null,", "false,", "logins::a_list_of_logins_shows_whether_a_password_is_remembered"),
)

OF_THE_PART = mutants(
    "prebooking/upkeep/automatic_logins.py",
    (
        "new = [one for one in logins if _key(one) not in self._begun]",
        "new = logins",
        "automatic_logins::a_login_whose_end_is_not_stored_is_not_made_again",
    ),
    *noticed_by(
        _MANY,
        ("until.before(REFRESH_TIME + AT_ONCE * APART)", "until"),
        ("                    await self._clock.sleep(APART)\n", ""),
    ),
    *noticed_by(
        _REFUSED,
        ("        if one.venue.id in self._stopped:", "        if False:"),
        ("            self._stopped.add(one.venue.id)\n", "            pass\n"),
    ),
    (") - WRITE_TIME", ") + WRITE_TIME", "automatic_logins::a_login_without_an_answer_in_time_ends_before_the_guard"),
    ("(SealBroken, BadBookingData):", "BadBookingData:", "automatic_logins::a_copied_password_is_not_sent"),
    ('kept["username"]', "one.user_email", "automatic_logins::a_login_uses_the_address_as_it_was_typed"),
    ("member=one.user_email, purpose=Purpose.PASSWORD\n        )", "member=one.user_email\n        )", _LOST),
    *noticed_by(
        _FAILS,
        ("        if why is LoginRefusal.BLOCKED:\n", "        if False:\n"),
        ('self._logins.end(one, _ENDS.get(why, "failed")', 'self._logins.end(one, "failed"'),
    ),
    *noticed_by(
        _OTHER_KIND,
        ("if not isinstance(kept, dict) or not", "if not"),
        ("kept, dict) or not all(isinstance(kept.get(name), str)", "kept, dict) or not all(name in kept"),
    ),
    ("        if one.password_key_id == self._seal.key_ids[0]:\n", "        if True:\n", _SEALED_AGAIN),
    (
        "        if one.password_key_id == self._seal.key_ids[0]:\n",
        "        if False:\n",
        "automatic_logins::a_password_sealed_with_the_current_key_is_left",
    ),
    (
        "        except Exception as exc:",
        "        except ValueError as exc:",
        "automatic_logins::an_unexpected_error_ends_no_other_login",
    ),
)

OF_REMEMBERING = [
    *mutants(
        "prebooking/cli/login.py",
        *noticed_by(
            "cli_first_class::a_login_without_remember_removes_a_remembered_password",
            ("password=password if remember else None", "password=password"),
            ("forgets = not remember and await _is_remembered(database, venue, who)", "forgets = False"),
        ),
        (
            "if remember and sealed_size(_credentials(who, password)) > SEALED_LIMIT:",
            "if False:",
            "cli_first_class::a_password_that_is_too_long_to_be_remembered_is_not_tried",
        ),
        (
            "member=who, purpose=Purpose.PASSWORD)",
            "member=who)",
            "cli_first_class::a_remembered_password_is_stored_sealed_and_the_answer_explains_how_to_undo_it",
        ),
    ),
    *mutants(
        "prebooking/bookers/aimharder/site.py",
        *noticed_by(
            "unit/aimharder_site::a_failed_login_has_one_message_and_one_cause",
            ('is_no = auth.get("authOK") is not None and not', "is_no = not"),
            ("LoginRefusal.WRONG_PASSWORD if is_no else LoginRefusal.UNREADABLE", "LoginRefusal.WRONG_PASSWORD"),
            ('if "ATTEMPTS" in str(auth.get("error")).upper():', "if False:"),
        ),
    ),
    *mutants(
        "prebooking/cli/doctor/venues.py",
        *noticed_by(
            "cli_doctor::a_remembered_login_that_is_over_is_no_fault",
            ("        if known.remembered and (known.expired_at or visit.is_over):\n", "        if False:\n"),
            ("known.remembered and (known.expired_at or visit.is_over):", "known.remembered and known.expired_at:"),
        ),
    ),
]

_OF_RACES = [
    Mutant(
        MIGRATIONS + "000005_sessions.sql",
        before="    where public.login_may_be_made(s, t, d.login_for, p_keys)\n",
        after="",
        tests=("logins::two_upkeeps_make_a_login_once",),
        unseen="a login that is claimed between the snapshot and the lock: no test can stop the statement there",
    ),
    Mutant(
        MIGRATIONS + "000005_sessions.sql",
        before="    where public.session_is_old(s, t, p_age_ms * interval '1 millisecond', p_keys)\n",
        after="",
        tests=("sessions",),
        unseen="a session that is leased between the snapshot and the lock: no test can stop the statement there",
    ),
]

OF_AUTOMATIC_LOGINS: list[Mutant] = [
    *_OF_RACES,
    *OF_THE_DECISION,
    *OF_THE_ATTEMPT,
    *OF_ITS_END,
    *OF_LOGIN_WARNINGS,
    *OF_THE_LIST,
    *OF_THE_PART,
    *OF_REMEMBERING,
]
