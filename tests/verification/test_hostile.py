"""A sample of hostile venues and databases, and tests that their checks can complain."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.world import ENVIRONMENT
from tests.verification import exceptions, hostile_database, hostile_hosts, hostile_venue
from tests.verification.canaries import Canaries
from tests.verification.hostile_database import CODES, Handling, HostileCase, refusal
from tests.verification.hostile_hosts import HOSTS
from tests.verification.hostile_replies import BOOKED, MEBIBYTE, UNSURE, ok, says
from tests.verification.hostile_venue import run
from tests.verification.part import failures, sample
from tests.verification.watch import Memory

SAYS_BOOKED = says(ok(b'{"state": "booked"}'))


def test_a_hostile_venue_costs_no_place_and_little_memory_and_time() -> None:
    assert failures(sample(hostile_venue.PART)) == []


def test_a_misleading_host_is_refused_or_never_called() -> None:
    assert failures(sample(hostile_hosts.PART)) == []


def test_a_hostile_database_costs_no_lease_and_little_memory_and_time() -> None:
    assert failures(sample(hostile_database.PART)) == []


def test_each_response_leads_to_its_exception() -> None:
    [busy, refused, unreadable] = exceptions.of_database([refusal("55P03"), refusal("23514"), SAYS_BOOKED])
    assert ("StoreBusy" in busy, "23514" in refused, "unreadable" in unreadable) == (True, True, True)


def test_there_are_as_many_hostile_cases_as_documented() -> None:
    assert (len(UNSURE) + len(BOOKED) >= 15, len(HOSTS) >= 17, len(CODES) >= 12) == (True, True, True)
    assert {handling for _, handling in CODES.values()} == set(Handling)


def test_a_result_that_the_response_does_not_allow_is_reported() -> None:
    with run() as scenario:
        scenario.add_prebooking("silence", SAYS_BOOKED)
        assert list(scenario.check_certainty()) == ["silence: pending None, sent 0 times"]
        assert list(scenario.check_reasons()) == ["silence: pending None None"]
        assert list(scenario.call_all()) == []
        assert list(scenario.check_certainty()) == ["silence: completed booked, sent 1 times"]
        scenario.harness.allowed.clear()
        assert len(scenario.harness.foreign_connections()) == 2, "the database and the venue"


@pytest.mark.parametrize(
    "case",
    [
        HostileCase("a code that is retried", claim=refusal("57014"), code="22P02"),
        HostileCase(
            "a clear response",
            claim=says(
                ok(
                    b'{"now": "2030-01-01T00:00:00Z", "expired": 0, "unknown": 0, "locked": 0, "no_login": 0,'
                    b' "rows": []}'
                )
            ),
        ),
    ],
    ids=lambda case: case.name,
)
def test_a_wrongly_handled_response_of_the_database_is_reported(case: HostileCase) -> None:
    [result, _] = hostile_database.hostilities([case])
    assert result.violations != []


@pytest.mark.skipif(not Memory.can_be_measured(), reason="this system does not measure the peak of a process")
def test_memory_that_was_released_again_is_measured() -> None:
    program = "input(); data = bytearray(64 * 2**20); del data; print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        memory = Memory(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        assert 60 * MEBIBYTE < memory.grown() < 80 * MEBIBYTE
        process.communicate("\n", timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        f"https://{ENVIRONMENT['CRON_SECRET']}.example",
        "CANARY@example.com",
        "dGhlLXNlY3JldC1vZi10aGUtdmVudWU=",  # the venue's secret in base64
        "eDp0aGUtc2VjcmV0LW9mLXRoZS12ZW51ZQ==",  # ... and behind a user's name
    ],
)
def test_a_canary_is_found_in_every_encoding(text: str) -> None:
    canaries = Canaries(ENVIRONMENT)
    canaries.search("a log", ["nothing here", text])
    assert (canaries.texts, len(canaries.hits) >= 1) == (2, True)
