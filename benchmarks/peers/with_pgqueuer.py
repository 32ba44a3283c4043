"""PgQueuer on asyncpg: rows with ``execute_after``. With the best settings it takes all rows in one batch."""

from __future__ import annotations

import time
from datetime import timedelta

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers import Task, client_for


async def send_all(task: Task) -> None:
    client = await client_for(task)

    async def book(row: Job) -> None:
        await client.post(task.url, content=row.payload or b"")

    where = conninfo_to_dict(task.dsn)
    where["database"] = where.pop("dbname")
    queuer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(**where))
    await queuer.queries.install()
    queuer.entrypoint("book")(book)
    for number in range(task.requests):
        left = timedelta(seconds=task.opens - time.time())
        await queuer.queries.enqueue("book", str(number).encode(), execute_after=left)
    if task.best:
        await queuer.run(batch_size=max(task.requests, 10))
    else:
        await queuer.run()
