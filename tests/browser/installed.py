"""Finds an installed Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_CHROMIUM = (
    "The tests of the operator's page are skipped: there is no Chromium. Install one (apt-get install chromium),"
    " or set CHROMIUM to the path of one."
)


def chromium(environment: Mapping[str, str]) -> str | None:
    """Return the path of an installed Chromium: that of the variable CHROMIUM, or the first one on the path."""
    if given := environment.get("CHROMIUM"):
        return given if Path(given).is_file() else None
    return next((path for name in NAMES if (path := shutil.which(name))), None)
