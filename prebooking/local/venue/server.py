"""The transports of the venue twin: sockets (``serve``), or a virtual clock without sockets (``TwinTransport``).

The Host header decides the protocol: AimHarder's at its hosts, the webhook's at all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

import httpx
from aiohttp import web

from prebooking.local.venue import aimharder, webhook
from prebooking.local.venue.twin import ANSWER, HANG, AnswerKind, CallPlan, TwinCall, TwinReply, VenueTwin

Latency: TypeAlias = "float | Callable[[httpx.Request], float]"  # seconds
CallTasks: TypeAlias = "set[asyncio.Task[Any]]"  # calls that are not finished; some are answered already


async def handle(twin: VenueTwin, call: TwinCall, unfinished: CallTasks) -> TwinReply | AnswerKind:
    """Carry out a call as its plan says; return the reply, or DROP or HANG."""
    is_aimharder = aimharder.is_meant(call)
    arrival = aimharder.parse(twin, call) if is_aimharder else webhook.parse(call)
    answer = aimharder.answer if is_aimharder else webhook.answer
    plan = twin.arrive(arrival)
    await asyncio.sleep(plan.delay_before)
    reply = None
    if plan.acts_after is not None:
        _keep(unfinished, asyncio.create_task(_act_later(lambda: answer(twin, call, arrival), plan)))
    elif plan.acts:
        reply = answer(twin, call, arrival)
    await asyncio.sleep(plan.delay_after)
    return reply if reply and plan.answer is ANSWER else plan.answer


async def _act_later(act: Callable[[], TwinReply], plan: CallPlan) -> None:
    await asyncio.sleep(plan.delay_after + (plan.acts_after or 0.0))
    act()


def _keep(tasks: CallTasks, task: asyncio.Task[Any]) -> None:
    tasks.add(task)
    task.add_done_callback(tasks.discard)


@asynccontextmanager
async def serve(twin: VenueTwin, *, port: int = 0) -> AsyncIterator[str]:
    """Serve the twin on this machine, on any path, during the context, whose value is the address.

    Calls that are unfinished at the end are cancelled.
    """
    calls: CallTasks = set()

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        at = twin.now()
        task = asyncio.ensure_future(_respond(twin, request, at, calls))
        _keep(calls, task)
        return await task

    runner = web.ServerRunner(web.Server(respond, access_log=None), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        for task in calls:
            task.cancel()
        await runner.cleanup()


async def _respond(
    twin: VenueTwin, request: web.BaseRequest, at: datetime, unfinished: CallTasks
) -> web.StreamResponse:
    headers = {name.lower(): value for name, value in request.headers.items()}
    call = TwinCall(at, request.method, headers, request.query, await request.read(), request.path)
    reply = await handle(twin, call, unfinished)
    if isinstance(reply, TwinReply):
        response = web.Response(status=reply.status, headers=reply.headers, body=reply.body)
        for cookie in reply.cookies:
            response.headers.add("set-cookie", cookie)
        return response
    if reply is HANG:
        await asyncio.Event().wait()
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # not sent: the connection is closed


class TwinTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests to the twin without sockets, with the behaviour of httpcore and a network.

    ``connect``, ``there`` and ``back`` are latencies. ``refuses`` returns whether a request's connection fails (after
    ``connect``). A client's timeouts apply. A request whose first byte was sent is carried out, even if its sender is
    cancelled: ``drain`` waits for these requests.
    """

    def __init__(
        self,
        twin: VenueTwin,
        *,
        connect: Latency = 0.0,
        there: Latency = 0.0,
        back: Latency = 0.0,
        refuses: Callable[[httpx.Request], bool] = lambda _: False,
    ) -> None:
        self.twin, self.connect, self.there, self.back, self.refuses = twin, connect, there, back, refuses
        self._under_way: CallTasks = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. The ``trace`` extension can stop it right before its first byte."""
        await self._connect(request)
        body = await request.aread()
        if trace := request.extensions.get("trace"):
            await trace("http11.send_request_headers.started", {"request": request})
        reply = await self._await_answer(request, self._send(request, body))
        if isinstance(reply, TwinReply):
            return _response(request, reply)
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)

    async def drain(self) -> None:
        """Return when the venue has finished every request that was sent."""
        while self._under_way:
            await asyncio.gather(*self._under_way)
            await asyncio.sleep(0)  # since Python 3.13 gather does not yield if all are done, so none was discarded

    async def _connect(self, request: httpx.Request) -> None:
        try:
            async with asyncio.timeout(_timeout(request, "connect")):
                await asyncio.sleep(_seconds(self.connect, request))
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection", request=request) from None
        if self.refuses(request):
            raise httpx.ConnectError("refused", request=request)

    def _send(self, request: httpx.Request, body: bytes) -> asyncio.Task[TwinReply | AnswerKind]:
        """Start a task for the request, which cancelling the sender does not stop."""
        task = asyncio.create_task(self._travel(request, body), name="a call at the venue")
        _keep(self._under_way, task)
        return task

    async def _travel(self, request: httpx.Request, body: bytes) -> TwinReply | AnswerKind:
        await asyncio.sleep(_seconds(self.there, request))
        call = TwinCall(self.twin.now(), request.method, request.headers, request.url.params, body, request.url.path)
        reply = await handle(self.twin, call, self._under_way)
        await asyncio.sleep(_seconds(self.back, request))
        return reply

    async def _await_answer(
        self, request: httpx.Request, unfinished: asyncio.Task[TwinReply | AnswerKind]
    ) -> TwinReply | AnswerKind:
        try:
            async with asyncio.timeout(_timeout(request, "read")):
                await asyncio.wait([unfinished])  # unlike ``await unfinished``, this does not cancel the task with us
                if unfinished.result() is HANG:
                    await asyncio.Event().wait()
        except TimeoutError:
            raise httpx.ReadTimeout("no answer", request=request) from None
        return unfinished.result()


def _response(request: httpx.Request, reply: TwinReply) -> httpx.Response:
    own = {"content-length": str(len(reply.body)), **reply.headers}
    headers = [*own.items(), *(("set-cookie", cookie) for cookie in reply.cookies)]
    return httpx.Response(reply.status, headers=headers, stream=httpx.ByteStream(reply.body), request=request)


def _seconds(latency: Latency, request: httpx.Request) -> float:
    return latency(request) if callable(latency) else latency


def _timeout(request: httpx.Request, kind: str) -> float | None:
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts.get(kind)
