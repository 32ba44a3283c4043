"""The operator's commands (extra ``cli``). Nothing here is deployed, and nothing deployed imports it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run what was typed; without the extra, say how to get it."""
    try:
        from prebooking.cli.app import app  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as exc:
        sys.exit(f"Error: {exc.name} is missing: install the command line with `pip install '.[cli]'`.")
    app()
