"""DBOS: by default workflows with a delay on a queue; with the best settings workflows with a durable sleep.

It recovers by itself when it starts, but only the workflows of its own executor id.
"""

from __future__ import annotations

import time
from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import datetime

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from benchmarks.peers import PARALLEL, Book, Schedule, Task

SAME, ANOTHER = "restarted with the same executor id", "restarted with another executor id"
OPEN = "select workflow_uuid from dbos.workflow_status where status in ('PENDING', 'ENQUEUED', 'DELAYED')"


async def start(task: Task, book: Book, group: TaskGroup) -> Schedule:  # noqa: ARG001 - it has its own tasks
    executor = "second" if task.mode == ANOTHER and task.restarted else "first"
    DBOS(
        config={"name": "bench", "system_database_url": task.url(), "executor_id": executor, "log_level": "ERROR"}
        | ({"sys_db_pool_size": PARALLEL} if task.best else {})
    )

    @DBOS.step()
    async def send(booking: str) -> None:
        await book(booking)

    @DBOS.workflow()
    async def at_once(booking: str) -> None:
        await send(booking)

    @DBOS.workflow()
    async def after_sleep(booking: str, at: float) -> None:
        await DBOS.sleep_async(max(at - time.time(), 0.001))  # none would be another workflow, after a restart
        await send(booking)

    DBOS.launch()
    await DBOS.register_queue_async("bookings")

    async def schedule(at: datetime, bookings: Sequence[str]) -> None:
        for booking in bookings:
            with SetWorkflowID(booking):
                if task.best:
                    await DBOS.start_workflow_async(after_sleep, booking, at.timestamp())
                else:
                    with SetEnqueueOptions(delay_seconds=at.timestamp() - time.time()):
                        await DBOS.enqueue_workflow_async("bookings", at_once, booking)

    return schedule
