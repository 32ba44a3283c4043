"""GET /api/metrics: what a Prometheus server reads, for its own secret alone, without personal data."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api import metrics
from prebooking.metrics import METRICS
from tests.support.boxes import KEYS
from tests.support.database import Connection, Database, Rest
from tests.support.factories import add_prebooking, add_venue
from tests.support.functions import BEARER, client_of, logged, set_environment
from tests.support.terminal import now

pytestmark = pytest.mark.anyio

SECRET = "the-secret-of-the-metrics"
ASKED = {"authorization": f"Bearer {SECRET}"}
# What may break a line, a label or a parser.
HOSTILE = [
    'a "quoted" name',
    "two\nlines",
    "a\\backslash\\",
    '\\"',
    "\\n",
    'x"} 1\nevil_metric 1',
    "# HELP evil",
    "{}=,",
    "\r\ttabs",
    "caf\u00e9 \u2028 \U0001f3cb",
    " ",
]
_SAMPLE = re.compile(
    r'(?P<name>[a-z_]+)(?P<labels>\{([a-z_]+="([^"\\\n]|\\["\\n])*"(,|(?=\})))+\})? '
    r"-?(\d+(\.\d+)?(e[-+]?\d+)?|NaN|[+-]?Inf)"
)
_COMMENT = re.compile(r"# (HELP [a-z_]+ [^\n\\]+|TYPE [a-z_]+ gauge)")


@pytest.fixture
async def function(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    set_environment(monkeypatch, rest, METRICS_SECRET=SECRET, **KEYS)
    async with client_of(metrics.app) as client:
        yield client


async def scrape(function: httpx.AsyncClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples by name and labels, read by the rules of the format and by the parser of Prometheus."""
    answer = await function.get("/api/metrics", headers=ASKED)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    lines = answer.text.split("\n")[:-1]
    assert [line for line in lines if not (_SAMPLE.fullmatch(line) or _COMMENT.fullmatch(line))] == []
    samples = {}
    families = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in families}) == len(families), "all lines of a metric are together"
    for family in families:
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, "no sample is there twice"
            samples[key] = sample.value
    assert {name for name, _ in samples} <= {metric.name for metric in METRICS}
    return samples


def fill(owner: Connection) -> None:
    """Add what every metric has a sample of."""
    box = add_venue(owner, name="Box Centro")
    opens = now(-600)
    for late in (50, 1500):
        fired = opens + timedelta(milliseconds=late)
        ended = {"settled_at": fired, "fired_at": fired, "created_at": opens - timedelta(minutes=late)}
        add_prebooking(owner, box, available_at=opens, status="completed", outcome="booked", **ended)
    add_prebooking(owner, box, available_at=opens, status="failed", outcome="full", settled_at=opens)
    add_prebooking(owner, box, available_at=now(7200), expires_at=now(9000))
    add_prebooking(owner, box, available_at=now(-300), created_at=now(-300))
    owner.execute(
        "insert into notifications (event, about, channel_id, due_at, next_at, status, settled_at)"
        " select 'alert', n::text, gen_random_uuid(), now(), now(), 'dead', now() from generate_series(1, 3) n"
    )
    owner.execute("update venues set troubled_since = now() - interval '1 hour'")
    owner.execute(
        "insert into prebooking_runs (instance_id, opened_at, closed_at, claim_ms, summary) values"
        ' (gen_random_uuid(), now(), now(), 7, \'{"execution_time_ms": 812, "outcomes": {"unsure": 2}}\'),'
        " (gen_random_uuid(), now() - interval '1 hour', null, 7, null)"
    )
    owner.execute(
        "insert into prebooking_heartbeat (last_tick_at, sessions_at, watchdog_at)"
        " values (timestamptz 'epoch' + interval '60 years', now(), now())"
    )


async def test_every_metric_has_the_figures_of_status(function: httpx.AsyncClient, database: Database) -> None:
    fill(database.connection)
    samples = await scrape(function)
    assert {name for name, _ in samples} == {metric.name for metric in METRICS}
    day = ("window", "24h")
    expected: dict[tuple[Any, ...], float] = {
        ("prebooking_last_tick_timestamp_seconds",): 1_893_456_000,
        ("prebooking_pending_rows", ("state", "pending")): 2,
        ("prebooking_pending_rows", ("state", "overdue")): 1,
        ("prebooking_overdue_rows", ("system", "webhook")): 1,
        ("prebooking_next_opening_rows", ("venue", "Box Centro")): 1,
        ("prebooking_open_runs",): 1,
        ("prebooking_runs", day): 2,
        ("prebooking_cut_off_runs", day): 1,
        ("prebooking_run_duration_seconds", ("statistic", "p95"), day): 0.812,
        ("prebooking_completed_rows", day): 2,
        ("prebooking_failed_rows", ("outcome", "full"), day): 1,
        ("prebooking_connection_errors", day): 2,
        ("prebooking_overtaken_rows", day): 1,
        ("prebooking_first_calls", day): 2,
        ("prebooking_lateness_seconds", ("statistic", "max"), day): 1.5,
        ("prebooking_claims_blocked",): 0,
        ("prebooking_dead_messages",): 3,
        ("prebooking_failing_channels",): 0,
    }
    assert {(name, *labels): value for (name, labels), value in samples.items()}.items() >= expected.items()


async def test_an_empty_database_has_no_samples_without_a_value(function: httpx.AsyncClient) -> None:
    names = {name for name, _ in await scrape(function)}
    assert "prebooking_open_runs" in names
    assert not names & {"prebooking_last_tick_timestamp_seconds", "prebooking_lateness_seconds"}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_of_a_venue_is_one_label(
    function: httpx.AsyncClient, database: Database, name: str
) -> None:
    owner = database.connection
    for _ in range(2):
        add_prebooking(owner, add_venue(owner, name=name), available_at=now(7200), expires_at=now(9000))
    owner.execute("update venues set troubled_since = now()")
    samples = await scrape(function)
    named = {dict(labels)["venue"] for _, labels in samples if "venue" in dict(labels)}
    assert named == {name}
    assert "evil_metric" not in {sample for sample, _ in samples}


async def test_no_member_no_address_and_no_secret_is_in_the_answer(
    function: httpx.AsyncClient, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = database.connection
    box = add_venue(owner, name="Box", provider="aimharder", host="canary.aimharder.com", provider_box_id="42")
    add_prebooking(owner, box, user_email="canary@example.com", available_at=now(7200), expires_at=now(9000))
    answer = await function.get("/api/metrics", headers=ASKED)
    assert "prebooking_missing_logins 1\n" in answer.text
    for private in ("canary", "@", SECRET, "example"):
        assert private not in answer.text + capsys.readouterr().out


@pytest.mark.parametrize("authorization", ["", "Bearer undefined", "Bearer ", BEARER["authorization"], SECRET])
async def test_only_the_secret_of_the_metrics_is_accepted(function: httpx.AsyncClient, authorization: str) -> None:
    answer = await function.get("/api/metrics", headers={"authorization": authorization})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert (answer.json(), answer.headers["cache-control"]) == (
        {"success": False, "error": "unauthorized"},
        "no-store",
    )


@pytest.mark.parametrize("headers", [ASKED, BEARER, {}, {"authorization": "Bearer "}])
async def test_without_the_setting_there_is_nothing(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.delenv("METRICS_SECRET")
    answer = await function.get("/api/metrics", headers=headers)
    assert (answer.status_code, answer.json()) == (404, {"success": False, "error": "not_found"})


async def test_an_invalid_secret_is_not_accepted(function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_SECRET", "short")
    answer = await function.get("/api/metrics", headers={"authorization": "Bearer short"})
    assert (answer.status_code, answer.json()["error"]) == (500, "server_not_configured")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_the_metrics_are_only_read(function: httpx.AsyncClient, method: str) -> None:
    assert (await function.request(method, "/api/metrics", headers=ASKED)).status_code == 405


async def test_a_database_that_refuses_is_500_without_figures(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_another_project")
    answer = await function.get("/api/metrics", headers=ASKED)
    assert (answer.status_code, answer.json()) == (500, {"success": False, "error": "no_figures"})
    assert [line["event"] for line in logged(capsys)] == ["metrics_failed"]


async def test_an_unexpected_error_is_500_without_its_text(
    function: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("canary")

    monkeypatch.setattr("prebooking.metrics.create_isolated_supabase", fail)
    answer = await function.get("/api/metrics", headers=ASKED)
    assert (answer.status_code, answer.json()) == (500, {"success": False, "error": "no_figures"})
    assert "canary" not in answer.text + capsys.readouterr().out
