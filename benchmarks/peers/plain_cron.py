"""A plain cron job at second 0: select due rows, send their calls, mark them, one row after the other.

It is a warm process that uses Postgres directly, so that only the design is measured, without a cold start and
Supabase's REST API. In the staggered version the calls start 50 ms apart, and overlap.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import psycopg

from benchmarks.peers import Task

STAGGER = 0.05

_TABLE = (
    "create table prebookings (id int primary key, opens timestamptz not null, status text not null default 'pending')"
)
_SELECT = "select id from prebookings where status = 'pending' and opens <= now() order by id"
_MARK = "update prebookings set status = 'completed' where id = %s"


async def send_all(task: Task) -> None:
    with psycopg.connect(task.dsn, autocommit=True) as connection:
        add_prebookings(connection, task)
    await asyncio.sleep(task.opens - time.time())
    await invocation(task)


def add_prebookings(connection: psycopg.Connection[Any], task: Task) -> None:
    connection.execute(_TABLE)
    for number in range(task.requests):
        connection.execute("insert into prebookings values (%s, %s)", [number, task.instant])


async def invocation(task: Task) -> None:
    async with (
        await psycopg.AsyncConnection.connect(task.dsn, autocommit=True) as connection,
        httpx.AsyncClient(trust_env=False) as client,
    ):

        async def book(number: int) -> None:
            await client.post(task.url, json={"member": number})
            await connection.execute(_MARK, [number])

        due = [number for (number,) in await (await connection.execute(_SELECT)).fetchall()]
        if task.how == "staggered":
            calls = []
            for number in due:
                calls.append(asyncio.create_task(book(number)))
                await asyncio.sleep(STAGGER)
            await asyncio.gather(*calls)
        else:
            for number in due:
                await book(number)
