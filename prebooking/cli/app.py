"""The command ``prebooking``: what can be typed, and who carries it out."""

from __future__ import annotations

from typing import Annotated

import typer

import prebooking
from prebooking.cli import add, bell, classes, doctor, logins, members, prebookings, run, status, venues

app = typer.Typer(
    name="prebooking",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help and plain errors: they fit into any terminal, file and pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(venues.app, name="venue")
app.add_typer(bell.app, name="bell")
app.add_typer(logins.app, name="login")
app.command("logout")(members.logout)
app.command("forget")(members.forget)
app.command("classes")(classes.classes)
app.command("add")(add.add)
app.command("list")(prebookings.list_prebookings)
app.command("cancel")(prebookings.cancel)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(prebooking.__version__)
        raise typer.Exit


@app.callback()
def _about(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Ask ahead for classes, and look after the scheduler that books them."""
