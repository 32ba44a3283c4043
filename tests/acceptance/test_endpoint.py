"""Responses to raw requests on a socket: status, headers and body."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from prebooking.local.function import PATH, Function
from tests.support.peers import unused_port
from tests.support.world import ENVIRONMENT
from tests.verification.canaries import Canaries
from tests.verification.configurations import BAD
from tests.verification.endpoint import (
    Observed,
    complaint,
    configuration_violations,
    observed_configurations,
    outbound_violations,
)
from tests.verification.raw_requests import HYPHEN, NOT_CONFIGURED, REQUESTS, SECRET, UNAUTHORISED, Raw, send
from tests.verification.watch import Watch, watching

PREVIOUS = "the-secret-of-last-month"


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with watching() as watch:
        yield watch


@pytest.fixture(scope="module")
def unused() -> int:
    """The port of a database that is not there."""
    return unused_port()


@pytest.fixture(scope="module")
def function(watch: Watch, unused: int) -> Iterator[Function]:
    settings = {"CRON_SECRET_PREVIOUS": PREVIOUS, "SUPABASE_URL": f"http://127.0.0.1:{unused}"}
    with watch.function(ENVIRONMENT | settings) as function:
        yield function.ready()


@pytest.mark.parametrize("raw", REQUESTS, ids=range(len(REQUESTS)))
def test_every_request_gets_its_exact_response_and_opens_no_connection(
    function: Function, watch: Watch, raw: Raw
) -> None:
    before = watch.connections()
    assert complaint(function, raw) is None
    assert watch.connections() == before


def test_the_watch_notices_a_connection(function: Function, watch: Watch, unused: int) -> None:
    assert "a connection to" not in "".join(
        outbound_violations(Watch(watch.notes.with_name("other")), function, unused)
    )
    assert ("127.0.0.1", unused) in watch.connections()
    assert f"a connection to 127.0.0.1:{unused}" in outbound_violations(watch, function, unused)


def test_an_unexpected_response_is_reported(function: Function) -> None:
    right = f"Authorization: Bearer {SECRET}"
    assert "HTTP 500" in (complaint(function, Raw(f"POST {PATH}", (right,), UNAUTHORISED)) or "")
    assert "HTTP 404" in (complaint(function, Raw("POST /", (), UNAUTHORISED)) or "")


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
@pytest.mark.parametrize(
    ("request_line", "scheme"),
    [
        (f"POST {PATH}", "Bearer"),
        (f"GET {PATH}", "bearer"),
        (f"POST {HYPHEN}", "BEARER"),
        (f"GET {HYPHEN}?x=1", "bEaReR"),
    ],
)
def test_both_secrets_are_accepted_and_an_unreachable_database_is_500(
    function: Function, watch: Watch, request_line: str, scheme: str, secret: str
) -> None:
    answer = send(function, request_line, f"Authorization: {scheme} {secret}")
    summary = json.loads(answer.body)
    assert (answer.status, answer.headers["cache-control"], summary["success"]) == (500, "no-store", False)
    assert summary["details"] == dict.fromkeys(["total", "completed", "failed", "released", "unsure", "lost"], 0)
    assert len(answer.body) < 4096
    assert "ConnectError" in "".join(watch.log)
    assert secret not in "".join(watch.log)


def test_a_bad_configuration_refuses_requests_and_logs_the_variable_without_its_value() -> None:
    canaries = Canaries(ENVIRONMENT)
    with watching() as watch:
        observed = observed_configurations(watch)
        assert watch.connections() == []
    for (name, value), one in zip(BAD, observed, strict=True):
        assert list(configuration_violations(name, value, one)) == []
        canaries.search(name, one.log)
    assert canaries.hits == []


def test_a_configuration_that_leaks_or_is_not_named_is_reported() -> None:
    closed, named = [500, NOT_CONFIGURED.decode()], '{"problems": {"CRON_SECRET": "is too short"}}'
    assert list(configuration_violations("CRON_SECRET", "canary", Observed([closed], [named]))) == []
    for wrong in (
        Observed([], []),
        Observed([[401, ""]], [named]),
        Observed([closed], []),
        Observed([closed], ['{"problems": {"LEASE_SECONDS": "is too short"}}']),
        Observed([closed], [named, "canary"]),
    ):
        assert list(configuration_violations("CRON_SECRET", "canary", wrong)) != []


def test_a_separate_process_without_configuration_refuses_requests() -> None:
    lines: list[str] = []
    with Function(ENVIRONMENT | {"CRON_SECRET": "canary"}, log=lines.append) as function:
        answer = send(function, f"POST {PATH}", f"Authorization: Bearer {SECRET}")
    assert (answer.status, answer.headers["cache-control"], answer.body) == (500, "no-store", NOT_CONFIGURED)
    assert list(json.loads(lines[0])["problems"]) == ["CRON_SECRET"]
    assert "canary" not in "".join(lines)


def test_every_log_line_is_json_with_the_instance_and_the_request_id(
    unused: int,
) -> None:
    log: list[str] = []
    with Function(ENVIRONMENT | {"SUPABASE_URL": f"http://127.0.0.1:{unused}"}, log=log.append) as function:
        send(function, f"POST {PATH}", "x-vercel-id: cdg1::iad1::abc12-1795481612577-677841b5eb4a")
        send(function, f"POST {PATH}", "x-vercel-id: canary@example.com")
        httpx.get(function.address, trust_env=False)
    lines = [json.loads(line) for line in log]
    assert all(line["instance_id"] for line in lines)
    assert [line["vercel_id"] for line in lines] == ["cdg1::iad1::abc12-1795481612577-677841b5eb4a", None]
    assert "canary" not in "".join(log)
