"""The doctor: each of its checks fails in each of its ways once, with the cure, and the exit code tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from prebooking.cli.doctor import CHECKS
from prebooking.cli.doctor.setup import FUNCTIONS
from tests import breakages_of_running, breakages_of_setup  # noqa: F401 - they fill BREAKAGES
from tests.breakages import BREAKAGES, SECRET, Scene, all_well
from tests.breakages_of_venues import book_at, endpoint_answers
from tests.database import Database
from tests.peers import answers
from tests.proof.hostile_replies import ok
from tests.terminal import ANA, PASSWORD, Terminal

WARNINGS = {(check.name, way) for check in CHECKS for way in check.warnings}


@pytest.fixture
def scene(terminal: Terminal, database: Database) -> Iterator[Scene]:
    """Everything is as it must be."""
    all_well(terminal)
    with ExitStack() as closing:
        yield Scene(terminal, database, closing)


def found(scene: Scene) -> list[dict[str, Any]]:
    """Return what the doctor does not find well; its exit code says whether somebody has to cure something."""
    said = scene.terminal.type("doctor", "--json")
    assert said.err == ""
    assert said.code == (0 if all(check["ok"] for check in said.json) else 1)
    return [check for check in said.json if check["way"]]


def test_when_all_is_well_every_line_says_so(scene: Scene) -> None:
    lines = scene.terminal.does("doctor").splitlines()
    assert [line[:5] for line in lines] == ["ok   "] * len(lines)
    names = [line[5:].split(":")[0] for line in lines]
    assert names == [*(check.name for check in CHECKS if check.name not in ("claims", "endpoint"))]


@pytest.mark.parametrize("what", BREAKAGES, ids=lambda what: "-".join(filter(None, what)))
def test_what_is_broken_is_found_with_its_cure(scene: Scene, what: tuple[str, str, str]) -> None:
    name, way, _ = what
    broken, said = BREAKAGES[what]
    broken(scene)
    all_found = found(scene)
    there = [check for check in all_found if (check["name"], check["way"]) == (name, way)]
    assert any(said in check["said"] for check in there), all_found
    assert {check["ok"] for check in there} == {(name, way) in WARNINGS}


def test_there_is_a_test_for_each_way_in_which_a_check_can_fail() -> None:
    assert {(check.name, way) for check in CHECKS for way in check.ways} == {(name, way) for name, way, _ in BREAKAGES}


def test_a_warning_has_a_mark_of_its_own_and_is_no_failure(scene: Scene) -> None:
    BREAKAGES["claims", "slow", ""][0](scene)
    assert [line.split(":")[0] for line in scene.terminal.does("doctor").splitlines() if line[:2] != "ok"] == [
        "warn claims"
    ]


def test_a_failure_is_marked_and_no_secret_is_shown(scene: Scene) -> None:
    scene.set(CRON_SECRET_PREVIOUS=SECRET)
    said = scene.terminal.type("doctor")
    assert (said.code, SECRET in said.out) == (1, False)
    assert any(line.startswith("FAIL secrets: ") for line in said.out.splitlines())


def test_the_doctor_asks_for_every_function_there_is(terminal: Terminal) -> None:
    there = terminal.rows(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname ~ '_v1$|_bell_(on|off)$'"
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
ASKED_AGAIN = ("overloaded", "no Supabase")


@pytest.mark.parametrize("what", GATEWAY)
@pytest.mark.parametrize("words", [["doctor"], ["status"]])
def test_an_answer_of_the_gateway_is_named_with_its_cure(scene: Scene, what: str, words: list[str]) -> None:
    status, body, cure = GATEWAY[what]
    scene.set(SUPABASE_URL=scene.serve(answers(ok(body, status=status))))
    said = scene.terminal.type(*words)
    assert said.code == 1
    assert cure in said.out + said.err
    assert "network" not in said.out + said.err


# the endpoint: what is no fault

HEALTHY = {
    "answers the question": ("200 OK", b'{"state": "not_booked"}', False),
    "takes POST only, and knows keys": ("405 Method Not Allowed", b"", True),
    "needs a body, and knows keys": ("400 Bad Request", b"", True),
    "has no GET, and knows keys": ("501 Not Implemented", b"", True),
}


@pytest.mark.parametrize("what", HEALTHY)
def test_a_healthy_endpoint_is_not_accused(scene: Scene, what: str) -> None:
    status, body, idempotent = HEALTHY[what]
    endpoint_answers(scene, status, body, idempotent=idempotent)
    assert found(scene) == []


def test_an_endpoint_that_answers_404_to_a_question_but_takes_posts_is_only_warned_about(scene: Scene) -> None:
    async def express(peer: Any) -> None:
        await peer.request(1)
        post = peer.received.startswith(b"OPTIONS")
        await peer.say(ok(b"POST", "Allow: POST") if post else ok(b"Cannot GET /book", status="404 Not Found"))

    book_at(scene, scene.serve(express))
    assert [(check["way"], check["ok"]) for check in found(scene)] == [("no_question", True)]


def test_the_question_carries_the_secret_and_books_nothing(scene: Scene) -> None:
    asked = list[bytes]()

    async def endpoint(peer: Any) -> None:
        await peer.request(1)
        asked.append(bytes(peer.received))
        await peer.say(ok(b'{"state": "not_booked"}'))

    book_at(scene, scene.serve(endpoint))
    assert found(scene) == []
    question, options = asked
    assert question.startswith(b"GET /book?prebooking_id=00000000-0000-0000-0000-000000000000 ")
    assert options.startswith(b"OPTIONS /book ")
    assert all(b"Bearer f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4" in received for received in asked)


# what rests, and what is not judged


def test_a_paused_venue_is_not_visited(scene: Scene) -> None:
    scene.terminal.does("venue", "pause", "box")
    calls = len(scene.terminal.twin.ledger.entries)
    pages = [call for call in scene.terminal.twin.ledger.entries if getattr(call, "path", "") == "/"]
    assert found(scene) == []
    assert [call for call in scene.terminal.twin.ledger.entries[calls:] if getattr(call, "path", "") == "/"] == []
    assert pages == []


def test_a_login_that_is_not_needed_within_a_day_is_not_asked_about(scene: Scene) -> None:
    scene.terminal.twin.members.log_out(ANA)
    scene.sql("update prebookings set available_at = now() + interval '2 days', expires_at = now() + interval '3 days'")
    scene.sql("update prebooking_heartbeat set sessions_at = null")
    assert found(scene) == []


def test_a_login_sealed_with_another_key_is_well_again_after_a_new_login(scene: Scene) -> None:
    BREAKAGES["session", "key", ""][0](scene)
    scene.terminal.does("login", "box", "--new-key", "-m", ANA, typed=f"{PASSWORD}\n")
    assert found(scene) == []


def test_a_claim_under_way_is_no_forgotten_lock(scene: Scene) -> None:
    assert scene.terminal.type("doctor", "--json").json
    before = datetime.now(UTC)
    with scene.database.connect().transaction():
        pass
    [(locks,)] = scene.terminal.rows("select prebooking_locks()")
    assert locks == {"rows": 0, "row_pids": [], "claims_pid": None}
    assert (datetime.now(UTC) - before).total_seconds() < 1
