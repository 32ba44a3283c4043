"""Procrastinate: rows with ``schedule_at``. With the best settings it polls every 0.1 s, and runs jobs in parallel."""

from __future__ import annotations

from procrastinate import App, PsycopgConnector

from benchmarks.peers import Task, client_for


async def send_all(task: Task) -> None:
    client = await client_for(task)

    async def book(number: int) -> None:
        await client.post(task.url, json={"member": number})

    app = App(connector=PsycopgConnector(conninfo=task.dsn))
    booking = app.task(book, name="book")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for number in range(task.requests):
            await booking.configure(schedule_at=task.instant).defer_async(number=number)
        if task.best:
            await app.run_worker_async(fetch_job_polling_interval=0.1, concurrency=task.requests)
        else:
            await app.run_worker_async()
