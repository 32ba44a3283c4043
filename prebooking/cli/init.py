"""``prebooking init``: show which migrations the database lacks, and apply them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from prebooking.cli.environment import environment
from prebooking.cli.postgres import DatabaseAddress
from prebooking.cli.runner import report_errors
from prebooking.cli.terminal import counted, say, show_text
from prebooking.database.migrations import Migration, MigrationTarget, known_migrations, pending_migrations, script
from prebooking.errors import BadInput, CommandFailed

VARIABLE = "DATABASE_URL"
_NEXT = (
    "1. Deploy the function with the lines of your .env, which `prebooking secrets --write` makes: docs/deploy.md",
    "2. Let something call it every minute, and check all with `prebooking doctor`",
    "3. Add a venue with `prebooking venue add`, and a class with `prebooking add`",
)

Address = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help=f"postgresql://… from Connect in Supabase's dashboard. Without it: {VARIABLE}, or a prompt.",
        show_default=False,
    ),
]
AsSql = Annotated[
    bool,
    typer.Option(
        "--sql",
        help="Print the migrations for the SQL editor, and change nothing; with --database only the missing ones.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply them without asking.")]


def init(*, database: Address = None, as_sql: AsSql = False, yes: Yes = False) -> None:
    """Apply the migrations that the database lacks, each in a transaction. It asks first."""
    with report_errors():
        known = known_migrations()
        if as_sql and not database:
            show_text(script(known, known))
            return
        address = _address(database)
        with address.connect() as connection:
            target = MigrationTarget(connection)
            target.refuse_unfit()
            pending = pending_migrations(known, target.applied())
            target.refuse_leftovers(known, pending)
            if as_sql:
                show_text(script(known, pending) if pending else "-- nothing: the database is up to date\n")
            elif not pending:
                say(f"The database {address.name} is up to date: {counted(len(known), 'migration')}.")
            elif yes or _is_wanted(address, known, pending):
                _apply(target, known, pending)


def _address(given: str | None) -> DatabaseAddress:
    """Return the address of the option, of the variable, or of a prompt that does not show it."""
    value = given or environment().get(VARIABLE)
    if not value and sys.stdin.isatty():
        value = typer.prompt("The database's address (postgresql://…, not shown)", hide_input=True)
    if not value:
        raise BadInput(f"Which database? Set {VARIABLE}, or give --database.")
    return DatabaseAddress(value)


def _is_wanted(address: DatabaseAddress, known: Sequence[Migration], pending: Sequence[Migration]) -> bool:
    """Show what would be applied, and return whether the operator wants it."""
    say(
        f"The database {address.name} has {len(known) - len(pending)} of {counted(len(known), 'migration')}."
        f" {'This one' if len(pending) == 1 else 'These'} would be applied, each in a transaction:",
        *(f"  {migration.title}" for migration in pending),
    )
    try:
        wanted = typer.confirm(f"Apply {'it' if len(pending) == 1 else 'them'}?")
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise CommandFailed("Nothing was changed: confirm with --yes.") from None
    if not wanted:
        say("Nothing was changed.")
    return wanted


def _apply(target: MigrationTarget, known: Sequence[Migration], pending: Sequence[Migration]) -> None:
    for number, migration in enumerate(pending, 1):
        done = target.apply(known, migration, waiting=lambda: say("Another init is running: waiting for it."))
        say(f"{number} of {len(pending)}: {migration.title}{'' if done else ' (applied by another init)'}")
    say("The database is up to date. Next:", *_NEXT)
