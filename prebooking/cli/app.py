"""The app ``prebooking``: its commands and the functions that run them."""

from __future__ import annotations

from typing import Annotated

import typer

import prebooking
from prebooking.cli import (
    absences,
    add,
    bell,
    check_webhook,
    classes,
    cron_job,
    doctor,
    give_back,
    init,
    logins,
    members,
    new_secrets,
    notify,
    prebookings,
    repeats,
    run,
    status,
    venues,
    version,
)

app = typer.Typer(
    name="prebooking",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help and errors, for any terminal, file or pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(venues.app, name="venue")
app.add_typer(bell.app, name="bell")
app.add_typer(cron_job.app, name="cron-job")
app.add_typer(logins.app, name="login")
app.add_typer(repeats.app, name="repeat")
app.add_typer(absences.app, name="absence")
app.add_typer(notify.app, name="notify")
app.command("logout")(members.logout)
app.command("forget")(members.forget)
app.command("classes")(classes.classes)
app.command("add")(add.add)
app.command("list")(prebookings.list_prebookings)
app.command("cancel")(prebookings.cancel)
app.command("give-back")(give_back.give_back_place)
app.command("skip")(absences.skip)
app.command("away")(absences.away)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
app.command("secrets")(new_secrets.secrets)
app.command("version")(version.version)
app.command("check-webhook")(check_webhook.check_webhook)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(prebooking.__version__)
        raise typer.Exit


@app.callback()
def _app_options(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Prebook classes, and operate the scheduler that books them."""
