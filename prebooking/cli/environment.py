"""Where the command line finds its settings: the environment, and a ``.env`` in this folder for what that lacks."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from prebooking.cli.terminal import Impossible


def environment() -> dict[str, str]:
    """Return what is set; a blank variable counts as absent, and the file's values are taken as they are written.

    Raises:
        Impossible: there is a file, and it cannot be read.

    """
    return _written() | {name: value for name, value in os.environ.items() if value.strip()}


def _written() -> dict[str, str]:
    try:
        file = dotenv_values(
            Path.cwd() / ".env", interpolate=False, encoding="utf-8-sig"
        )  # some editors put a mark first
    except UnicodeError:
        raise Impossible("The .env in this folder is not in UTF-8: save it as that, or delete it.") from None
    except OSError:
        raise Impossible("The .env in this folder may not be read: give yourself the right to, or delete it.") from None
    return {name: value for name, value in file.items() if value is not None}
