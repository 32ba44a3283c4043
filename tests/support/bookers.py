"""A scripted booker, and one booking call without a run."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from prebooking.bookers import Gate
from prebooking.bookers.call import HEADERS, call
from prebooking.bookers.webhook.booker import classify
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.doubles import at_once


@dataclass
class ScriptedBooker:
    """Returns the same outcome for each call, confirmation and login; records its calls."""

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


async def post(
    client: httpx.AsyncClient,
    url: str,
    gate: Gate = at_once,
    *,
    timeout: float = 20,  # noqa: ASYNC109 - as call's
) -> Outcome:
    """Make a booking call to an endpoint."""
    request = client.build_request("POST", url, content=b"{}", headers=HEADERS)
    return await call(client, request, classify, timeout=timeout, gate=gate)
