"""``prebooking secrets``: make the secrets of a deployment, and print them as lines of a ``.env``."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Annotated

import typer

from prebooking.cli.runner import report_errors
from prebooking.cli.terminal import say, show_text
from prebooking.errors import BadInput, CommandFailed

_FILE = ".env"
_BYTES = 32
_OWN = """\
# From Supabase's dashboard: Connect, and API keys. In Vercel and here.
SUPABASE_URL=
SUPABASE_SERVICE_ROLE_KEY=
# Halves the cold start of the function: in Vercel.
VERCEL_PYTHON_COMPILEALL=1
"""
_WRITTEN = (
    f"Written to {_FILE}. Put SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY into it, then paste its lines into Vercel."
)
_WRITTEN_ONE = f"Written to {_FILE}: paste its line into Vercel too."


def _hex() -> str:
    return token_hex(_BYTES)


def _base64() -> str:
    return b64encode(token_bytes(_BYTES)).decode()


@dataclass(frozen=True, slots=True)
class NewSecret:
    """How a secret is made, and where it belongs. An optional one needs an address too, so its line is a comment."""

    where: str
    make: Callable[[], str]
    optional: bool = False


SECRETS = {
    "CRON_SECRET": NewSecret("Who may call the function: in Vercel, and in the header of the trigger.", _hex),
    "SESSION_ENCRYPTION_KEY": NewSecret(
        "Encrypts members' logins, which are lost without it: in Vercel, and the same in your .env.", _base64
    ),
    "METRICS_SECRET": NewSecret("Who may read /api/metrics: in Vercel, and at your Prometheus server.", _hex),
    "STATUS_SECRET": NewSecret("Who may see the status page: in Vercel; the page asks for it.", _hex),
    "BOOKING_WEBHOOK_SECRET": NewSecret(
        "With BOOKING_WEBHOOK_URL, your own endpoint: in Vercel, and there.", _hex, optional=True
    ),
    "NOTIFY_WEBHOOK_SECRET": NewSecret(
        "With NOTIFY_WEBHOOK_URL, messages to your webhook: in Vercel, and there.",
        lambda: f"whsec_{_base64()}",
        optional=True,
    ),
}

Only = Annotated[
    str | None, typer.Option("--only", metavar="NAME", help="Make only this one, to replace it.", show_default=False)
]
Write = Annotated[
    bool, typer.Option("--write", help="Write them to a new .env in this folder, which only you can read.")
]


def secrets(*, only: Only = None, write: Write = False) -> None:
    """Make new secrets, as lines for a .env and for Vercel. They are stored only with --write."""
    with report_errors():
        if only and only not in SECRETS:
            raise BadInput(f"There is no secret {only}: it is one of {', '.join(SECRETS)}.")
        names = [only] if only else list(SECRETS)
        lines = "".join(_lines(name, in_use=name == only) for name in names)
        if write:
            _write(_OWN * (only is None) + lines)
            say(_WRITTEN_ONE if only else _WRITTEN)
        else:
            show_text(lines)


def _lines(name: str, *, in_use: bool) -> str:
    secret = SECRETS[name]
    return f"# {secret.where}\n{'# ' * (secret.optional and not in_use)}{name}={secret.make()}\n"


def _write(lines: str) -> None:
    """Write a new file for this user alone. Raises CommandFailed if there is one, and changes nothing."""
    try:
        with os.fdopen(os.open(Path.cwd() / _FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(lines)
    except FileExistsError:
        raise CommandFailed(
            f"There is a {_FILE} in this folder, which is not changed: print the lines without --write, and add what"
            " it lacks."
        ) from None
    except OSError as exc:
        raise CommandFailed(f"The {_FILE} cannot be written: {exc.strerror}.") from None
