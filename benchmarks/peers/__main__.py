"""Run one system in this process: ``python -m benchmarks.peers <name> <dsn> <url> <mode> <new or restarted>``.

It prints "ready" when the system runs. Each line of its standard input, ``<opens> <requests>``, is an opening to
schedule. Libraries are loaded and used once before, as in a process that has run for days. Each opening has an HTTP
client of its own, which is made before it; "warm" has one per booking, with an open connection.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections import defaultdict
from datetime import UTC, datetime
from itertools import count

import httpx

from benchmarks.peers import PeerModule, Task

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)


def main() -> None:
    name, dsn, url, mode, state = sys.argv[1:]
    system: PeerModule = importlib.import_module(f"benchmarks.peers.{name}")
    asyncio.run(serve(system, Task(dsn, mode, restarted=state == "restarted"), url))


async def serve(system: PeerModule, task: Task, url: str) -> None:
    tls = httpx.create_ssl_context()
    clients: defaultdict[str, httpx.AsyncClient] = defaultdict(
        lambda: httpx.AsyncClient(trust_env=False, verify=tls, limits=_LIMITS, timeout=30)
    )

    def client(booking: str) -> httpx.AsyncClient:
        return clients[booking if task.mode == "warm" else booking.partition("/")[0]]

    async def book(booking: str) -> None:
        await client(booking).post(url, json={"prebooking_id": booking})

    async with asyncio.TaskGroup() as group:
        schedule = await system.start(task, book, group)
        await client("0/0").get(url)
        print("ready", flush=True)
        for opening in count(1):
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                os._exit(0)  # the parent process has ended
            opens, requests = line.split()
            bookings = [f"{opening}/{number}" for number in range(int(requests))]
            callers = list(map(client, bookings))
            if task.mode == "warm":
                await asyncio.gather(*(one.get(url) for one in callers))
            await schedule(datetime.fromtimestamp(float(opens), UTC), bookings)


if __name__ == "__main__":
    main()
