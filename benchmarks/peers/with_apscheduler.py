"""APScheduler 3: a running process, with jobs in memory. With the best settings one job per opening sends all calls.

With its persistent job store the jobs survive a restart: each has its row until it starts.
"""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import datetime

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.peers import Book, Schedule, Task

PERSISTENT = "its persistent job store"
OPEN = "select id from apscheduler_jobs"

_sender: list[Book] = []  # a stored job names a function of a module


async def send(*bookings: str) -> None:
    await asyncio.gather(*map(_sender[0], bookings))


async def start(task: Task, book: Book, group: TaskGroup) -> Schedule:  # noqa: ARG001 - it has its own tasks
    _sender.append(book)
    scheduler = AsyncIOScheduler()
    if task.mode == PERSISTENT:
        scheduler.configure(job_defaults={"misfire_grace_time": None})  # a job that is late is not left out
        scheduler.add_jobstore(SQLAlchemyJobStore(task.url("postgresql+psycopg")))
    scheduler.start()

    async def schedule(at: datetime, bookings: Sequence[str]) -> None:
        together = task.mode in ("best", "warm")
        for batch in [bookings] if together else [[booking] for booking in bookings]:
            scheduler.add_job(send, "date", run_date=at, args=batch, id=batch[0])

    return schedule
