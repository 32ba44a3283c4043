"""Runs one of the local programs, and ends it with one sentence when Ctrl-C or a full disk stops it."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130  # the exit code of a program that Ctrl-C has ended


def run(module: str) -> int:
    """Import a module and run its ``main``; return its exit code. The import takes a second: Ctrl-C may come then."""
    signal.signal(signal.SIGINT, _exit_at_once)
    main = importlib.import_module(module).main
    signal.signal(signal.SIGINT, _interrupt_once)
    try:
        code: int = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except OSError as exc:
        if exc.errno not in {errno.ENOSPC, errno.EPIPE}:
            raise
        _discard_output()
        if exc.errno == errno.ENOSPC:
            print(f"Stopped, because nothing more can be written to {exc.filename or 'the output'}.", file=sys.stderr)
        return 1
    return code


def _exit_at_once(*_: object) -> NoReturn:
    """End while modules are imported: nothing runs yet that would have to be stopped."""
    os.write(sys.stderr.fileno(), b"Stopped.\n")
    os._exit(INTERRUPTED)


def _interrupt_once(*_: object) -> NoReturn:
    """Let the first Ctrl-C end this program, and no further one disturb its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _discard_output() -> None:
    """Let nothing more be written, so that the interpreter does not complain of what is left in its buffers."""
    with open(os.devnull, "w") as nothing:  # noqa: PTH123 - os.devnull is a name, not a path of ours
        os.dup2(nothing.fileno(), sys.stdout.fileno())
