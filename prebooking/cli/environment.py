"""Where the command line finds its settings: the environment, and a ``.env`` in this folder for what that lacks.

An address and the secrets that are sent there come from one of the two. Otherwise the ``.env`` of a folder that
somebody else has written could have a key from the environment sent to an address of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from prebooking.errors import CommandFailed, SettingsError

_KEY_NAMES = ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY")  # the second counts where the first is missing
_ONE_SOURCE = (
    (
        "SUPABASE_URL",
        *_KEY_NAMES,
        "SESSION_ENCRYPTION_KEY",
        "SESSION_ENCRYPTION_KEY_PREVIOUS",
        "AIMHARDER_TWIN_URL",
    ),
    ("BOOKING_WEBHOOK_URL", "BOOKING_WEBHOOK_SECRET"),
)


def environment() -> dict[str, str]:
    """Return what is set; a blank variable counts as absent, and the file's values are taken as they are written.

    Raises:
        CommandFailed: there is a file, and it cannot be read.
        SettingsError: an address and a secret that belong together come from different sources.

    """
    here = {name: value for name, value in os.environ.items() if value.strip()}
    file = {name: value for name, value in _file().items() if value.strip()}
    if any(name in here for name in _KEY_NAMES):
        file = {name: value for name, value in file.items() if name not in _KEY_NAMES}
    if mixed := dict(_mixed(here, file)):
        raise SettingsError(mixed)
    return file | here


def _mixed(here: Mapping[str, str], file: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a problem for each variable of the file whose companions are in the environment."""
    for group in _ONE_SOURCE:
        set_here = [name for name in group if name in here]
        for name in group:
            if set_here and name in file and name not in here:
                yield name, f"is in the .env of this folder, {set_here[0]} in the environment: set both in one place"


def _file() -> dict[str, str]:
    try:
        file = dotenv_values(
            Path.cwd() / ".env", interpolate=False, encoding="utf-8-sig"
        )  # some editors put a mark first
    except UnicodeError:
        raise CommandFailed("The .env in this folder is not in UTF-8: save it as that, or delete it.") from None
    except OSError:
        raise CommandFailed(
            "The .env in this folder may not be read: give yourself the right to, or delete it."
        ) from None
    return {name: value for name, value in file.items() if value is not None}
