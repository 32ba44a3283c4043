"""``prebooking check-webhook``: check that a booking endpoint keeps the contract, with real bookings."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from prebooking.addresses import web_address
from prebooking.cli.conformance.client import EndpointClient
from prebooking.cli.conformance.rules import RULES
from prebooking.cli.conformance.run import OPEN, Conformance, check_endpoint
from prebooking.cli.environment import environment
from prebooking.cli.options import AsJson
from prebooking.cli.runner import FAILED, report_errors, run_command
from prebooking.cli.terminal import counted, say, show_json, show_table
from prebooking.errors import BadInput, SettingsError
from prebooking.http import isolated_client

PLACES = 8  # the check has at most this number of places of the open class at a time


def check_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="The endpoint's address.", show_default=False)],
    *,
    class_id: Annotated[
        str | None, typer.Option(OPEN, metavar="ID", help=f"An open class with {PLACES} free places.")
    ] = None,
    full_class: Annotated[str | None, typer.Option(metavar="ID", help="A class that is full.")] = None,
    waiting_class: Annotated[str | None, typer.Option(metavar="ID", help="A full class with a waiting list.")] = None,
    early_class: Annotated[str | None, typer.Option(metavar="ID", help="A class that is not open yet.")] = None,
    last_place_class: Annotated[str | None, typer.Option(metavar="ID", help="A class with one free place.")] = None,
    data: Annotated[str, typer.Option(metavar="JSON", help="More fields of booking_data, beside class_id.")] = "{}",
    prefix: Annotated[
        str | None,
        typer.Option(help="Members are PREFIX1@example.com and so on; by default new ones.", show_default=False),
    ] = None,
    idempotent: Annotated[
        bool, typer.Option("--idempotent", help="The venue is set to idempotent: the question is not needed.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for each answer.")] = 8.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Book without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that a booking endpoint keeps the contract, with real bookings that are given back.

    The secret is read from BOOKING_WEBHOOK_SECRET.
    """
    named = (class_id, full_class, waiting_class, early_class, last_place_class)
    options = (OPEN, "--full-class", "--waiting-class", "--early-class", "--last-place-class")
    classes = {option: value for option, value in zip(options, named, strict=True) if value}
    who = prefix or f"prebooking-check-{token_hex(3)}-"
    with report_errors():
        fields, secret = _read(url, data), _secret()
        _announce(url, classes, who, yes=yes, as_json=as_json)
    run_command(
        _check(url, secret, classes, prefix=who, data=fields, timeout=timeout, idempotent=idempotent, as_json=as_json)
    )


def _read(url: str, data: str) -> dict[str, Any]:
    """Return the fields of ``--data``. Raises BadInput if these or the URL cannot be read."""
    try:
        web_address(url)
    except ValueError as exc:
        raise BadInput(f"The address {exc}.") from None
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadInput("""--data is not a JSON object, such as '{"room": 2}'.""")
    return fields


def _secret() -> str:
    secret = environment().get("BOOKING_WEBHOOK_SECRET", "").strip()
    if not secret:
        raise SettingsError({"BOOKING_WEBHOOK_SECRET": "is missing: set it to the endpoint's secret"})
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise SettingsError({"BOOKING_WEBHOOK_SECRET": "has characters that are not allowed in a header"})
    return secret


def _announce(url: str, classes: dict[str, str], prefix: str, *, yes: bool, as_json: bool) -> None:
    """Print what will be booked, and ask. Raises BadInput if JSON is wanted without --yes."""
    host = urlsplit(url).hostname
    if not classes:
        message = f"Nothing is booked, because no class is named: only a part of the contract is checked at {host}."
    else:
        message = (
            f"This makes real bookings at {host}, of {', '.join(classes.values())}, for made-up members such as"
            f" {prefix}1@example.com, and gives them back at the end."
        )
    if as_json and classes and not yes:
        raise BadInput("With --json add --yes: it makes real bookings.")
    if not as_json:
        say(message)
    if classes and not yes:
        typer.confirm("Go on?", abort=True, err=True)


async def _check(
    url: str,
    secret: str,
    classes: dict[str, str],
    *,
    prefix: str,
    data: dict[str, Any],
    timeout: float,  # noqa: ASYNC109 - of each request
    idempotent: bool,
    as_json: bool,
) -> None:
    async with isolated_client() as client:
        endpoint = EndpointClient(client, url, secret, prefix, data, timeout, idempotent)
        result = await check_endpoint(endpoint, classes)
    if as_json:
        left = [{"prebooking_id": str(row.id), "member": row.user_email} for row in result.left]
        show_json({"kept": result.verdicts.kept(), "checks": result.verdicts.as_json(), "left": left})
    else:
        _show(result)
    if not result.verdicts.kept():
        raise typer.Exit(FAILED)


def _show(result: Conformance) -> None:
    found = result.verdicts.as_json()
    rows = [(one["check"], one["result"].replace("_", " "), one["seen"], one["contract"]) for one in found]
    show_table(("Check", "Result", "Seen", "Contract"), rows, shrink={"Contract": 30, "Seen": 20, "Check": 12})
    say(*(f"{one['check']}: {one['cure']}" for one in found if one["cure"]))
    for row in result.left:
        say(f"It may still be booked: {row.user_email}, class {row.booking_data['class_id']}, prebooking {row.id}.")
    kept = sum(one["result"] == "holds" for one in found)
    missing = sum(one["required"] and one["result"] == "not_tried" for one in found)
    end = f"; {counted(missing, 'required one')} could not be tried" if missing else ""
    say(f"{kept} of {len(RULES)} checks hold{end}.")
