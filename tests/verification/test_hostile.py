"""Hostile venues and databases, a sample of each; and the judges of it, who must be able to complain."""

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
from tests.verification.part import faults, sample
from tests.verification.watch import Memory

SAYS_BOOKED = says(ok(b'{"state": "booked"}'))


def test_a_hostile_venue_costs_nobody_a_place_much_memory_or_time() -> None:
    assert faults(sample(hostile_venue.PART)) == []


def test_a_host_that_leads_astray_is_refused_or_never_called() -> None:
    assert faults(sample(hostile_hosts.PART)) == []


def test_a_hostile_database_costs_no_row_its_lease_much_memory_or_time() -> None:
    assert faults(sample(hostile_database.PART)) == []


def test_exceptions_are_those_of_what_was_answered() -> None:
    [busy, refused, unreadable] = exceptions.of_database([refusal("55P03"), refusal("23514"), SAYS_BOOKED])
    assert ("StoreBusy" in busy, "23514" in refused, "unreadable" in unreadable) == (True, True, True)


def test_there_is_as_much_hostility_as_was_promised() -> None:
    assert (len(UNSURE) + len(BOOKED) >= 15, len(HOSTS) >= 17, len(CODES) >= 12) == (True, True, True)
    assert {handling for _, handling in CODES.values()} == set(Handling)


def test_a_row_that_is_more_certain_than_its_answer_is_complained_of() -> None:
    with run() as on:
        on.add_prebooking("silence", SAYS_BOOKED)
        assert list(on.settled_or_in_doubt()) == ["silence: pending None, sent 0 times"]
        assert list(on.all_have_a_reason()) == ["silence: pending None None"]
        assert list(on.all_called()) == []
        assert list(on.settled_or_in_doubt()) == ["silence: completed booked, sent 1 times"]
        on.where.allowed.clear()
        assert len(on.where.foreign_connections()) == 2, "the database and the venue"


@pytest.mark.parametrize(
    "case",
    [
        HostileCase("a code that is asked about again", claim=refusal("57014"), code="22P02"),
        HostileCase(
            "a clear answer",
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
def test_a_database_s_answer_that_is_not_handled_as_it_must_be_is_complained_of(case: HostileCase) -> None:
    [result, _] = hostile_database.hostilities([case])
    assert result.violations != []


@pytest.mark.skipif(not Memory.can_be_measured(), reason="this system does not tell a process's peak")
def test_memory_that_is_taken_and_given_back_is_seen() -> None:
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
def test_a_canary_is_found_in_whatever_form(text: str) -> None:
    canaries = Canaries(ENVIRONMENT)
    canaries.search("a log", ["nothing here", text])
    assert (canaries.texts, len(canaries.hits) >= 1) == (2, True)
