"""Two concurrent callers in a fixed order: the server's catalog shows that one of them waits for the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tests.support.database import Connection

T = TypeVar("T")

_TIMEOUT = 10.0  # seconds; a working test never waits this long


@contextmanager
def at_the_same_time(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Run the call in a thread beside the block; the block ends when the call has returned or failed."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(call)


def wait_until_blocked(observer: Connection, waiting: Connection, *, by: Connection) -> str:
    """Wait until one connection is blocked by the other; return the kind of the lock."""
    pid, kind = _wait_for_a_waiter(observer, by=by)
    assert pid == waiting.info.backend_pid
    return kind


def result_after_commit(
    call: Callable[[], T], observer: Connection, waiting: Connection, *, by: Connection, lock: str | None = None
) -> T:
    """Return the result of a call that has to wait for the commit of an open transaction.

    Args:
        call: uses the connection ``waiting``.
        observer: reads the catalog.
        waiting: is blocked, until the transaction of ``by`` is committed. That connection gets a new transaction.
        by: holds the lock.
        lock: the expected kind of the lock, if it matters.

    """
    with at_the_same_time(call) as result:
        kind = wait_until_blocked(observer, waiting, by=by)
        assert lock in {None, kind}
        by.execute("commit; begin")
        return result.result()


def wait_until_somebody_is_blocked(observer: Connection, *, by: Connection) -> None:
    """Wait until any connection is blocked by this one."""
    _wait_for_a_waiter(observer, by=by)


def _wait_for_a_waiter(observer: Connection, *, by: Connection) -> tuple[int, str]:
    query = "select pid, locktype from pg_locks where not granted and %s = any (pg_blocking_pids(pid))"
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        if (waiter := observer.execute(query, [by.info.backend_pid]).fetchone()) is not None:
            return int(waiter[0]), str(waiter[1])
    raise AssertionError("no connection is blocked")
