"""APScheduler 3: a running process, with jobs in memory. With the best settings one job per opening sends all calls."""

from __future__ import annotations

import asyncio

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.peers import Task, client_for


async def send_all(task: Task) -> None:
    client = await client_for(task)

    async def book(number: int) -> None:
        await client.post(task.url, json={"member": number})

    async def book_all() -> None:
        await asyncio.gather(*map(book, range(task.requests)))

    scheduler = AsyncIOScheduler()
    scheduler.start()
    if task.best:
        scheduler.add_job(book_all, "date", run_date=task.instant)
    else:
        for number in range(task.requests):
            scheduler.add_job(book, "date", run_date=task.instant, args=[number])
    await asyncio.Event().wait()
