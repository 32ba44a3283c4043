"""The venue of the table of kills, in its own process: it acts, and holds its answers while the callers are killed.

Each system has a path. Until a PUT there, no call is answered: the first twenty are acted on, the others are not.
Afterwards every call is acted on and answered. It has no protection against repeated calls, but it can be asked.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

ACTS = 20


@dataclass(slots=True)
class HeldLedger:
    """The ledger of one system."""

    answering: bool = False
    arrived: int = 0
    booked: Counter[str] = field(default_factory=Counter)


_ledgers: defaultdict[str, HeldLedger] = defaultdict(HeldLedger)


async def call(request: web.Request) -> web.Response:
    ledger, booking = _ledgers[request.path], (await request.json())["prebooking_id"]
    ledger.arrived += 1
    if ledger.answering or ledger.arrived <= ACTS:
        ledger.booked[booking] += 1
    if not ledger.answering:
        await asyncio.Event().wait()  # its caller will be killed
    return web.json_response({"state": "booked"})


async def question(request: web.Request) -> web.Response:
    ledger = _ledgers[request.path]
    if booking := request.query.get("prebooking_id"):
        return web.json_response({"state": "booked" if ledger.booked[booking] else "not_booked"})
    return web.json_response({"arrived": ledger.arrived, "booked": ledger.booked})


async def answer_from_now_on(request: web.Request) -> web.Response:
    _ledgers[request.path].answering = True
    return web.json_response({})


async def serve() -> None:
    app = web.Application()
    for method, handler in (("POST", call), ("GET", question), ("PUT", answer_from_now_on)):
        app.router.add_route(method, "/{system}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
    await site.start()
    print(json.dumps(runner.addresses[0]), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # the parent process ends it


@contextmanager
def ledger_venue() -> Iterator[str]:
    """Run the venue, and yield its address."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout
        host, port = json.loads(process.stdout.readline())
        try:
            yield f"http://{host}:{port}"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve())
