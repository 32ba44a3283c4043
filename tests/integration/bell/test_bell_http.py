"""The bell over real HTTP, with the stand-ins of the local stack: each request is sent once, after its COMMIT."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

import pytest
from psycopg.types.json import Jsonb

from prebooking.local.bell import PgCron, PgNet, run_bell
from tests.support.bells import SECRET, Bell, add_rows
from tests.support.calls import prebooking
from tests.support.database import Connection, Database
from tests.support.factories import add_prebooking, add_venue

_PATH = "/api/cron/prebooking_scheduler"
_TIMEOUT = 10.0  # seconds; a working test never waits this long


class App:
    """The called function: it records each bearer, and answers when ``answers`` is set."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self.answers = threading.Event()
        self.answers.set()

    @contextmanager
    def serve(self) -> Iterator[str]:
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                app.calls.put((self.path, self.headers["Authorization"]))
                app.answers.wait(_TIMEOUT)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}{_PATH}"
            server.shutdown()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def url(app: App) -> Iterator[str]:
    with app.serve() as url:
        yield url


@contextmanager
def running(runner: PgNet | PgCron) -> Iterator[None]:
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(runner.run)
        try:
            yield
        finally:
            while not done.done():
                runner.stop()
            done.result()


@pytest.mark.usefixtures("stand_ins")
def test_the_function_is_called_with_the_secret(database: Database, owner: Connection, app: App, url: str) -> None:
    bell = Bell.switched_on(owner, url, sends=False)
    add_rows(owner, 1, 1, opens=30)
    with running(PgNet(database.dsn)):
        bell.minute()
        assert app.calls.get(timeout=_TIMEOUT) == (_PATH, f"Bearer {SECRET}")
    assert app.calls.empty()


@pytest.mark.usefixtures("stand_ins")
def test_nothing_is_sent_before_the_commit(database: Database, owner: Connection, app: App, url: str) -> None:
    Bell.switched_on(owner, url, sends=False)
    add_rows(owner, 1, 1, opens=0)
    ringer = database.connect()
    with running(PgNet(database.dsn)):
        with ringer.transaction():
            ringer.execute("select public.prebooking_bell_trigger()")
            owner.execute("select net.http_post(url := %s, headers := %s)", [url, Jsonb({"Authorization": "later"})])
            assert app.calls.get(timeout=_TIMEOUT) == (_PATH, "later")  # it has overtaken the bell's
        assert app.calls.get(timeout=_TIMEOUT) == (_PATH, f"Bearer {SECRET}")


@pytest.mark.usefixtures("stand_ins")
def test_a_rolled_back_request_is_not_sent(database: Database, owner: Connection, app: App, url: str) -> None:
    bell = Bell.switched_on(owner, url, sends=False)
    add_rows(owner, 1, 1, opens=0)
    ringer = database.connect()
    with ringer.transaction(force_rollback=True):
        ringer.execute("select public.prebooking_bell_trigger()")
    with running(PgNet(database.dsn)):
        bell.minute()  # rings for the same row, once
        app.calls.get(timeout=_TIMEOUT)
    assert app.calls.empty()


@pytest.mark.usefixtures("stand_ins")
def test_invocations_are_called_concurrently(database: Database, owner: Connection, app: App, url: str) -> None:
    app.answers.clear()  # no call is answered before all have arrived
    bell = Bell.switched_on(owner, url, sends=False)
    add_rows(owner, 50, 40, opens=30)
    with running(PgNet(database.dsn)):
        bell.minute()
        for _ in range(4):
            app.calls.get(timeout=_TIMEOUT)
        app.answers.set()


@pytest.mark.usefixtures("stand_ins")
def test_the_bell_does_not_wait_for_its_function(database: Database, owner: Connection, app: App, url: str) -> None:
    app.answers.clear()
    bell = Bell.switched_on(owner, url, sends=False)
    add_rows(owner, 1, 1, opens=30)
    with running(PgNet(database.dsn)):
        bell.minute()
        app.calls.get(timeout=_TIMEOUT)
        give_up = time.monotonic() + _TIMEOUT
        while (answered := owner.execute("select status_code, timed_out from net._http_response").fetchone()) is None:
            assert time.monotonic() < give_up, "the missing answer was not recorded"
    app.answers.set()
    assert answered == (None, True)


@pytest.mark.usefixtures("stand_ins")
def test_a_failed_run_is_recorded_and_stops_no_other(database: Database) -> None:
    owner = database.connection
    Bell(owner, sends=False)
    owner.execute(
        "select cron.schedule('bad', '* * * * *', 'select 1/0'), cron.schedule('good', '* * * * *', 'select 1')"
    )
    PgCron(database.dsn).run_jobs(owner)
    noted = owner.execute("select status from cron.job_run_details order by runid").fetchall()
    assert noted == [("failed: 22012",), ("succeeded",)]


def test_the_tower_rings_and_stops_in_real_time(database: Database, owner: Connection, app: App, url: str) -> None:
    row = add_prebooking(owner, add_venue(owner))
    with run_bell(database.dsn, url=url, secret=SECRET):
        assert app.calls.get(timeout=_TIMEOUT) == (_PATH, f"Bearer {SECRET}")
        assert prebooking(owner, row)["status"] == "pending"
    assert not {"PgNet", "PgCron"} & {thread.name for thread in threading.enumerate()}
