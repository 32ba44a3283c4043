"""A scripted booker, and one booking call without a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from prebooking.bookers import Gate
from prebooking.bookers.call import HEADERS, call
from prebooking.bookers.webhook.booker import classify
from prebooking.model import Kind, Outcome, Prebooking
from tests.support.doubles import at_once


async def do_nothing(row: Prebooking) -> None:
    """Return at once."""


Hook = Callable[[Prebooking], Awaitable[object]]


@dataclass
class ScriptedBooker:
    """Returns scripted outcomes; records its calls and their times.

    ``answer`` and ``found`` are one outcome, or a list with one per call, whose last one is repeated. The hooks run at
    the start of each ``prepare``, ``book`` and ``confirm``.
    """

    answer: Outcome | list[Outcome] = field(default_factory=lambda: Outcome(Kind.BOOKED))
    found: Outcome | list[Outcome] = field(default_factory=lambda: Outcome(Kind.CANNOT_TELL))
    login: Outcome | None = None
    ready: bool = True
    max_unclear_calls: float = 4
    on_prepare: Hook = do_nothing
    on_book: Hook = do_nothing
    on_confirm: Hook = do_nothing
    calls: list[Prebooking] = field(default_factory=list)
    called_at: list[float] = field(default_factory=list)

    def is_ready(self, row: Prebooking) -> bool:  # noqa: ARG002 - see Booker
        return self.ready

    async def prepare(self, row: Prebooking, *, timeout: float, renew: bool = False) -> Outcome | None:  # noqa: ARG002, ASYNC109 - see Booker
        await self.on_prepare(row)
        return self.login

    async def book(self, row: Prebooking, *, timeout: float, gate: Gate) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
        await self.on_book(row)
        answer = _next(self.answer)
        if answer.kind is not Kind.NOT_SENT:
            await gate.wait()
            gate.mark_sent()
            self.calls.append(row)
            self.called_at.append(asyncio.get_running_loop().time())
        return answer

    async def confirm(self, row: Prebooking, *, timeout: float) -> Outcome:  # noqa: ARG002, ASYNC109 - see Booker
        await self.on_confirm(row)
        return _next(self.found)


def _next(outcomes: Outcome | list[Outcome]) -> Outcome:
    if isinstance(outcomes, Outcome):
        return outcomes
    return outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]


def raises(error: BaseException) -> Hook:
    """Return a hook that raises."""

    async def hook(_: Prebooking) -> None:
        raise error

    return hook


async def hang(row: Prebooking) -> None:
    """Wait until the task is cancelled."""
    await asyncio.Event().wait()


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
