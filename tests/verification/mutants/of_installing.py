"""Mutants of what an operator installs with: init, secrets and version."""

from __future__ import annotations

from tests.verification.mutants.mutant import mutants, noticed_by
from tests.verification.mutants.of_the_claim import MIGRATIONS

OF_INSTALLING = [
    *mutants(
        "prebooking/database/migrations.py",
        *noticed_by(
            "cli_init::a_database_that_does_not_fit_is_refused",
            ("if version not in versions]:", "if False]:"),
            ("    if list(applied) != versions[: len(applied)]:\n", "    if False:\n"),
            ("        if found:\n", "        if False:\n"),
        ),
        (
            "create (?:unique )?(table|index) ",
            "create (table) ",
            "cli_init::an_index_of_a_renamed_table_is_named_before_anything_is_applied",
        ),
        *noticed_by(
            "cli_init::another_role_and_another_server_are_refused",
            ("        if user != OWNER:\n", "        if False:\n"),
            ("        if roles < 3:", "        if False:"),
        ),
        *noticed_by(
            "cli_init::of_two_inits_the_second_waits_and_nothing_is_applied_twice",
            ("        with self._locked(waiting):\n", "        with self._connection.transaction():\n"),
            ("            if migration not in pending:\n", "            if False:\n"),
            ("                waiting()\n", ""),
        ),
        (
            "        with self._connection.transaction():\n",
            "        if True:\n",
            "cli_init::after_a_kill_the_next_init_continues",
        ),
        (
            "[migration.version, migration.name, [_statement(migration)]]",
            "[migration.version, migration.name, []]",
            "cli_init::it_says_what_it_would_do_and_applies_it_once",
        ),
        *noticed_by(
            "cli_init::the_script_for_the_sql_editor_works_once",
            ("  if applied <> '{{{before}}}' then\n", "  if false then\n"),
            ("  if current_user <> '{owner}' then\n", "  if false then\n"),
        ),
        (
            "known[: len(known) - len(pending)]",
            "known[: len(known)]",
            "cli_init::the_script_for_the_sql_editor_works_once",
        ),
    ),
    *mutants(
        "prebooking/cli/postgres.py",
        (
            ' or re.search(r"%(?![0-9a-fA-F]{2})", self._value)',
            "",
            "cli_init::an_address_that_cannot_be_read_is_not_shown",
        ),
        (
            '        if "YOUR-PASSWORD" in self._value:\n',
            "        if False:\n",
            "cli_init::the_dashboards_placeholder_is_named",
        ),
        (
            "CommandFailed(_explain(exc)) from None",
            "CommandFailed(str(exc)) from None",
            "cli_init::a_wrong_password_is_not_shown",
        ),
        ('else "require"', 'else "prefer"', "cli_init::a_password_goes_over_the_internet_encrypted"),
    ),
    *mutants(
        "prebooking/cli/init.py",
        (
            "elif yes or _is_wanted(address, known, pending):",
            "elif True:",
            "cli_init::without_an_answer_nothing_is_changed",
        ),
    ),
    *mutants(
        "prebooking/cli/new_secrets.py",
        (" | os.O_EXCL", "", "cli_secrets::an_env_file_is_never_overwritten"),
        ("0o600", "0o644", "cli_secrets::a_written_file_is_private_and_read_by_the_command_line"),
        (
            "'# ' * (secret.optional and not in_use)",
            "''",
            "cli_secrets::as_printed_they_need_no_more_than_the_database",
        ),
        ("(secret.optional and not in_use)", "secret.optional", "cli_secrets::one_of_them_can_be_made_alone"),
    ),
    *mutants(
        "prebooking/cli/version.py",
        *noticed_by(
            "cli_version::what_does_not_fit_is_named_with_its_cure",
            ("if found.migration and found.migration != newest:", "if False:"),
            ("if found.function and found.function != ours:", "if False:"),
            ("_parts(found.function) > _parts(ours)", "found.function > ours"),
        ),
        (
            "            if exc.code not in NOT_MIGRATED:\n",
            "            if True:\n",
            "cli_version::a_database_that_does_not_know_the_question_is_older",
        ),
    ),
    *mutants(
        "prebooking/database/upkeep.py",
        (
            '"p_version": __version__}',
            '"p_version": "1"}',
            "upkeep_invocation::nothing_due_is_one_call_of_the_database_and_none_of_a_venue",
        ),
    ),
    *mutants(
        MIGRATIONS + "000021_version.sql",
        (" for no key update skip locked);", ");", "cli_version::a_locked_heartbeat_gets_the_version_at_the_next_call"),
        (
            "  exception when undefined_table or insufficient_privilege then null;\n  end;\n  return",
            "  end;\n  return",
            "cli_version::what_is_unknown_is_no_complaint",
        ),
    ),
]
