"""Lints the database: its checks, a planted fault per check, and what unprivileged roles may do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

import psycopg

from prebooking.local import rest
from prebooking.local.keys import Keys
from prebooking.local.postgres import LocalPostgres, apply_migrations
from tests.support.database import Connection, Database
from tests.verification.linter import CHECKS, LintCheck
from tests.verification.part import Part, Result, Share

UNPRIVILEGED = ["anon", "authenticated"]

_TABLES = """
select oid::regclass::text from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S') order by 1
"""
_FUNCTIONS = """
select format(case prokind when 'p' then 'call %s(%s)' else 'select %s(%s)' end, oid::regproc, (
         select string_agg('null::' || format_type(type, null), ', ') from unnest(proargtypes) as _(type))),
       proname::text, coalesce(proargnames, '{}')
from pg_proc where pronamespace = 'public'::regnamespace order by 1
"""
_STATEMENTS = ["select * from {}", "insert into {} default values", "delete from {}", "truncate {}", "lock table {}"]


@contextmanager
def migrated_database() -> Iterator[Database]:
    """Create a database with all migrations, on its own server."""
    with LocalPostgres() as server:
        apply_migrations(server.create_database("linted"))
        with closing(Database(server, "linted")) as database:
            yield database


def findings(connection: Connection, check: LintCheck) -> list[str]:
    """Return what the check finds, one line per finding."""
    rows = connection.execute(check.query).fetchall()
    if check.within:
        rows = [(f"{name}: {finding}",) for name, text in rows for finding in check.within(text)]
    return [f"{check.name}: {finding}" for (finding,) in rows]


def finds_its_fault(database: Database, check: LintCheck) -> bool:
    """Return whether the check finds the fault that is planted for it, and roll back the fault."""
    connection = database.superuser()  # some faults are changes of the catalog itself
    with connection.transaction(force_rollback=True):
        before = findings(connection, check)
        connection.execute(check.fault)
        return len(findings(connection, check)) > len(before)


def statements(database: Database) -> list[str]:
    """Return every statement with which a role could use a table or call a function."""
    tables = [table for (table,) in database.connection.execute(_TABLES).fetchall()]
    calls = [call for call, *_ in database.connection.execute(_FUNCTIONS).fetchall()]
    return [statement.format(table) for table in tables for statement in _STATEMENTS] + calls


def allowed_statements(database: Database, role: str, tried: Iterable[str]) -> list[str]:
    """Return the statements that were not refused because the role has no privilege."""
    connection, allowed = database.connect(role), list[str]()
    for statement in tried:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            continue
        except psycopg.Error as exc:
            allowed.append(f"{role}, {statement}: refused only with {exc.sqlstate}")
        else:
            allowed.append(f"{role}, {statement}")
    return allowed


def allowed_calls(database: Database) -> tuple[int, list[str]]:
    """Call every function with public keys and with none; return the number of calls, and those not refused."""
    keys, allowed, calls = Keys(), list[str](), 0
    tokens = {"publishable": keys.publishable, "anon": keys.sign(role="anon"), "none": "", "user": _user(keys)}
    connection = psycopg.connect(database.dsn_of("authenticator"), autocommit=True)
    with closing(connection):
        for _, name, arguments in database.connection.execute(_FUNCTIONS).fetchall():
            body = json.dumps(dict.fromkeys(arguments)).encode()
            for kind, token in tokens.items():
                calls += 1
                answer = rest.call(connection, keys=keys, function=name, headers={"apikey": token}, body=body)
                if answer.status not in (401, 403, 404):  # 404: a trigger function is not served
                    allowed.append(f"{name} with the key {kind}: HTTP {answer.status}")
    return calls, allowed


def _user(keys: Keys) -> str:
    return keys.sign(role="authenticated", sub="a-user")


def _run(share: Share) -> Iterator[Result]:
    with migrated_database() as database:
        connection = database.connection
        found = [finding for check in CHECKS for finding in findings(connection, check)]
        yield Result("checks of Supabase's linter and of ours", len(CHECKS), found)
        missed = [check.name for check in CHECKS if not finds_its_fault(database, check)]
        yield Result("faults planted in the schema, and found", len(CHECKS), missed)
        every_statement = statements(database)
        allowed = [one for role in UNPRIVILEGED for one in allowed_statements(database, role, every_statement)]
        yield Result("statements as anon and authenticated", len(every_statement) * len(UNPRIVILEGED), allowed)
        yield Result("calls with public keys", *allowed_calls(database))


PART = Part("the database lint", _run)
