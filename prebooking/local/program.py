"""Runs one of the local programs; after Ctrl-C or on a full disk it ends with one sentence."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130  # the exit code after Ctrl-C


def run(module: str) -> int:
    """Import a module and run its ``main``; return its exit code. Ctrl-C also works during the import."""
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
    """End the process during the imports, when nothing has been started yet."""
    os.write(sys.stderr.fileno(), b"Stopped.\n")
    os._exit(INTERRUPTED)


def _interrupt_once(*_: object) -> NoReturn:
    """Raise KeyboardInterrupt, and ignore further Ctrl-C, so that the cleanup is not interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _discard_output() -> None:
    """Redirect the output to the null device, so that the interpreter does not fail when it flushes its buffers."""
    with open(os.devnull, "w") as nothing:  # noqa: PTH123 - os.devnull is a name, not a path of ours
        os.dup2(nothing.fileno(), sys.stdout.fileno())
