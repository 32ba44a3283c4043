"""`prebooking cron-job`: the two jobs at cron-job.org, against a server that keeps to its documentation."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from prebooking.cli import cron_job
from prebooking.cli.app import app
from prebooking.cli.cronjob import client
from prebooking.cli.cronjob.job import DetailedJob, WantedJob
from tests.support.cron_job_org import DAILY, EVERY, KEY, CronJobOrg, StoppedClock
from tests.support.endpoints import serve_app

APP = "https://gym.example.com"
SECRET = "the-secret-of-the-cron"
SCHEDULER, UPKEEP = "prebooking scheduler at gym.example.com", "prebooking upkeep at gym.example.com"
URLS = {SCHEDULER: f"{APP}/api/cron/prebooking_scheduler", UPKEEP: f"{APP}/api/cron/upkeep"}
BEARER = f"Bearer {SECRET}"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CronJobOrg]:
    """Return cron-job.org, with an empty account."""
    clock = StoppedClock()
    account = CronJobOrg(clock)
    monkeypatch.setattr(cron_job, "Clock", clock.a_minute_later)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRONJOB_API_KEY", KEY)
    monkeypatch.setenv("CRON_SECRET", SECRET)
    with serve_app(account.app) as address:
        monkeypatch.setattr(client, "API", address)
        yield account


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["cron-job", *words], prog_name="prebooking")
    assert KEY not in result.output
    assert SECRET not in result.output
    assert "Traceback" not in result.output
    return result


def lines(*words: str) -> list[str]:
    """Run a command that succeeds, and return its output."""
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def error(*words: str, code: int = 1) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    [sentence] = result.stderr.splitlines()
    return sentence


def test_on_creates_both_jobs_as_the_functions_need_them(there: CronJobOrg) -> None:
    assert lines("on", APP) == [f"Created: {title}, a POST every minute." for title in (SCHEDULER, UPKEEP)]
    assert {job["title"]: job["url"] for job in there.jobs.values()} == URLS
    for job in there.jobs.values():
        assert (job["enabled"], job["requestMethod"], job["requestTimeout"]) == (True, 1, 15)
        assert job["extendedData"] == {"headers": {"Authorization": BEARER}, "body": ""}
        assert {job["schedule"][name] == EVERY for name in ("hours", "mdays", "minutes", "months", "wdays")} == {True}
        assert (job["notification"]["onFailure"], job["notification"]["onDisable"]) == (True, True)
        assert job["saveResponses"] is False


def test_on_twice_changes_nothing(there: CronJobOrg) -> None:
    lines("on", APP)
    before, sent = json.dumps(there.jobs), len(there.requests)
    assert lines("on", f"{APP}/api/cron/prebooking-scheduler") == [f"Nothing to do: both jobs call {APP} every minute."]
    assert json.dumps(there.jobs) == before
    assert [request.split()[0] for request in there.requests[sent:]] == ["GET"] * 3


BY_HAND: dict[str, dict[str, Any]] = {
    "switched off": {"enabled": False},
    "its title": {"title": "my job"},
    "its address": {"url": "https://old.example.com/api/cron/prebooking_scheduler"},
    "its method": {"requestMethod": 0},
    "its timeout": {"requestTimeout": 5},
    "its notifications": {"notification": {"onFailure": True, "onSuccess": False, "onDisable": False}},
    "its HTTP authentication": {"auth": {"enable": True, "user": "me", "password": "x"}},
    "its Authorization header": {"extendedData": {"headers": {"authorization": "Bearer another-one"}, "body": ""}},
}


@pytest.mark.parametrize("what", BY_HAND)
def test_on_repairs_a_job_that_was_changed_by_hand(there: CronJobOrg, what: str) -> None:
    lines("on", APP)
    before = json.loads(json.dumps(there.find(SCHEDULER)))
    there.jobs[before["jobId"]] |= BY_HAND[what]
    shown = run("show", APP)
    assert shown.exit_code == 1
    assert what.removeprefix("its ") in shown.stdout
    assert lines("on", APP) == [f"Repaired: {SCHEDULER} ({what})."]
    assert there.find(SCHEDULER) == before
    assert len(there.jobs) == 2


@pytest.mark.parametrize("change", [{"minutes": [0, 30]}, {"wdays": [1, 2, 3]}, {"expiresAt": 20261231235959}])
def test_on_repairs_a_schedule_that_is_not_every_minute_for_ever(there: CronJobOrg, change: dict[str, Any]) -> None:
    lines("on", APP)
    job = there.find(UPKEEP)
    job["schedule"] = job["schedule"] | change
    assert lines("on", APP) == [f"Repaired: {UPKEEP} (its schedule)."]
    assert lines("show", APP)


def test_settings_that_do_no_harm_stay(there: CronJobOrg) -> None:
    lines("on", APP)
    job = there.find(SCHEDULER)
    others = {"x-vercel-protection-bypass": "token", "Authorization": BEARER}
    job |= {"saveResponses": True, "requestTimeout": 30, "extendedData": {"headers": others, "body": ""}}
    job["schedule"] = job["schedule"] | {"minutes": list(range(60)), "timezone": "Europe/Madrid"}
    assert lines("on", APP)[0].startswith("Nothing to do")
    job["extendedData"] = {"headers": others | {"Authorization": "Bearer old"}, "body": ""}
    lines("on", APP)
    assert there.find(SCHEDULER)["extendedData"]["headers"] == others


def test_a_job_that_was_disabled_after_failures_is_switched_on_with_a_hint(there: CronJobOrg) -> None:
    lines("on", APP)
    there.find(SCHEDULER).update({"enabled": False, "lastStatus": 5})
    [line] = lines("on", APP)
    assert line.startswith(f"Repaired: {SCHEDULER} (switched off). Its last execution failed: timeout: look")
    assert there.find(SCHEDULER)["enabled"]


def test_a_job_made_by_hand_is_taken_over(there: CronJobOrg) -> None:
    there.add(title="booker", url=f"{APP}/api/cron/prebooking-scheduler", enabled=True, requestMethod=1)
    output = lines("on", APP)
    assert output[0].startswith(f"Repaired: {SCHEDULER} (its title, its timeout, its schedule, its notifications")
    assert output[1] == f"Created: {UPKEEP}, a POST every minute."
    assert len(there.jobs) == 2


def test_duplicates_are_removed_and_jobs_of_others_are_left_alone(there: CronJobOrg) -> None:
    lines("on", APP)
    there.add(title=SCHEDULER, url=URLS[SCHEDULER])
    by_hand = there.add(title="by hand", url=URLS[UPKEEP])
    other_app = there.add(title="prebooking scheduler at other.example.com", url="https://other.example.com/x")
    foreign = there.add(title="backup", url="https://example.com/backup")
    assert "there twice" in run("show", APP).stdout
    output = " ".join(lines("on", APP))
    assert f"Removed: a second {SCHEDULER}." in output
    assert f"Job {by_hand} calls the same address" in output
    assert set(there.jobs) == {101, 102, by_hand, other_app, foreign}
    assert lines("off", APP)[:2] == [f"Removed: {SCHEDULER}.", f"Removed: {UPKEEP}."]
    assert set(there.jobs) == {by_hand, other_app, foreign}


def test_off_twice_changes_nothing(there: CronJobOrg) -> None:
    lines("on", APP)
    lines("off", APP)
    assert there.jobs == {}
    assert lines("off", APP) == [f"Nothing to do: this account has no jobs of prebooking for {APP}."]


def test_show_reports_the_last_execution_and_what_is_missing(there: CronJobOrg) -> None:
    missing = run("show", APP)
    assert (missing.exit_code, missing.stdout.count("missing")) == (1, 2)
    assert f"prebooking cron-job on {APP}" in missing.stdout
    lines("on", APP)
    there.find(SCHEDULER)["lastStatus"] = 1
    output = " ".join(" ".join(lines("show", APP)).split())
    assert f"{SCHEDULER} OK every minute" in output
    assert f"{UPKEEP} not executed yet every minute" in output
    first, _ = json.loads(run("show", APP, "--json").stdout)
    assert first == {"title": SCHEDULER, "job_id": 101, "last": "OK", "faults": []}


def test_show_needs_no_secret_and_compares_it_if_it_is_there(
    there: CronJobOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines("on", APP)
    monkeypatch.setenv("CRON_SECRET", "another-secret-of-the-cron")
    assert "wrong: Authorization header" in run("show", APP).stdout
    monkeypatch.delenv("CRON_SECRET")
    lines("show", APP)
    assert "CRON_SECRET is missing" in error("on", APP)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "refuses the settings"),
        (401, "refuses the key"),
        (403, "does not accept the key from this address"),
        (404, "was removed meanwhile"),
        (409, "conflict"),
        (429, "A limit of cron-job.org is reached: 100 requests per day"),
        (500, "has trouble (HTTP 500)"),
        (503, "has trouble (HTTP 503)"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_error_is_one_sentence_with_a_cure(there: CronJobOrg, method: str, status: int, sentence: str) -> None:
    if method in ("PATCH", "DELETE"):
        lines("on", APP)
        there.find(UPKEEP)["enabled"] = False
    there.fails[method] = (status, False)
    assert sentence in error("off" if method == "DELETE" else "on", APP)
    lines("on", APP)
    assert {job["title"]: job["enabled"] for job in there.jobs.values()} == {SCHEDULER: True, UPKEEP: True}


def test_a_job_whose_creation_was_not_confirmed_is_not_created_twice(there: CronJobOrg) -> None:
    there.fails["PUT"] = (500, True)
    assert "Run this again" in error("on", APP)
    assert lines("on", APP) == [f"Created: {UPKEEP}, a POST every minute."]
    assert {job["title"]: job["url"] for job in there.jobs.values()} == URLS


def test_nothing_is_created_if_the_list_is_incomplete(there: CronJobOrg) -> None:
    there.some_failed = True
    assert "could not list all jobs" in error("on", APP)
    assert there.jobs == {}


def test_the_limits_are_kept_with_many_duplicates(there: CronJobOrg) -> None:
    for _ in range(20):
        there.add(title=SCHEDULER, url=URLS[SCHEDULER])
    lines("on", APP)
    assert len(there.jobs) == 2
    lines("off", APP)
    assert there.jobs == {}


def test_the_daily_limit_is_named(there: CronJobOrg) -> None:
    there.requests.extend(["GET /jobs"] * DAILY)
    assert "100 requests per day" in error("show", APP)


def test_no_answer_and_a_page_of_a_proxy_are_named(there: CronJobOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(client, "API", f"http://127.0.0.1:{port}")
    assert "gave no answer" in error("on", APP)

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<p>Sign in</p>"})

    with serve_app(page) as address:
        monkeypatch.setattr(client, "API", address)
        assert "cannot be read" in error("on", APP)


@pytest.mark.parametrize("answer", [b'{"jobs": [{"jobId": "x"}]}', b'{"jobs": 7}', b"{}", b"[]"])
def test_an_answer_that_cannot_be_read_is_named_without_its_text(
    there: CronJobOrg, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    async def respond(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    with serve_app(respond) as address:
        monkeypatch.setattr(client, "API", address)
        assert "cannot be read" in error("show", APP)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("gym.example.com", "is not a web address"),
        ("http://gym.example.com", "is not https"),
        ("https://127.0.0.1:3000", "give a public name"),
        ("https://gym.example.com/book", "Give the app's address alone"),
        ("https://gym.example.com?x=1", "Give the app's address alone"),
    ],
)
def test_an_address_that_cannot_be_called_exits_with_2(there: CronJobOrg, url: str, sentence: str) -> None:
    assert sentence in error("on", url, code=2)
    assert there.requests == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CRON_SECRET", "", "is missing"),
        ("CRON_SECRET", "short", "too short"),
        ("CRON_SECRET", "é" * 20, "ASCII"),
        ("CRONJOB_API_KEY", "", "make one in Settings at console.cron-job.org"),
        ("CRONJOB_API_KEY", "short", "copy it again from Settings at console.cron-job.org"),
        ("CRONJOB_API_KEY", "é" * 20, "copy it again from Settings at console.cron-job.org"),
    ],
)
def test_a_secret_that_cannot_be_right_is_named_without_its_value(
    there: CronJobOrg, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    output = error("on", APP)
    assert output.startswith(f"Error: {name} ")
    assert sentence in output
    assert there.requests == []


def test_no_secret_is_in_a_log_or_a_representation(there: CronJobOrg, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines("on", APP)
    job = DetailedJob.model_validate(there.find(SCHEDULER))
    wanted = WantedJob("upkeep", APP, SecretStr(SECRET))
    assert job.extended_data.headers == {"Authorization": BEARER}
    assert SECRET not in f"{job!r} {job.extended_data!r} {wanted!r} {caplog.text}"
    assert KEY not in caplog.text
