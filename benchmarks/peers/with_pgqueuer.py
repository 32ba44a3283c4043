"""PgQueuer on asyncpg: rows with ``execute_after``. With the best settings it takes all rows in one batch.

It recovers by itself: a job whose heartbeat is older than 30 s is taken again.
"""

from __future__ import annotations

import time
from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job

from benchmarks.peers import PARALLEL, Book, Schedule, Task

OPEN = "select convert_from(payload, 'UTF8') from pgqueuer where status in ('queued', 'picked')"


async def start(task: Task, book: Book, group: TaskGroup) -> Schedule:
    async def send(job: Job) -> None:
        await book((job.payload or b"").decode())

    queuer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(task.url()))
    if not task.restarted:
        await queuer.queries.install()
    queuer.entrypoint("book")(send)
    group.create_task(queuer.run(batch_size=PARALLEL) if task.best else queuer.run())

    async def schedule(at: datetime, bookings: Sequence[str]) -> None:
        for booking in bookings:
            left = timedelta(seconds=at.timestamp() - time.time())
            await queuer.queries.enqueue("book", booking.encode(), execute_after=left)

    return schedule
