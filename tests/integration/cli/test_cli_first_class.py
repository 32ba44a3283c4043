"""The four commands from an empty database to a prebooked class, and their errors."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from prebooking.bookers.aimharder.seal import Purpose, Seal
from prebooking.settings import session_key
from tests.support.terminal import ANA, BOX, HOST, MADRID, PASSWORD, Terminal, day

RULE = "72 hours before"


def test_four_commands_prebook_a_class(terminal: Terminal) -> None:
    terminal.twin.open_box(HOST, box_id=BOX, name="Box Centro")
    terminal.twin.join(ANA, PASSWORD)
    terminal.offer(day=day(6))
    added = terminal.succeeds(
        "venue", "add", "Box Centro", "--host", HOST, "--zone", "Europe/Madrid", "--opens", "4 days before"
    )
    assert "booking opens 4 days before" in added
    logged_in = terminal.succeeds("login", "Box Centro", "--member", ANA, stdin=f"{PASSWORD}\n")
    assert f"{ANA} is logged in at Box Centro" in logged_in
    listed = terminal.succeeds("classes", "box centro", str(day(6)), "--member", ANA)
    assert "19:30" in listed
    assert "0/10" in listed
    asked = terminal.succeeds("add", "box centro", str(day(6)), "19:30", "--member", ANA)
    opens = datetime.combine(day(2), datetime.min.time().replace(hour=19, minute=30), MADRID)
    assert f"{opens:%a %d %b %H:%M}" in asked
    [(email, data, available_at, expires_at, status)] = terminal.rows(
        "select user_email, booking_data, available_at, expires_at, status from prebookings"
    )
    assert (email, status, available_at) == (ANA, "pending", opens)
    assert expires_at == datetime.combine(day(6), opens.time(), MADRID)
    assert data == {
        "class_id": "1001",
        "day": f"{day(6):%Y%m%d}",
        "class_name": "WOD",
        "starts_at": expires_at.astimezone(UTC).isoformat(),
    }


# venue add


def test_a_host_may_be_given_as_a_url(terminal: Terminal) -> None:
    terminal.succeeds(
        "venue", "add", "Box", "--host", f"https://{HOST.upper()}/", "--zone", "Europe/Madrid", "--opens", RULE
    )
    assert terminal.rows("select host, timezone, opening_rule, provider_box_id from venues") == [
        (HOST, "Europe/Madrid", "72 hours before", None)
    ]


@pytest.mark.parametrize(
    ("changed", "cure"),
    [
        ({"--zone": "Europe/Madird"}, "did you mean Europe/Madrid?"),
        ({"--host": "evil.example"}, "<box>.aimharder.com or <box>.aimharder.es"),
        ({"--host": "aimharder.com.evil.example"}, "<box>.aimharder.com or <box>.aimharder.es"),
        ({"--opens": "next week"}, '"72 hours before" or "3 days before at 20:00"'),
        ({"--opens": ""}, "When does booking open there?"),
        ({"--box": "4x"}, "the first login finds it"),
    ],
)
def test_an_unusable_venue_is_refused_with_the_cure(terminal: Terminal, changed: dict[str, str], cure: str) -> None:
    options = {"--host": HOST, "--zone": "Europe/Madrid", "--opens": RULE} | changed
    words = [word for pair in options.items() for word in pair]
    assert cure in terminal.fails("venue", "add", "Box", *words, code=2)
    assert terminal.rows("select * from venues") == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "Box\x1b[2J"])
def test_an_unprintable_or_long_name_is_refused(terminal: Terminal, name: str) -> None:
    words = ["--host", HOST, "--zone", "Europe/Madrid", "--opens", RULE]
    assert "1 to 60 characters" in terminal.fails("venue", "add", name, *words, code=2)


def test_an_existing_name_or_box_is_refused(terminal: Terminal) -> None:
    terminal.add_box("--box", "42")
    words = ["--zone", "Europe/Madrid", "--opens", RULE, "--host"]
    assert 'a venue "Box Centro" already' in terminal.fails("venue", "add", "box centro", *words, "b.aimharder.es")
    assert 'already, as "Box Centro"' in terminal.fails("venue", "add", "Other", *words, HOST, "--box", "42")


def test_a_login_at_the_same_box_under_a_second_name_is_refused(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    words = ["--zone", "Europe/Madrid", "--opens", RULE, "--host", HOST]
    terminal.succeeds("venue", "add", "Twice", *words)
    assert "if it is another of that host, say --box" in terminal.fails("venue", "add", "Thrice", *words)
    output = terminal.fails("login", "Twice", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert output.endswith(
        f'Twice is the same box as "Box Centro": pause Twice, and prebooking login "Box Centro" --member {ANA}'
    )
    assert terminal.rows("select provider_box_id from venues where name = 'Twice'") == [(None,)]
    assert len(terminal.rows("select * from member_sessions")) == 1


def test_a_webhook_venue_needs_no_host_and_no_rule_and_has_no_timetable(terminal: Terminal) -> None:
    terminal.succeeds("venue", "add", "Mine", "--provider", "webhook", "--zone", "Europe/Madrid")
    assert "has no timetable to ask" in terminal.fails("classes", "Mine", "today")


# login


def test_a_login_is_stored_sealed_without_the_password(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    [(email, sealed, version)] = terminal.rows("select user_email, sealed, version from member_sessions")
    assert (email, version) == (ANA, 1)
    token = next(iter(terminal.twin.members._sessions.values())).token
    assert token not in sealed
    everything = str([terminal.rows(query) for query in ("select * from venues", "select * from member_sessions")])
    assert PASSWORD not in everything
    assert token not in everything


def test_a_remembered_password_is_stored_sealed_and_the_answer_explains_how_to_undo_it(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    output = terminal.succeeds("login", "box centro", "--remember", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert (
        'and so is the password: it is used to log in once before each opening, until `prebooking logout "Box' in output
    )
    [(venue, sealed, key_id, everything)] = terminal.rows(
        "select venue_id, password, password_key_id, s::text from member_sessions s"
    )
    seal = Seal(session_key(os.environ["SESSION_ENCRYPTION_KEY"]))
    assert seal.open(sealed, venue_id=venue, member=ANA, purpose=Purpose.PASSWORD) == {
        "username": ANA,
        "password": PASSWORD,
    }
    assert key_id == seal.key_ids[0]
    assert PASSWORD not in everything + output


def test_a_login_without_remember_removes_a_remembered_password(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    remembered = "select version, password is not null from member_sessions"
    terminal.succeeds("login", "box centro", "--remember", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert terminal.rows(remembered) == [(2, True)]
    assert terminal.succeeds("login", "list").split("Refreshed")[1].count("password remembered") == 1
    assert terminal.run("login", "list", "--json").json[0]["remembered"] is True
    output = terminal.succeeds("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert output.rstrip().endswith("The login is stored encrypted, and the remembered password is removed.")
    assert terminal.rows(remembered) == [(3, False)]
    output = terminal.succeeds("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert output.rstrip().endswith("The login is stored encrypted, the password is not kept.")


def test_a_login_that_is_refused_leaves_the_remembered_password(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.succeeds("login", "box centro", "--remember", "-m", ANA, stdin=f"{PASSWORD}\n")
    before = terminal.rows("select * from member_sessions")
    terminal.fails("login", "box centro", "-m", ANA, stdin="a wrong one\n")
    terminal.fails("login", "box centro", "--remember", "-m", ANA, stdin="a wrong one\n")
    assert terminal.rows("select * from member_sessions") == before


def test_a_password_that_is_too_long_to_be_remembered_is_not_tried(terminal: Terminal) -> None:
    terminal.add_box()
    output = terminal.fails("login", "box centro", "--remember", "-m", ANA, stdin="x" * 12_300 + "\n", code=2)
    assert "too long to be remembered" in output
    assert [call for call in terminal.twin.ledger.entries if getattr(call, "path", "") == "/api/login"] == []


def test_the_first_login_finds_the_number_of_the_box(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    assert terminal.rows("select provider_box_id from venues") == [(str(BOX),)]


def test_a_second_login_replaces_the_first(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    terminal.succeeds("login", "box centro", "--member", ANA.upper(), stdin=f"{PASSWORD}\n")
    assert terminal.rows("select user_email, version from member_sessions") == [(ANA, 2)]


def test_wrong_passwords_are_refused_and_nothing_is_stored(terminal: Terminal) -> None:
    terminal.add_box()
    terminal.twin.join(ANA, PASSWORD)
    tries = [terminal.fails("login", "box centro", "-m", ANA, stdin="a wrong one\n") for _ in range(6)]
    assert "check the e-mail and the password" in tries[0]
    assert "too many attempts: wait" in tries[5]
    assert "too many attempts: wait" in terminal.fails("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert "a wrong one" not in "".join(tries)
    assert terminal.rows("select * from member_sessions") == []
    assert terminal.rows("select provider_box_id from venues") == [(None,)]


def test_a_member_of_other_boxes_is_refused_with_their_names(terminal: Terminal) -> None:
    terminal.add_box()
    terminal.twin.join(ANA, PASSWORD)
    terminal.twin.boxes.clear()
    terminal.twin.open_box("norte.aimharder.com", box_id=7, name="Box Norte")
    output = terminal.fails("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert f"not a member at {HOST}, but at Box Norte (norte.aimharder.com)" in output
    assert terminal.rows("select * from member_sessions") == []


def test_a_login_refuses_a_wrong_box_number(terminal: Terminal) -> None:
    terminal.add_box("--box", "7")
    terminal.twin.join(ANA, PASSWORD)
    output = terminal.fails("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert f"with --box and one of {BOX}" in output
    assert terminal.rows("select * from member_sessions") == []


@pytest.mark.parametrize(
    ("variable", "value", "cure"),
    [
        ("SESSION_ENCRYPTION_KEY", "", "openssl rand -base64 32"),
        ("SESSION_ENCRYPTION_KEY", "c2hvcnQ=", "32 bytes in base64"),
        ("AIMHARDER_TWIN_URL", "http://127.0.0.1:9", "does not answer"),
    ],
)
def test_a_login_needs_a_key_and_a_venue_that_answers(terminal: Terminal, variable: str, value: str, cure: str) -> None:
    terminal.add_box()
    terminal.twin.join(ANA, PASSWORD)
    terminal.environment.setenv(variable, value)
    assert cure in terminal.fails("login", "box centro", "-m", ANA, stdin=f"{PASSWORD}\n")
    assert terminal.rows("select * from member_sessions") == []
    assert [call for call in terminal.twin.ledger.entries if getattr(call, "path", "") == "/api/login"] == []


@pytest.mark.parametrize(("words", "stdin"), [(["-m", ANA], ""), ([], "x\n"), (["-m", "ana"], "x\n")])
def test_a_login_needs_a_member_and_a_password(terminal: Terminal, words: list[str], stdin: str) -> None:
    terminal.add_box()
    terminal.fails("login", "box centro", *words, stdin=stdin, code=2)
