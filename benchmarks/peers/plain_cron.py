"""A plain cron job at second 0: select due rows, send their calls, mark them, one row after the other.

It is a warm process that uses Postgres directly, so that only the design is measured, without a cold start and
Supabase's REST API. In the staggered version the calls start 50 ms apart, and overlap. After a kill the next run
selects what is not marked.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import datetime

from psycopg import AsyncConnection

from benchmarks.peers import Book, Schedule, Task

STAGGER = 0.05
ONE_BY_ONE = "one by one"
OPEN = "select id from prebookings where status = 'pending'"

_TABLE = "create table prebookings (id text primary key, opens timestamptz not null, status text default 'pending')"
_SELECT = "select id from prebookings where status = 'pending' and opens <= now() order by opens, id"
_MARK = "update prebookings set status = 'completed' where id = %s"


async def start(task: Task, book: Book, group: TaskGroup) -> Schedule:
    connection = await AsyncConnection.connect(task.dsn, autocommit=True)
    if task.restarted:
        group.create_task(run(task, book))
    else:
        await connection.execute(_TABLE)

    async def at_opening(at: datetime) -> None:
        await asyncio.sleep(at.timestamp() - time.time())
        await run(task, book)

    async def schedule(at: datetime, bookings: Sequence[str]) -> None:
        for booking in bookings:
            await connection.execute("insert into prebookings values (%s, %s)", [booking, at])
        group.create_task(at_opening(at))

    return schedule


async def run(task: Task, book: Book) -> None:
    """Send all that is due: one invocation."""
    async with await AsyncConnection.connect(task.dsn, autocommit=True) as connection, TaskGroup() as calls:

        async def send(booking: str) -> None:
            await book(booking)
            await connection.execute(_MARK, [booking])

        for (booking,) in await (await connection.execute(_SELECT)).fetchall():
            if task.mode == ONE_BY_ONE:
                await send(booking)
            else:
                calls.create_task(send(booking))
                await asyncio.sleep(STAGGER)
