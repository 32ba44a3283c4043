"""Bookers made for tests, and how a run is given them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from prebooking.bookers import Booker, Gate, OpenBooker, adapter
from prebooking.bookers.adapter import Invocation
from prebooking.function import invocation
from prebooking.model import Kind, Outcome, Prebooking, Venue


@dataclass
class ScriptedBooker:
    """Answers every call, question and login as it was told; counts its calls."""

    answer: Outcome = field(default_factory=lambda: Outcome(Kind.BOOKED))
    found: Outcome = field(default_factory=lambda: Outcome(Kind.CANNOT_TELL))
    login: Outcome | None = None
    ready: bool = True
    most_calls: float = 4
    calls: list[Prebooking] = field(default_factory=list)

    def is_ready(self, row: Prebooking) -> bool:  # noqa: ARG002 - see Booker
        return self.ready

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ARG002, ASYNC109 - see Booker
        return self.login

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
        if self.answer.kind is not Kind.NOT_SENT:
            await gate.wait()
            gate.mark_sent()
            self.calls.append(row)
        return self.answer

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
        return self.found


def use_booker(monkeypatch: pytest.MonkeyPatch, booker: Booker) -> None:
    """Let every venue of the next runs be booked by this booker."""

    def replace(_: OpenBooker) -> OpenBooker:
        @asynccontextmanager
        async def opened(_: Venue) -> AsyncIterator[Booker]:
            yield booker

        return opened

    replace_bookers(monkeypatch, replace)


def replace_bookers(monkeypatch: pytest.MonkeyPatch, replace: Callable[[OpenBooker], OpenBooker]) -> None:
    """Replace how every venue system of this deployment is opened."""
    original = adapter.open_systems

    @asynccontextmanager
    async def open_systems(names: Iterable[str], of: Invocation) -> AsyncIterator[dict[str, OpenBooker]]:
        async with original(names, of) as ours:
            yield {name: replace(opens) for name, opens in ours.items()}

    monkeypatch.setattr(invocation, "open_systems", open_systems)
