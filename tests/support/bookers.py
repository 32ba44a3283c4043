"""Bookers made for tests, and how a run is given them."""

from __future__ import annotations

from dataclasses import dataclass, field

from prebooking.bookers import Gate
from prebooking.model import Kind, Outcome, Prebooking


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
