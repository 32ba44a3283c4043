"""Carrying out a command: one event loop, and one sentence for whatever goes wrong.

Exit codes: 0 done, 1 could not be done, 2 typed wrongly, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from prebooking.cli.terminal import complain
from prebooking.errors import (
    BadInput,
    PrebookingError,
    SettingsError,
    StoreBusy,
    StoreError,
    StoreRefused,
)

COULD_NOT, TYPED_WRONGLY, INTERRUPTED = 1, 2, 130

_NO_RIGHT = frozenset({"42501", "PGRST301", "PGRST302", "PGRST303", "401", "403"})
_NOT_THERE = frozenset({"PGRST202", "PGRST203", "42883", "42P01", "42703"})


def perform(command: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end; whatever it raises becomes a sentence and an exit code."""
    with in_sentences():
        asyncio.run(command)


@contextmanager
def in_sentences() -> Iterator[None]:
    """Turn whatever is raised into a sentence on standard error and an exit code; never into a traceback."""
    try:
        yield
    except typer.Exit:
        raise
    except typer.Abort:  # at a question
        raise typer.Exit(INTERRUPTED) from None
    except PrebookingError as exc:
        for sentence in sentences(exc):
            complain(sentence)
        raise typer.Exit(TYPED_WRONGLY if isinstance(exc, BadInput) else COULD_NOT) from None
    except BrokenPipeError:  # who read us has gone
        raise
    except Exception as exc:  # noqa: BLE001 - nobody who types a command is helped by a traceback; its text may hold anything
        frame = traceback.extract_tb(exc.__traceback__)[-1]
        where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        complain(f"Something nobody foresaw has happened ({type(exc).__name__}, {where}): please report it.")
        raise typer.Exit(COULD_NOT) from None


def sentences(exc: PrebookingError) -> list[str]:
    """Return what to say about an exception of ours, with the cure."""
    if isinstance(exc, SettingsError):
        return [f"{name} {problem} (a .env in this folder is read too)." for name, problem in exc.problems.items()]
    return [_store_sentence(exc) if isinstance(exc, StoreError) else str(exc)]


def _store_sentence(exc: StoreError) -> str:
    said = f"({exc.function}: {exc.code})"
    if exc.code in _NOT_THERE:
        return f"The database is not migrated to this version: run `supabase db push` {said}."
    if exc.code in _NO_RIGHT:
        return f"The key may not do this: set SUPABASE_SERVICE_ROLE_KEY to this project's secret key {said}."
    if isinstance(exc, StoreRefused):
        return f"The database refuses this {said}."
    if isinstance(exc, StoreBusy):
        return f"Another run holds what this needs: try again in a few seconds {said}."
    return f"The database cannot be reached: look at SUPABASE_URL and at the network, and try again {said}."
