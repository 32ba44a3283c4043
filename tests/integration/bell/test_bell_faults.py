"""The faults that the bell's state shows, in pg_cron, pg_net and the function, each with its cure."""

from __future__ import annotations

import pytest

from prebooking.database.bell import BellState, find_bell_faults
from tests.support.bells import Bell, add_rows
from tests.support.database import Connection, set_clock
from tests.support.factories import noon

_STATUS = "select public.prebooking_bell_status_v1()"
_HTML = "<!DOCTYPE html><title>Authentication Required</title>"


def add_run(
    owner: Connection, status: str, message: str = "", *, start: float | None, end: float | None = None
) -> None:
    """Add pg_cron's record of a run of the bell, in seconds after noon."""
    owner.execute(
        """insert into cron.job_run_details (jobid, status, return_message, start_time, end_time)
        select jobid, %s, %s, %s, %s from cron.job""",
        [status, message, None if start is None else noon(start), None if end is None else noon(end)],
    )


def look(owner: Connection, seconds: float) -> None:
    """Begin a run of the bell at this instant."""
    set_clock(owner, noon(seconds))
    owner.execute("select public.prebooking_bell_begin()")


# pg_cron


def test_a_working_bell_has_no_faults(owner: Connection, bell: Bell) -> None:
    for start in (0, 60, 120):
        add_run(owner, "succeeded", "DO", start=start, end=start + 59.75)
    add_run(owner, "running", start=180)
    look(owner, 180)
    assert bell.faults() == ""
    assert [run["state"] for run in bell.status()["runs"]] == ["ok"] * 3


def test_a_bell_that_is_off_has_no_faults(owner: Connection, bell: Bell) -> None:
    add_run(owner, "failed", "ERROR: something", start=0, end=1)
    bell.off()
    set_clock(owner, noon(3600))
    assert bell.faults() == ""


@pytest.mark.parametrize(
    ("status", "message", "end", "fault"),
    [
        (
            "failed",
            "ERROR:  function min(record) does not exist\nCONTEXT:  ...",
            0.1,
            "failed (ERROR:  function min(rec",
        ),
        ("failed", "connection failed", None, "failed (connection failed)"),
        ("failed", "server restarted", None, "failed (server restarted)"),
        ("failed", "", 0.1, "failed (no message)"),
        (
            "failed",
            "ERROR:  canceling statement due to statement timeout\nCONTEXT:  SQL function",
            20,
            "alter role postgres set statement_timeout = '2min'",
        ),
        ("running", "", None, "did not end"),
        ("starting", "", None, "did not end"),
    ],
)
def test_a_failed_run_is_reported_with_the_cure(
    owner: Connection, bell: Bell, *, status: str, message: str, end: float | None, fault: str
) -> None:
    add_run(owner, status, message, start=0, end=end)
    look(owner, 120)
    assert fault in bell.faults()
    assert "CONTEXT" not in bell.faults()


def test_a_run_that_never_started_is_reported(owner: Connection, bell: Bell) -> None:
    add_run(owner, "failed", "job startup timeout", start=None)
    add_run(owner, "failed", "job startup timeout", start=None)
    look(owner, 120)
    assert "failed (job startup timeout)" in bell.faults()


def test_an_earlier_failure_is_no_fault(owner: Connection, bell: Bell) -> None:
    add_run(owner, "failed", "ERROR: something", start=0, end=1)
    add_run(owner, "succeeded", start=60, end=119)
    look(owner, 120)
    assert bell.faults() == ""


def test_minutes_without_a_run_are_reported(owner: Connection, bell: Bell) -> None:
    for start in (0, 60, 240):
        add_run(owner, "succeeded", start=start, end=start + 59)
    look(owner, 300)
    assert "leaves minutes out" in bell.faults()


@pytest.mark.parametrize(("now", "silent"), [(89, False), (91, True)])
def test_a_bell_that_never_ran_is_reported(owner: Connection, bell: Bell, now: float, *, silent: bool) -> None:
    set_clock(owner, noon(now))
    assert ("pg_cron has not run it yet" in bell.faults()) is silent


def test_a_bell_that_stopped_running_is_reported_with_the_time(owner: Connection, bell: Bell) -> None:
    look(owner, 60)
    set_clock(owner, noon(60 + 3 * 3600))
    assert f"pg_cron has not run it since {noon(60):%Y-%m-%d %H:%M:%S} UTC" in bell.faults()


def test_runs_of_another_job_are_ignored(owner: Connection, bell: Bell) -> None:
    owner.execute("insert into cron.job_run_details (jobid, status, start_time) values (999, 'failed', %s)", [noon(0)])
    look(owner, 60)
    assert bell.status()["runs"] == []


def test_the_operator_s_key_reads_the_runs_of_the_bell(owner: Connection, service: Connection, bell: Bell) -> None:
    add_run(owner, "failed", "ERROR: something", start=0, end=1)
    look(owner, 60)
    (status,) = service.execute(_STATUS).fetchone() or ({},)
    assert "failed (ERROR: something)" in "".join(find_bell_faults(BellState.model_validate(status)))


# pg_net


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("arrives", [True, False], ids=["one ring", "several rings"])
def test_waiting_requests_are_reported_with_the_time(owner: Connection, *, arrives: bool) -> None:
    bell = Bell.switched_on(owner, sends=False, arrives=arrives)
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    waiting = 1 if arrives else 6
    assert (bell.status()["waiting"], bell.status()["waiting_since"]) == (waiting, noon(27).isoformat())
    assert f"{waiting} requests wait in pg_net's queue since 2026-11-23 12:00:27 UTC" in bell.faults()
    assert "net.worker_restart()" in bell.faults()


@pytest.mark.usefixtures("stand_ins")
def test_waiting_requests_of_others_count_from_the_bell_s_first_look(owner: Connection) -> None:
    bell = Bell.switched_on(owner, sends=False)
    owner.execute(
        "insert into net.http_request_queue (url, headers, timeout_milliseconds) values ('https://x.example', '{}', 1)"
    )
    for start in (60, 120):
        look(owner, start)
    assert bell.status()["waiting_since"] == noon(60).isoformat()
    owner.execute("delete from net.http_request_queue")
    assert (bell.status()["waiting"], bell.faults()) == (0, "")


@pytest.mark.usefixtures("stand_ins")
def test_recent_requests_are_no_fault(owner: Connection) -> None:
    bell = Bell.switched_on(owner, sends=False)
    add_rows(owner, 1, 1, opens=62.5)
    bell.minute()
    assert (bell.status()["waiting"], bell.faults()) == (1, "")


# the function


@pytest.mark.parametrize(
    ("response", "kind", "fault"),
    [
        ({"status_code": 200, "content_type": "application/json", "content": "{}"}, "json", None),
        ({"timed_out": True, "error_msg": "Timeout was reached"}, "slow", None),
        (
            {
                "timed_out": True,
                "error_msg": "Timeout of 1000 ms reached. Total time: 1000.6 ms (DNS time: 2.0 ms, TCP/SSL handshake "
                "time: 40.1 ms, HTTP Request/Response time: 958.5 ms)",
            },
            "slow",
            None,
        ),
        (
            {
                "timed_out": True,
                "error_msg": "Timeout of 1000 ms reached. Total time: 1000.6 ms (DNS time: 2.0 ms, TCP/SSL handshake "
                "time: 998.6 ms, HTTP Request/Response time: 0.000000 ms)",
            },
            "unsent",
            "the function could not be reached (Timeout of 1000 ms",
        ),
        ({"timed_out": False, "error_msg": "Couldn't connect to server"}, "unsent", "Couldn't connect to server"),
        ({"status_code": 401, "content_type": "application/json"}, "json", "is not the function's CRON_SECRET"),
        ({"status_code": 401, "content_type": "text/html; charset=utf-8"}, "html", "Deployment Protection"),
        ({"status_code": 401, "content": _HTML}, "html", "Deployment Protection"),
        ({"status_code": 403, "content": _HTML}, "html", "Deployment Protection"),
        ({"status_code": 403}, "other", "look at its firewall"),
        ({"status_code": 404, "content_type": "text/plain"}, "other", "no function at this address"),
        ({"status_code": 308, "content_type": "text/plain"}, "other", "a redirect"),
        ({"status_code": 402}, "other", "look at its plan"),
        ({"status_code": 500, "content": ' {"message": 1}'}, "json", "look at the log of the function"),
    ],
)
def test_the_answer_to_the_last_ring_is_explained(
    owner: Connection, bell: Bell, response: dict[str, object], kind: str, fault: str | None
) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    fields = {"status_code": None, "content_type": None, "content": None, "timed_out": None, "error_msg": None}
    owner.execute(
        """insert into net._http_response (id, status_code, content_type, content, timed_out, error_msg)
        select id, %(status_code)s, %(content_type)s, %(content)s, %(timed_out)s, %(error_msg)s from testing.posts""",
        fields | response,
    )
    status = bell.status()
    assert (status["answer"], status["answer_kind"]) == (response.get("status_code"), kind)
    assert bell.faults() == "" if fault is None else fault in bell.faults()


def test_the_most_severe_answer_counts(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 20, 40, opens=30)
    bell.minute()
    owner.execute("insert into net._http_response (id, timed_out) select min(id), true from testing.posts")
    owner.execute("insert into net._http_response (id, status_code) select max(id), 500 from testing.posts")
    owner.execute("insert into net._http_response (id, status_code) select max(id) + 1, 404 from testing.posts")
    assert bell.status()["answer"] == 500


def test_a_ring_without_an_answer_yet_is_no_fault(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    assert (bell.status()["answer_kind"], bell.faults()) == (None, "")


@pytest.mark.usefixtures("stand_ins")
def test_unclaimed_rows_are_counted(owner: Connection) -> None:
    bell = Bell.switched_on(owner, arrives=False)
    add_rows(owner, 1, 3, opens=30)
    bell.minute()
    assert bell.status()["unclaimed"] == 3
    bell.arrives(arrives=True)
    add_rows(owner, 1, 1, opens=70)
    bell.minute(60)
    assert bell.status()["unclaimed"] == 0
