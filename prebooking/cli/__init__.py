"""The operator's commands (extra ``cli``). Nothing here is deployed, and nothing deployed imports it."""

from __future__ import annotations

import sys
from collections.abc import Callable


def main() -> None:
    """Run what was typed; Ctrl-C ends it with 130, also while it is being loaded, which takes up to a second."""
    try:
        _load()()
    except KeyboardInterrupt:
        sys.exit(130)


def _load() -> Callable[[], object]:
    """Return the command; without the extra, say how to get it."""
    try:
        from prebooking.cli.app import app  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as exc:
        sys.exit(f"Error: {exc.name} is missing: install the command line with `pip install '.[cli]'`.")
    return app
