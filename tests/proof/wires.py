"""The wires between instances and the world. What has left an instance arrives, whatever becomes of the instance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

import httpx

from prebooking.local import rest, venue_aimharder, venue_webhook
from prebooking.local.venue import Arrival, Call, Ending, Fate, Reply, VenueTwin
from prebooking.local.venue_server import TwinTransport
from tests.proof.fates import Fates, Loss
from tests.proof.instance import Instance, current, in_the_world


@dataclass(frozen=True, slots=True)
class Sent:
    """A call whose first byte has left for the venue, at an instant in seconds of the world's time."""

    at: float
    instance: Instance
    row: str
    books: bool
    member: str
    class_id: str


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """An answer with the database's clock, as an instance has received it; in seconds of the world's time.

    ``asked_for`` is how long the instance's clocks say at most that the question was under way.
    """

    instance: Instance
    asked: float
    read: float
    received: float
    asked_for: float


_SENT: ContextVar[tuple[Sent, Call]] = ContextVar("sent")
_WITH_CLOCK = {"claim_due_prebookings_v1", "prebooking_clock"}  # their answers say what time it is


class DatabaseWire(httpx.AsyncBaseTransport):
    """Carries RPCs to the real SQL; no virtual time passes while a statement runs."""

    def __init__(self, carry_out: Callable[[str, bytes], rest.Reply], fates: Fates, say: Callable[[str], None]) -> None:
        self._carry_out, self._fates, self._say = carry_out, fates, say
        self._under_way = set[asyncio.Task[tuple[rest.Reply, float]]]()
        self._asked: dict[tuple[object, str], tuple[float, datetime]] = {}  # by a task, since its last answer
        self.over = False
        self.calls = 0
        self.clock_answers = list[ClockAnswer]()

    async def played_out(self) -> None:
        """Return when every call that is under way has been carried out."""
        while self._under_way:
            await asyncio.gather(*self._under_way)
            await asyncio.sleep(0)  # since Python 3.13 gather does not yield if all are done, so none was discarded

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        instance, function = current(), request.url.path.rpartition("/")[2]
        await self._step(instance, "asks the database", request)
        self._asked.setdefault((asyncio.current_task(), function), (_now(), instance.now()))
        loss = self._fates.database(instance, function)
        call = in_the_world(self._travel(instance.name, function, request.content, loss), name=f"{function} on its way")
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard, context=Context())
        await asyncio.wait([call])
        if loss.ends == "silent":
            await asyncio.Event().wait()
        await self._step(instance, "hears the database", request)
        if loss.ends == "broken":
            raise httpx.ReadError("lost", request=request)
        reply, read = call.result()
        if reply.status == HTTPStatus.OK:
            self._note_clock(instance, function, read)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)

    def _note_clock(self, instance: Instance, function: str, read: float) -> None:
        asked, wall = self._asked.pop((asyncio.current_task(), function))
        if function in _WITH_CLOCK:
            asked_for = max(_now() - asked, (instance.now() - wall).total_seconds())
            self.clock_answers.append(ClockAnswer(instance, asked, read, _now(), asked_for))

    async def _step(self, instance: Instance, step: Any, request: httpx.Request) -> None:
        if self.over:
            raise httpx.ConnectError("the story is over", request=request)
        self._fates.step(instance, step)
        if instance.halted:
            await asyncio.sleep(0)  # the last that it does

    async def _travel(self, name: str, function: str, body: bytes, loss: Loss) -> tuple[rest.Reply, float]:
        await asyncio.sleep(self._fates.travel("database") + loss.delay_before)
        read = _now()
        reply = rest.Reply(503, b"{}")
        if loss.acts and not self.over:
            reply = self._carry_out(function, body)
            self.calls += 1
        if loss.error:
            reply = _refusal(*loss.error)
        self._say(f"{name}: {function} {loss if loss != Loss() else ''} -> {reply.status} {reply.body.decode()[:200]}")
        await asyncio.sleep(self._fates.travel("database") + loss.delay_after)
        return reply, read


def _refusal(status: int, code: str) -> rest.Reply:
    body = {"code": code, "message": "made up", "details": None, "hint": None}
    return rest.Reply(status, json.dumps(body).encode(), {"content-type": "application/json"})


class VenueWire(TwinTransport):
    """Carries calls to the venue twin, and notes when whose first byte has left."""

    def __init__(
        self, twin: VenueTwin, fates: Fates, say: Callable[[str], None], row_of: Callable[[Arrival], str]
    ) -> None:
        super().__init__(
            twin,
            connect=lambda _: fates.travel("connect"),
            there=lambda _: fates.travel("venue"),
            back=lambda _: fates.travel("venue"),
            refuses=lambda _: fates.refuses(current()),
        )
        twin.fate = self._fate
        self._fates, self._say, self._row_of = fates, say, row_of
        self.sent = list[Sent]()
        self.answers = list[tuple[Sent, Reply | Ending]]()  # to booking calls
        self.over = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        instance = current()
        await self._step(instance, "connects", request)
        trace = request.extensions.get("trace")

        async def traced(event: str, info: dict[str, Any]) -> None:
            await self._step(instance, "sends", request)
            if trace:
                await trace(event, info)

        request.extensions["trace"] = traced
        try:
            response = await super().handle_async_request(request)
        except httpx.HTTPError:
            await self._step(instance, "hears the venue", request)
            raise
        await self._step(instance, "hears the venue", request)
        return response

    async def _step(self, instance: Instance, step: Any, request: httpx.Request) -> None:
        if self.over:
            raise httpx.ConnectError("the story is over", request=request)
        self._fates.step(instance, step)
        if instance.halted:
            await asyncio.sleep(0)

    def _send(self, request: httpx.Request, body: bytes) -> asyncio.Task[Reply | Ending]:
        instance, arrival = current(), self._heard(request, body)
        books = arrival.books and arrival.method == "POST"
        sent = Sent(_now(), instance, self._row_of(arrival), books, arrival.member, arrival.class_id)
        self.sent.append(sent)
        self._say(f"{instance.name}: {request.method} {request.url.path} {sent.row[:8]} leaves")
        task = in_the_world(self._travel_of(sent, request, body), name="a call at the venue")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard, context=Context())
        return task

    def _heard(self, request: httpx.Request, body: bytes) -> Arrival:
        call = self._call(request, body)
        return venue_aimharder.hear(self.twin, call) if venue_aimharder.is_meant(call) else venue_webhook.hear(call)

    def _call(self, request: httpx.Request, body: bytes) -> Call:
        return Call(self.twin.now(), request.method, request.headers, request.url.params, body, request.url.path)

    async def _travel_of(self, sent: Sent, request: httpx.Request, body: bytes) -> Reply | Ending:
        _SENT.set((sent, self._call(request, body)))  # for its fate, which is asked for on the way
        ending = await self._travel(request, body)
        if sent.books:
            self.answers.append((sent, ending))
        said = f"{ending.status} {ending.body.decode()[:80]}" if isinstance(ending, Reply) else ending.name
        self._say(f"venue: {request.method} {request.url.path} {sent.row[:8]} -> {said}")
        return ending

    def _fate(self, arrival: Arrival) -> Fate:
        sent, call = _SENT.get()
        fate = self._fates.venue(sent.instance, arrival)
        self._say(f"venue: {arrival.method} {arrival.path} {sent.row[:8]} arrives {fate if fate != Fate() else ''}")
        if not fate.acts and (seconds := self._fates.acts_later(sent.instance, arrival)) is not None:
            task = in_the_world(self._act_later(seconds, sent, call, arrival), name="a venue that acts after all")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard, context=Context())
        return fate

    async def _act_later(self, seconds: float, sent: Sent, call: Call, arrival: Arrival) -> Reply:
        await asyncio.sleep(seconds)
        reply = venue_aimharder.answer if venue_aimharder.is_meant(call) else venue_webhook.answer
        said = reply(self.twin, call, arrival)
        self._say(f"venue: acts on {sent.row[:8]} after all: {said.status} {said.body.decode()[:80]}")
        return said


def _now() -> float:
    loop: Any = asyncio.get_running_loop()
    return float(loop.true_time())
