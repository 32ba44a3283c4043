"""Carries requests to the database and the venue; what was sent arrives even if its instance is killed."""

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

from prebooking.local import rest
from prebooking.local.venue import aimharder, webhook
from prebooking.local.venue.server import TwinTransport
from prebooking.local.venue.twin import AnswerKind, Arrival, CallPlan, TwinCall, TwinReply, VenueTwin
from prebooking.local.virtual_time import seconds_passed
from prebooking.local.virtual_world import DatabaseTransport
from tests.verification.fault_plan import FaultPlan, RpcPlan, Step
from tests.verification.instance import Instance, current, in_simulation


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A call to the venue, at the second of simulation time at which its first byte was sent."""

    at: float
    instance: Instance
    row: str
    books: bool
    member: str
    class_id: str


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """A response that contains the database's clock, in seconds of simulation time.

    ``asked_for`` is the longest time that the request took by the clocks of the instance.
    """

    instance: Instance
    asked: float
    read: float
    received: float
    asked_for: float


_SENT: ContextVar[tuple[SentRequest, TwinCall]] = ContextVar("sent")
_WITH_CLOCK = {"claim_due_prebookings_v1", "prebooking_clock"}  # their responses contain the clock


class SimDatabaseTransport(DatabaseTransport):
    """Executes RPCs as the fault plan says; no virtual time passes while a statement runs."""

    def __init__(
        self, execute: Callable[[str, bytes], rest.RestReply], faults: FaultPlan, note: Callable[[str], None]
    ) -> None:
        super().__init__(execute)
        self._faults, self._note = faults, note
        self._under_way = set[asyncio.Task[tuple[rest.RestReply, float]]]()
        self._asked: dict[tuple[object, str], tuple[float, datetime]] = {}  # by task, since its last response
        self.over = False
        self.clock_answers = list[ClockAnswer]()

    async def drain(self) -> None:
        """Wait until every call that is under way has been executed."""
        while self._under_way:
            await asyncio.gather(*self._under_way)
            await asyncio.sleep(0)  # since Python 3.13 gather does not yield if all are done, so none was discarded

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        instance, function = current(), request.url.path.rpartition("/")[2]
        await self._step(instance, "database request", request)
        self._asked.setdefault((asyncio.current_task(), function), (seconds_passed(), instance.now()))
        loss = self._faults.rpc_plan(instance, function)
        call = in_simulation(self._travel(instance.name, function, request.content, loss), name=f"{function} under way")
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard, context=Context())
        await asyncio.wait([call])
        if loss.ends == "silent":
            await asyncio.Event().wait()
        await self._step(instance, "database response", request)
        if loss.ends == "broken":
            raise httpx.ReadError("lost", request=request)
        reply, read = call.result()
        if reply.status == HTTPStatus.OK:
            self._note_clock(instance, function, read)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)

    def _note_clock(self, instance: Instance, function: str, read: float) -> None:
        asked, wall = self._asked.pop((asyncio.current_task(), function))
        if function in _WITH_CLOCK:
            asked_for = max(seconds_passed() - asked, (instance.now() - wall).total_seconds())
            self.clock_answers.append(ClockAnswer(instance, asked, read, seconds_passed(), asked_for))

    async def _step(self, instance: Instance, step: Step, request: httpx.Request) -> None:
        if self.over:
            raise httpx.ConnectError("the simulation is over", request=request)
        self._faults.at_step(instance, step)
        if instance.halted:
            await asyncio.sleep(0)  # a halted instance does not get past this line

    async def _travel(self, name: str, function: str, body: bytes, loss: RpcPlan) -> tuple[rest.RestReply, float]:
        await asyncio.sleep(self._faults.travel_time("database") + loss.delay_before)
        read = seconds_passed()
        reply = rest.RestReply(503, b"{}")
        if loss.acts and not self.over:
            reply = self.execute(function, body)
            self.calls.append(function)
        if loss.error:
            reply = _refusal(*loss.error)
        self._note(
            f"{name}: {function} {loss if loss != RpcPlan() else ''} -> {reply.status} {reply.body.decode()[:200]}"
        )
        await asyncio.sleep(self._faults.travel_time("database") + loss.delay_after)
        return reply, read


def _refusal(status: int, code: str) -> rest.RestReply:
    body = {"code": code, "message": "made up", "details": None, "hint": None}
    return rest.RestReply(status, json.dumps(body).encode(), {"content-type": "application/json"})


class SimVenueTransport(TwinTransport):
    """Carries calls to the venue twin, and notes when each call's first byte was sent."""

    def __init__(
        self, twin: VenueTwin, faults: FaultPlan, note: Callable[[str], None], row_of: Callable[[Arrival], str]
    ) -> None:
        super().__init__(
            twin,
            connect=lambda _: faults.travel_time("connect"),
            there=lambda _: faults.travel_time("venue"),
            back=lambda _: faults.travel_time("venue"),
            refuses=lambda _: faults.refuses_connection(current()),
        )
        twin.plan = self._plan
        self._faults, self._note, self._row_of = faults, note, row_of
        self.sent = list[SentRequest]()
        self.answers = list[tuple[SentRequest, TwinReply | AnswerKind]]()  # to booking calls
        self.over = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        instance = current()
        await self._step(instance, "connect", request)
        trace = request.extensions.get("trace")

        async def traced(event: str, info: dict[str, Any]) -> None:
            await self._step(instance, "venue request", request)
            if trace:
                await trace(event, info)

        request.extensions["trace"] = traced
        try:
            response = await super().handle_async_request(request)
        except httpx.HTTPError:
            await self._step(instance, "venue response", request)
            raise
        await self._step(instance, "venue response", request)
        return response

    async def _step(self, instance: Instance, step: Step, request: httpx.Request) -> None:
        if self.over:
            raise httpx.ConnectError("the simulation is over", request=request)
        self._faults.at_step(instance, step)
        if instance.halted:
            await asyncio.sleep(0)

    def _send(self, request: httpx.Request, body: bytes) -> asyncio.Task[TwinReply | AnswerKind]:
        instance, arrival = current(), self._parse(request, body)
        books = arrival.books and arrival.method == "POST"
        sent = SentRequest(seconds_passed(), instance, self._row_of(arrival), books, arrival.member, arrival.class_id)
        self.sent.append(sent)
        self._note(f"{instance.name}: {request.method} {request.url.path} {sent.row[:8]} is sent")
        task = in_simulation(self._travel_of(sent, request, body), name="a call to the venue")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard, context=Context())
        return task

    def _parse(self, request: httpx.Request, body: bytes) -> Arrival:
        call = self._call(request, body)
        return aimharder.parse(self.twin, call) if aimharder.is_meant(call) else webhook.parse(call)

    def _call(self, request: httpx.Request, body: bytes) -> TwinCall:
        return TwinCall(self.twin.now(), request.method, request.headers, request.url.params, body, request.url.path)

    async def _travel_of(self, sent: SentRequest, request: httpx.Request, body: bytes) -> TwinReply | AnswerKind:
        _SENT.set((sent, self._call(request, body)))  # read by _plan when the call arrives
        ending = await self._travel(request, body)
        if sent.books:
            self.answers.append((sent, ending))
        answer = f"{ending.status} {ending.body.decode()[:80]}" if isinstance(ending, TwinReply) else ending.name
        self._note(f"venue: {request.method} {request.url.path} {sent.row[:8]} -> {answer}")
        return ending

    def _plan(self, arrival: Arrival) -> CallPlan:
        sent, call = _SENT.get()
        plan = self._faults.call_plan(sent.instance, arrival)
        self._note(
            f"venue: {arrival.method} {arrival.path} {sent.row[:8]} arrives {plan if plan != CallPlan() else ''}"
        )
        if not plan.acts and (seconds := self._faults.acts_later(sent.instance, arrival)) is not None:
            task = in_simulation(self._act_later(seconds, sent, call, arrival), name="a venue that acts late")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard, context=Context())
        return plan

    async def _act_later(self, seconds: float, sent: SentRequest, call: TwinCall, arrival: Arrival) -> TwinReply:
        await asyncio.sleep(seconds)
        answer = aimharder.answer if aimharder.is_meant(call) else webhook.answer
        reply = answer(self.twin, call, arrival)
        self._note(f"venue: acts on {sent.row[:8]} late: {reply.status} {reply.body.decode()[:80]}")
        return reply
