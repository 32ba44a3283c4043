"""Absurd: a task that sleeps until the opening, then one step. With the best settings it polls often, and in parallel.

Its SQL is in the package ``absurdctl``, whose command installs it. It recovers by itself: a task whose claim is older
than 120 s is taken again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from absurd_sdk import AsyncAbsurd, AsyncTaskContext

from benchmarks.peers import PARALLEL, POLL, Book, Schedule, Task
from prebooking.local.servers import default_server

OPEN = "select params ->> 'booking' from absurd.t_default where state not in ('completed', 'failed', 'cancelled')"


async def start(task: Task, book: Book, group: TaskGroup) -> Schedule:
    if not task.restarted:
        install(task)
    app, client = AsyncAbsurd(task.dsn), AsyncAbsurd(task.dsn)
    if not task.restarted:
        await client.create_queue()

    @app.register_task("book")
    async def send(params: dict[str, str], context: AsyncTaskContext) -> None:
        await context.sleep_until("opening", datetime.fromisoformat(params["at"]))
        await context.step("book", lambda: book(params["booking"]))

    best = {"concurrency": PARALLEL, "poll_interval": POLL} if task.best else {}
    group.create_task(app.start_worker(**best))

    async def schedule(at: datetime, bookings: Sequence[str]) -> None:
        for booking in bookings:
            await client.spawn("book", {"booking": booking, "at": at.isoformat()}, queue="default")

    return schedule


def install(task: Task) -> None:
    """Install its SQL with its own command, which calls psql."""
    path = f"{default_server()}{os.pathsep}{os.environ.get('PATH', '')}"
    command: list[str | Path] = [Path(sys.executable).with_name("absurdctl"), "init", "-d", task.url()]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})  # noqa: S603
