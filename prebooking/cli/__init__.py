"""The command line (extra ``cli``). It is not deployed, and no deployed module imports it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable


def main() -> None:
    """Run the command line. Ctrl-C exits with 130, also during the imports, which take up to a second."""
    try:
        _replace_unprintable_characters()
        _load()()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as exc:  # while a help text is written; commands handle their own output
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python flushes again at exit
        sys.exit(f"Error: Standard output cannot be written to: {exc.strerror}.")


def _replace_unprintable_characters() -> None:
    """Make output streams write "?" for characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _load() -> Callable[[], object]:
    """Return the command line's app; exit with an install hint if the extra is missing."""
    try:
        from prebooking.cli.app import app  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as exc:
        sys.exit(
            f"Error: {exc.name} is missing: install the command line with `pip install 'prebooking-scheduler[cli]'`."
        )
    return app
