"""The operator's commands (extra ``cli``). Nothing here is deployed, and nothing deployed imports it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable


def main() -> None:
    """Run what was typed; Ctrl-C ends it with 130, also while it is being loaded, which takes up to a second."""
    try:
        _show_what_the_terminal_cannot()
        _load()()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as exc:  # of a help text: what commands answer is handled where it is written
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or else Python tries once more at its end
        sys.exit(f"Error: Standard output cannot be written to: {exc.strerror}.")


def _show_what_the_terminal_cannot() -> None:
    """Let a terminal without Unicode show "?" for what it does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _load() -> Callable[[], object]:
    """Return the command; without the extra, say how to get it."""
    try:
        from prebooking.cli.app import app  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as exc:
        sys.exit(f"Error: {exc.name} is missing: install the command line with `pip install '.[cli]'`.")
    return app
