"""`prebooking doctor`: each check fails in each of its ways, with its cure and exit code 1."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from prebooking.cli.doctor import CHECKS
from prebooking.cli.doctor.setup import FUNCTIONS
from tests.support import (
    breakages_of_running,  # noqa: F401 - they register breakages
    breakages_of_setup,  # noqa: F401 - they register breakages
)
from tests.support.breakages import BREAKAGES, SECRET, HealthySystem
from tests.support.breakages_of_venues import book_at, endpoint_answers
from tests.support.peers import answers
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, PASSWORD, Terminal
from tests.verification.hostile_replies import ok

TERMINAL_REST = IMITATION  # starts at once; test_cli_add and test_cli_status use the real one

WARNINGS = {(check.name, way) for check in CHECKS for way in check.warnings}


def found(system: HealthySystem) -> list[dict[str, Any]]:
    """Return the doctor's warnings and failures, after checking its exit code."""
    result = system.terminal.run("doctor", "--json")
    assert result.err == ""
    assert result.code == (0 if all(check["ok"] for check in result.json) else 1)
    return [check for check in result.json if check["way"]]


def test_without_a_fault_every_line_is_ok(system: HealthySystem) -> None:
    lines = system.terminal.succeeds("doctor").splitlines()
    assert [line[:5] for line in lines] == ["ok   "] * len(lines)
    names = [line[5:].split(":")[0] for line in lines]
    assert names == [*(check.name for check in CHECKS if check.name not in ("claims", "endpoint"))]


@pytest.mark.grid
@pytest.mark.parametrize("what", BREAKAGES, ids=lambda what: "-".join(filter(None, what)))
def test_each_breakage_is_found_with_its_cure(system: HealthySystem, what: tuple[str, str, str]) -> None:
    name, way, _ = what
    broken, message = BREAKAGES[what]
    broken(system)
    all_found = found(system)
    there = [check for check in all_found if (check["name"], check["way"]) == (name, way)]
    assert any(message in check["message"] for check in there), all_found
    assert {check["ok"] for check in there} == {(name, way) in WARNINGS}


def test_every_way_of_every_check_has_a_breakage() -> None:
    assert {(check.name, way) for check in CHECKS for way in check.ways} == {(name, way) for name, way, _ in BREAKAGES}


def test_a_warning_has_its_own_mark_and_exit_code_0(system: HealthySystem) -> None:
    BREAKAGES["claims", "slow", ""][0](system)
    assert [line.split(":")[0] for line in system.terminal.succeeds("doctor").splitlines() if line[:2] != "ok"] == [
        "warn claims"
    ]


def test_a_failure_is_marked_and_no_secret_is_shown(system: HealthySystem) -> None:
    system.set(CRON_SECRET_PREVIOUS=SECRET)
    result = system.terminal.run("doctor")
    assert (result.code, SECRET in result.out) == (1, False)
    assert any(line.startswith("FAIL secrets: ") for line in result.out.splitlines())


def test_the_address_of_the_watchdog_is_neither_shown_nor_called(system: HealthySystem) -> None:
    called = list[bytes]()

    async def watchdog(peer: Any) -> None:
        await peer.request(1)
        called.append(bytes(peer.received))

    system.set(HEARTBEAT_URL=f"{system.serve(watchdog)}/canary")
    for words in (["doctor"], ["doctor", "--json"], ["status"], ["status", "--json"]):
        assert "canary" not in system.terminal.succeeds(*words)
    assert called == []


def test_the_doctor_checks_every_database_function(terminal: Terminal) -> None:
    """Of a function with several versions it checks the newest, which is the one that this version calls."""
    there = terminal.rows(
        "select distinct on (name) proname from pg_proc, regexp_replace(proname, '_v[0-9]+$', '') name"
        " where pronamespace = 'public'::regnamespace and proname ~ '_v[0-9]+$|_bell_(on|off)$'"
        " order by name, length(proname) desc, proname desc"
    )
    assert {name for (name,) in there} == set(FUNCTIONS)


# Supabase's gateway

GATEWAY = {
    "a legacy key": ("401 X", b'{"message": "Legacy API keys are disabled"}', "a secret key of this project"),
    "a wrong key": ("401 X", b'{"message": "Invalid API key"}', "Supabase refuses the key"),
    "a quota": ("402 X", b'{"message": "exceed_egress_quota"}', "a quota is used up or a bill is overdue"),
    "paused": ("540 X", b"<html>paused</html>", "The project is paused: restore it"),
    "unknown": ("404 X", b"<html>no</html>", "There is no Supabase project at this address"),
    "a schema": ("406 X", b'{"code": "PGRST106", "message": "x"}', "The schema public is not exposed"),
    "read-only": ("405 X", b'{"code": "25006", "message": "x"}', "The database is read-only"),
    "moved": ("308 X", b"", "SUPABASE_URL points to another address"),
    "overloaded": ("503 X", b"<html>wait</html>", "overloaded or restarting"),
    "no Supabase": ("200 OK", b"<html>log in</html>", "What answers at SUPABASE_URL is not Supabase"),
}


@pytest.mark.parametrize("what", GATEWAY)
@pytest.mark.parametrize("words", [["doctor"], ["status"]])
def test_an_error_of_the_gateway_is_named_with_its_cure(system: HealthySystem, what: str, words: list[str]) -> None:
    status, body, cure = GATEWAY[what]
    system.set(SUPABASE_URL=system.serve(answers(ok(body, status=status))))
    result = system.terminal.run(*words)
    assert result.code == 1
    assert cure in result.out + result.err
    assert "network" not in result.out + result.err


# endpoints without a fault

HEALTHY = {
    "answers the question": ("200 OK", b'{"state": "not_booked"}', False),
    "takes POST only, and knows keys": ("405 Method Not Allowed", b"", True),
    "needs a body, and knows keys": ("400 Bad Request", b"", True),
    "has no GET, and knows keys": ("501 Not Implemented", b"", True),
}


@pytest.mark.parametrize("what", HEALTHY)
def test_a_working_endpoint_has_no_finding(system: HealthySystem, what: str) -> None:
    status, body, idempotent = HEALTHY[what]
    endpoint_answers(system, status, body, idempotent=idempotent)
    assert found(system) == []


def test_an_endpoint_that_answers_404_to_get_but_takes_post_is_only_a_warning(system: HealthySystem) -> None:
    async def express(peer: Any) -> None:
        await peer.request(1)
        post = peer.received.startswith(b"OPTIONS")
        await peer.say(ok(b"POST", "Allow: POST") if post else ok(b"Cannot GET /book", status="404 Not Found"))

    book_at(system, system.serve(express))
    assert [(check["way"], check["ok"]) for check in found(system)] == [("no_question", True)]


def test_the_query_carries_the_secret_and_books_nothing(system: HealthySystem) -> None:
    asked = list[bytes]()

    async def endpoint(peer: Any) -> None:
        await peer.request(1)
        asked.append(bytes(peer.received))
        await peer.say(ok(b'{"state": "not_booked"}'))

    book_at(system, system.serve(endpoint))
    assert found(system) == []
    question, options = asked
    assert question.startswith(b"GET /book?prebooking_id=00000000-0000-0000-0000-000000000000 ")
    assert options.startswith(b"OPTIONS /book ")
    assert all(b"Bearer f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4" in received for received in asked)


# what the doctor does not check


def test_a_paused_venue_is_not_visited(system: HealthySystem) -> None:
    system.terminal.succeeds("venue", "pause", "box centro")
    calls = len(system.terminal.twin.ledger.entries)
    pages = [call for call in system.terminal.twin.ledger.entries if getattr(call, "path", "") == "/"]
    assert found(system) == []
    assert [call for call in system.terminal.twin.ledger.entries[calls:] if getattr(call, "path", "") == "/"] == []
    assert pages == []


def test_a_login_that_is_not_needed_within_a_week_is_not_checked(system: HealthySystem) -> None:
    system.terminal.twin.members.log_out(ANA)
    system.sql(
        "update prebookings set available_at = now() + interval '8 days', expires_at = now() + interval '9 days'"
    )
    system.sql("update prebooking_heartbeat set sessions_at = null")
    assert found(system) == []


@pytest.mark.parametrize("how", ["by the venue", "in the database"])
def test_a_remembered_login_that_is_over_is_no_fault(system: HealthySystem, how: str) -> None:
    system.terminal.succeeds("login", "box centro", "--remember", "-m", ANA, stdin=f"{PASSWORD}\n")
    system.terminal.twin.members.log_out(ANA)
    if how == "in the database":
        system.sql("update member_sessions set expired_at = now()")
    assert found(system) == []
    assert "is logged in again before the opening" in system.terminal.succeeds("doctor")


def test_a_login_sealed_with_another_key_is_cured_by_a_new_login(system: HealthySystem) -> None:
    BREAKAGES["session", "key", ""][0](system)
    system.terminal.succeeds("login", "box centro", "--new-key", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert found(system) == []


def test_a_running_claim_is_not_a_forgotten_lock(system: HealthySystem) -> None:
    assert system.terminal.run("doctor", "--json").json
    before = datetime.now(UTC)
    with system.database.connect().transaction():
        pass
    [(locks,)] = system.terminal.rows("select prebooking_locks()")
    assert locks == {"rows": 0, "row_pids": [], "claims_pid": None}
    assert (datetime.now(UTC) - before).total_seconds() < 1
