"""Runs a command, and reports every error in one line.

Exit codes: 0 success, 1 failed, 2 typed wrongly, 130 interrupted, 141 the reader of the output has ended.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from prebooking.cli.terminal import print_error
from prebooking.database.client import CERTIFICATE, NO_JSON, UNKNOWN_HOST, UNREADABLE
from prebooking.errors import (
    NOT_MIGRATED,
    BadInput,
    PrebookingError,
    SettingsError,
    StoreBusy,
    StoreError,
    StoreRefused,
)

FAILED, BAD_USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141

_MIGRATE = "The database is not migrated to this version: run `prebooking init`"
_KEY = "Supabase refuses the key: set SUPABASE_SERVICE_ROLE_KEY to a secret key of this project that is not disabled"
_ADDRESS = "There is no Supabase project at this address: set SUPABASE_URL to https://<project>.supabase.co"
_SOON = "The database is overloaded or restarting: try again in a minute, and look at status.supabase.com"
_SLOW = "The database does not answer in time: try again in a minute, and look at its load in Supabase's dashboard"
_CUT = "The database's answer was cut off or garbled: look at the network and at proxies, and try again"

# The cure per error code: an SQLSTATE, a code of PostgREST, an HTTP status, or the name of a transport error.
_CURES: dict[str, str] = {
    **dict.fromkeys(NOT_MIGRATED, _MIGRATE),
    UNREADABLE: "The database answered something this version cannot read: run `prebooking init`, and install the"
    " newest version here",
    **dict.fromkeys(("401", "403", "PGRST300", "PGRST301", "PGRST302", "PGRST303"), _KEY),
    "42501": "The key may not do this: set SUPABASE_SERVICE_ROLE_KEY to this project's secret key",
    "402": "Supabase has restricted the project, because a quota is used up or a bill is overdue: look at Usage and"
    " Billing in its dashboard",
    "540": "The project is paused: restore it in Supabase's dashboard",
    "404": _ADDRESS,
    UNKNOWN_HOST: "The host of SUPABASE_URL is not known: look for a mistake in it, whether the project still exists,"
    " and at the network",
    CERTIFICATE: "The certificate of SUPABASE_URL's host is not valid: look at the address, at this machine's clock and"
    " at proxies",
    **dict.fromkeys(
        ("301", "302", "303", "307", "308"), "SUPABASE_URL points to another address: set it to the project's own"
    ),
    NO_JSON: "What answers at SUPABASE_URL is not Supabase, perhaps a proxy or a login page: set it to"
    " https://<project>.supabase.co",
    **dict.fromkeys(
        ("406", "PGRST106"), "The schema public is not exposed: add it in Supabase's API settings, Exposed schemas"
    ),
    "25006": "The database is read-only, perhaps because its disk is full: look at Database in Supabase's dashboard",
    "53100": "The database's disk is full: enlarge it in Supabase's dashboard",
    "429": "The database is asked too often: try again in a minute",
    **dict.fromkeys(
        ("500", "502", "503", "520", "521", "522", "523", "524", "530", "53000", "53200", "53300", "57P01", "57P02"),
        _SOON,
    ),
    **dict.fromkeys(("57P03", "08000", "08006", "PGRST000", "PGRST001", "PGRST002", "PGRST003"), _SOON),
    **dict.fromkeys(("504", "544", "57014", "TimeoutError", "ReadTimeout", "ConnectTimeout"), _SLOW),
    **dict.fromkeys(("ReadError", "RemoteProtocolError", "DecodingError", "AnswerTooLong"), _CUT),
}


def run_command(command: Coroutine[Any, Any, None]) -> None:
    """Run a command; an exception becomes a message and an exit code."""
    with report_errors():
        asyncio.run(command)


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn every exception into a message on standard error and an exit code, never a traceback."""
    try:
        yield
    except typer.Exit:
        raise
    except typer.Abort:  # Ctrl-C at a prompt
        raise typer.Exit(INTERRUPTED) from None
    except PrebookingError as exc:
        for sentence in sentences(exc):
            print_error(sentence)
        raise typer.Exit(BAD_USAGE if isinstance(exc, BadInput) else FAILED) from None
    except BrokenPipeError:  # the program that reads the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python flushes again at exit
        raise typer.Exit(BROKEN_PIPE) from None
    except Exception as exc:  # noqa: BLE001 - a traceback does not help a user, and its text may hold secrets
        frame = traceback.extract_tb(exc.__traceback__)[-1]
        where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        print_error(f"Unexpected error ({type(exc).__name__}, {where}): please report it.")
        raise typer.Exit(FAILED) from None


def sentences(exc: PrebookingError) -> list[str]:
    """Return the messages for an exception, each with its cure."""
    if isinstance(exc, SettingsError):
        return [f"{name} {problem} (a .env in this folder is read too)." for name, problem in exc.problems.items()]
    return [_store_sentence(exc) if isinstance(exc, StoreError) else str(exc)]


def _store_sentence(exc: StoreError) -> str:
    call = f"({exc.function}: {exc.code})"
    if isinstance(exc, StoreBusy):
        return f"Another run holds what this needs: try again in a few seconds {call}."
    if cure := _CURES.get(exc.code):
        return f"{cure} {call}."
    if isinstance(exc, StoreRefused):
        return f"The database refuses this {call}."
    return f"The database cannot be reached: look at SUPABASE_URL and at the network, and try again {call}."
