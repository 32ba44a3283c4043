"""Procrastinate: rows with ``schedule_at``. With the best settings it polls often, and runs jobs in parallel.

Its recovery is code that its user copies from the documentation: a periodic task that retries the jobs of workers
without a heartbeat.
"""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import datetime

from procrastinate import App, JobContext, PsycopgConnector

from benchmarks.peers import PARALLEL, POLL, Book, Schedule, Task

RETRIED = "its recipe for stalled jobs, every minute"
OPEN = "select args ->> 'booking' from procrastinate_jobs where task_name = 'book' and status in ('todo', 'doing')"


async def start(task: Task, book: Book, group: TaskGroup) -> Schedule:
    app = App(connector=PsycopgConnector(conninfo=task.dsn))

    @app.task(name="book")
    async def send(booking: str) -> None:
        await book(booking)

    if task.mode == RETRIED:
        retry_stalled_jobs(app)
    await app.open_async()
    if not task.restarted:
        await app.schema_manager.apply_schema_async()
    best = {"fetch_job_polling_interval": POLL, "concurrency": PARALLEL} if task.best else {}
    group.create_task(app.run_worker_async(**best, install_signal_handlers=False))

    async def schedule(at: datetime, bookings: Sequence[str]) -> None:
        for booking in bookings:
            await send.configure(schedule_at=at).defer_async(booking=booking)

    return schedule


def retry_stalled_jobs(app: App) -> None:
    """Add the periodic task of the documentation, which has ``*/10`` where this has ``*``."""

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
    async def retry_stalled_jobs(_: JobContext, timestamp: int) -> None:  # noqa: ARG001 - its signature
        for job in await app.job_manager.get_stalled_jobs():
            await app.job_manager.retry_job(job)
