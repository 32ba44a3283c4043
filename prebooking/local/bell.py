"""Stand-ins for the extensions that the bell uses in production: pg_cron, pg_net and Vault.

They follow the rules on which the bell depends. pg_net sends requests after COMMIT, and each request once. It sends the
requests of a batch in parallel, in one transaction, and reads its queue again a second after the end of the batch.
pg_cron never runs one job twice at the same time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psycopg

SECRET_NAME = "prebooking_cron_secret"  # noqa: S105 - its name in Vault

_MINUTE = 60.0
_POLL_SECONDS = 0.2  # between two reads of the queue without a notification
_PAUSE_SECONDS = 1.0  # after each batch
_BATCH = 200  # requests sent in parallel, as pg_net does

# The parts of the extensions' schemas that the bell uses.
_PG_CRON = """
create schema cron;
create table cron.job (
  jobid bigint generated always as identity primary key, jobname text unique,
  schedule text not null, command text not null);
create table cron.job_run_details (
  runid bigint generated always as identity primary key, jobid bigint, command text, status text, return_message text,
  start_time timestamptz, end_time timestamptz);
create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql as $$
  insert into cron.job (jobname, schedule, command) values (job_name, schedule, command)
  on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command returning jobid $$;
create function cron.unschedule(job_name text) returns boolean language sql as $$
  delete from cron.job where jobname = job_name returning true $$;
"""
_PG_NET = """
create schema net;
create table net.http_request_queue (
  id bigint generated always as identity, url text not null, headers jsonb not null, body text,
  timeout_milliseconds int not null);
create table net._http_response (
  id bigint, status_code int, content_type text, content text, timed_out boolean, error_msg text);
create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds int default 5000)
returns bigint language sql as $$
  select pg_notify('pg_net', '');
  insert into net.http_request_queue (url, headers, body, timeout_milliseconds)
  values (url, headers, body::text, timeout_milliseconds) returning id $$;
"""
_VAULT = """
create schema vault;
create table vault.secrets (name text unique, secret text not null);
create view vault.decrypted_secrets as select name, secret as decrypted_secret from vault.secrets;
create function vault.create_secret(new_secret text, new_name text) returns void language sql as $$
  insert into vault.secrets (name, secret) values (new_name, new_secret) $$;
"""

STAND_INS = _PG_CRON + _PG_NET + _VAULT
STAND_INS_BUT_PG_CRON = _PG_NET + _VAULT

_TAKE = """
with batch as (select id from net.http_request_queue order by id limit %s for update skip locked)
delete from net.http_request_queue q using batch where q.id = batch.id
returning q.id, q.url, q.headers, q.body, q.timeout_milliseconds
"""
_ANSWERED = "insert into net._http_response (id, status_code, timed_out, error_msg) values (%s, %s, %s, %s)"

Request = tuple[int, str, dict[str, str], str, int]
Answer = tuple[int, int | None, bool, str | None]


class PgNet:
    """Sends the committed requests of the queue, one batch after the other.

    ``deliveries`` returns, for each request, how many times it is sent: 0 for a lost request.
    """

    def __init__(self, dsn: str, *, deliveries: Callable[[], int] = lambda: 1) -> None:
        self._dsn, self._deliveries, self._stopped = dsn, deliveries, threading.Event()

    def run(self) -> None:
        """Send requests until ``stop`` is called."""
        with psycopg.connect(self._dsn, autocommit=True) as connection, ThreadPoolExecutor(_BATCH) as senders:
            connection.execute("listen pg_net")
            while not self._stopped.is_set():
                while self._send_batch(connection, senders):
                    self._stopped.wait(_PAUSE_SECONDS)
                for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
                    pass

    def stop(self) -> None:
        """Stop at the end of the current batch."""
        self._stopped.set()

    def _send_batch(self, connection: psycopg.Connection[Any], senders: ThreadPoolExecutor) -> bool:
        """Send a batch, wait for its answers and timeouts, and return whether there were any requests."""
        with connection.transaction():
            batch = connection.execute(_TAKE, [_BATCH]).fetchall()
            for answer in senders.map(_post, batch, [self._deliveries() for _ in batch]):
                connection.execute(_ANSWERED, answer)
        return bool(batch)


class PgCron:
    """Runs the scheduled jobs, one after the other: at once, and then at second 0 of every minute."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._stopped = dsn, threading.Event()
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Run jobs until ``stop`` is called."""
        with psycopg.connect(self._dsn, autocommit=True) as self._connection:
            while not self._stopped.is_set():
                with suppress(psycopg.errors.QueryCanceled):
                    self.run_jobs(self._connection)
                self._stopped.wait(_MINUTE - time.time() % _MINUTE)

    def run_jobs(self, connection: psycopg.Connection[Any]) -> None:
        """Run each job once, as pg_cron does at the start of a minute. A failed job does not stop the others."""
        for jobid, command in connection.execute("select jobid, command from cron.job").fetchall():
            status = "succeeded"
            try:
                connection.execute(command)
            except psycopg.Error as exc:
                status = f"failed: {exc.sqlstate}"
            connection.execute(
                "insert into cron.job_run_details (jobid, status, end_time) values (%s, %s, clock_timestamp())",
                [jobid, status],
            )

    def stop(self) -> None:
        """Stop, and cancel the job that is running."""
        self._stopped.set()
        if self._connection and not self._connection.closed:
            self._connection.cancel_safe()


@contextmanager
def run_bell(dsn: str, *, url: str, secret: str) -> Iterator[None]:
    """Install the stand-ins in a migrated database, and run the bell for the function at ``url``."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(STAND_INS)
        connection.execute("select vault.create_secret(%s, %s)", [secret, SECRET_NAME])
        connection.execute("select public.prebooking_bell_on(%s)", [url])
    runners: list[PgNet | PgCron] = [PgNet(dsn), PgCron(dsn)]
    threads = [threading.Thread(target=runner.run, name=type(runner).__name__, daemon=True) for runner in runners]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for runner, thread in zip(runners, threads, strict=True):
            while thread.is_alive():  # a job may have started right after the cancellation
                runner.stop()
                thread.join(0.1)


def _post(request: Request, times: int) -> Answer:
    number, url, headers, body, milliseconds = request
    answer: Answer = (number, None, False, "lost by the stand-in")
    for _ in range(times):
        try:
            reply = httpx.post(url, headers=headers, content=body, timeout=milliseconds / 1000, trust_env=False)
            answer = number, reply.status_code, False, None
        except httpx.TimeoutException:
            answer = number, None, True, "Timeout was reached"
        except httpx.HTTPError as exc:
            answer = number, None, False, type(exc).__name__
    return answer
