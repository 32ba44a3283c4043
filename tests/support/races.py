"""Two callers at once, in the order that the test wants: that one waits is seen in the server's catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tests.support.database import Connection

T = TypeVar("T")

_PATIENCE = 10.0  # seconds; nobody waits so long unless something is broken


@contextmanager
def at_the_same_time(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Run the call in a thread beside the block; the block may not end before it has an answer or an error."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(call)


def wait_until_blocked(observer: Connection, waiting: Connection, *, by: Connection) -> str:
    """Return what kind of lock one connection waits for that the other one holds, as soon as it does."""
    pid, kind = _wait_for_a_waiter(observer, by=by)
    assert pid == waiting.info.backend_pid
    return kind


def wait_until_somebody_is_blocked(observer: Connection, *, by: Connection) -> None:
    """Return as soon as anybody waits for a lock that the connection holds."""
    _wait_for_a_waiter(observer, by=by)


def _wait_for_a_waiter(observer: Connection, *, by: Connection) -> tuple[int, str]:
    query = "select pid, locktype from pg_locks where not granted and %s = any (pg_blocking_pids(pid))"
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if (waiter := observer.execute(query, [by.info.backend_pid]).fetchone()) is not None:
            return int(waiter[0]), str(waiter[1])
    raise AssertionError("nobody waits")
