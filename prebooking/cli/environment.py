"""The settings of the command line: the environment, then a ``.env`` file in the current folder.

An address and the secrets that are sent to it must come from the same source. Otherwise a foreign ``.env`` file could
send a key from the environment to an attacker's address.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from prebooking.errors import CommandFailed, SettingsError

_KEY_NAMES = ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY")  # the second is used if the first is missing
_ONE_SOURCE = (
    (
        "SUPABASE_URL",
        *_KEY_NAMES,
        "SESSION_ENCRYPTION_KEY",
        "SESSION_ENCRYPTION_KEY_PREVIOUS",
        "AIMHARDER_TWIN_URL",
    ),
    ("BOOKING_WEBHOOK_URL", "BOOKING_WEBHOOK_SECRET"),
    ("NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET"),
    ("NTFY_URL", "NTFY_TOKEN"),
)


def environment() -> dict[str, str]:
    """Return all variables that are set; blank ones count as missing, and the file's values are not expanded.

    Raises:
        CommandFailed: the file exists and cannot be read.
        SettingsError: an address and its secret come from different sources.

    """
    process = {name: value for name, value in os.environ.items() if value.strip()}
    file = {name: value for name, value in _read_file().items() if value.strip()}
    if any(name in process for name in _KEY_NAMES):
        file = {name: value for name, value in file.items() if name not in _KEY_NAMES}
    if mixed := dict(_find_mixed_sources(process, file)):
        raise SettingsError(mixed)
    return file | process


def _find_mixed_sources(process: Mapping[str, str], file: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield one message per variable of the file whose group is set in the environment."""
    for group in _ONE_SOURCE:
        in_process = [name for name in group if name in process]
        for name in group:
            if in_process and name in file and name not in process:
                yield name, f"is in the .env of this folder, {in_process[0]} in the environment: set both in one place"


def _read_file() -> dict[str, str]:
    try:
        # utf-8-sig, because some editors write a byte order mark.
        file = dotenv_values(Path.cwd() / ".env", interpolate=False, encoding="utf-8-sig")
    except UnicodeError:
        raise CommandFailed("The .env in this folder is not in UTF-8: save it as that, or delete it.") from None
    except OSError:
        raise CommandFailed(
            "The .env in this folder may not be read: give yourself the right to, or delete it."
        ) from None
    return {name: value for name, value in file.items() if value is not None}
