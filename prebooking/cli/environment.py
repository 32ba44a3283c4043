"""Where the command line finds its settings: the environment, and a ``.env`` in this folder for what that lacks."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values


def environment() -> dict[str, str]:
    """Return what is set; a blank variable counts as absent, and the file's values are taken as they are written."""
    file = dotenv_values(Path.cwd() / ".env", interpolate=False)
    written = {name: value for name, value in file.items() if value is not None}
    return written | {name: value for name, value in os.environ.items() if value.strip()}
