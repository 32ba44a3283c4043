"""Books a scarce class for people at the moment its booking opens."""

import re

from prebooking.files import ROOT


def _read_version() -> str:
    """Return the version in pyproject.toml, which is beside the package in a deployment and inside it in a wheel."""
    try:
        text = (ROOT / "pyproject.toml").read_text("utf-8")
    except OSError:  # a copy of the package alone: it books all the same
        return "unknown"
    return str(re.findall(r'^version = "([^"]+)"', text, re.MULTILINE)[0])


__version__ = _read_version()
