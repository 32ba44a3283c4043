"""What carries calls to the venue twin: sockets (``serve``), or nothing, on a virtual clock (``TwinTransport``).

The Host header decides what is spoken: AimHarder's protocol at its hosts, the webhook's at any other.
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

Latency: TypeAlias = "float | Callable[[httpx.Request], float]"


Later: TypeAlias = "set[asyncio.Task[Any]]"  # calls that are still acted on, though they may be answered already


async def play(twin: VenueTwin, call: TwinCall, later: Later) -> TwinReply | AnswerKind:
    """Let a call that has arrived meet its fate; return the reply, or DROP or HANG."""
    is_aimharder = aimharder.is_meant(call)
    arrival = aimharder.hear(twin, call) if is_aimharder else webhook.hear(call)
    answer = aimharder.answer if is_aimharder else webhook.answer
    fate = twin.arrive(arrival)
    await asyncio.sleep(fate.delay_before)
    said = None
    if fate.acts_after is not None:
        _keep(later, asyncio.create_task(_act_later(lambda: answer(twin, call, arrival), fate)))
    elif fate.acts:
        said = answer(twin, call, arrival)
    await asyncio.sleep(fate.delay_after)
    return said if said and fate.answer is ANSWER else fate.answer


async def _act_later(act: Callable[[], TwinReply], fate: CallPlan) -> None:
    await asyncio.sleep(fate.delay_after + (fate.acts_after or 0.0))
    act()


def _keep(tasks: Later, task: asyncio.Task[Any]) -> None:
    tasks.add(task)
    task.add_done_callback(tasks.discard)


@asynccontextmanager
async def serve(twin: VenueTwin, *, port: int = 0) -> AsyncIterator[str]:
    """Answer for the twin on this machine, on any path, while the context lasts; the value is the address.

    What hangs or is still slow at the end is cut off at once.
    """
    calls: Later = set()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        at = twin.now()
        task = asyncio.ensure_future(_respond(twin, request, at, calls))
        _keep(calls, task)
        return await task

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        for task in calls:
            task.cancel()
        await runner.cleanup()


async def _respond(twin: VenueTwin, request: web.BaseRequest, at: datetime, later: Later) -> web.StreamResponse:
    headers = {name.lower(): value for name, value in request.headers.items()}
    call = TwinCall(at, request.method, headers, request.query, await request.read(), request.path)
    ending = await play(twin, call, later)
    if isinstance(ending, TwinReply):
        response = web.Response(status=ending.status, headers=ending.headers, body=ending.body)
        for cookie in ending.cookies:
            response.headers.add("set-cookie", cookie)
        return response
    if ending is HANG:
        await asyncio.Event().wait()
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # goes nowhere


class TwinTransport(httpx.AsyncBaseTransport):
    """Carries httpx's requests to the twin without sockets, as httpcore and a network would.

    ``connect``, ``there`` and ``back`` are seconds, or say them for a request; ``refuses`` says whether a request's
    connection fails (after ``connect``). A client's timeouts hold. A request whose first byte has left arrives and is
    acted on, whatever becomes of its sender: ``played_out`` waits for those.
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
        self._under_way: Later = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the ``trace`` extension may stop it right before its first byte."""
        await self._connect(request)
        body = await request.aread()
        if trace := request.extensions.get("trace"):
            await trace("http11.send_request_headers.started", {"request": request})
        ending = await self._await_answer(request, self._send(request, body))
        if isinstance(ending, TwinReply):
            return _response(request, ending)
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)

    async def played_out(self) -> None:
        """Return when the venue has done with every request that has left."""
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
        """Let the request go: from here on its sender's end does not stop it."""
        task = asyncio.create_task(self._travel(request, body), name="a call at the venue")
        _keep(self._under_way, task)
        return task

    async def _travel(self, request: httpx.Request, body: bytes) -> TwinReply | AnswerKind:
        await asyncio.sleep(_seconds(self.there, request))
        call = TwinCall(self.twin.now(), request.method, request.headers, request.url.params, body, request.url.path)
        ending = await play(self.twin, call, self._under_way)
        await asyncio.sleep(_seconds(self.back, request))
        return ending

    async def _await_answer(
        self, request: httpx.Request, under_way: asyncio.Task[TwinReply | AnswerKind]
    ) -> TwinReply | AnswerKind:
        try:
            async with asyncio.timeout(_timeout(request, "read")):
                await asyncio.wait([under_way])  # unlike awaiting it, this does not hand our cancellation on
                if under_way.result() is HANG:
                    await asyncio.Event().wait()
        except TimeoutError:
            raise httpx.ReadTimeout("no answer", request=request) from None
        return under_way.result()


def _response(request: httpx.Request, reply: TwinReply) -> httpx.Response:
    said = {"content-length": str(len(reply.body)), **reply.headers}
    headers = [*said.items(), *(("set-cookie", cookie) for cookie in reply.cookies)]
    return httpx.Response(reply.status, headers=headers, stream=httpx.ByteStream(reply.body), request=request)


def _seconds(latency: Latency, request: httpx.Request) -> float:
    return latency(request) if callable(latency) else latency


def _timeout(request: httpx.Request, kind: str) -> float | None:
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts.get(kind)
