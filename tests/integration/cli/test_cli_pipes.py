"""Output to pipes, files and narrow terminals, and the sources of settings."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.factories import add_prebooking, add_venue
from tests.support.postgrest import IMITATION
from tests.support.programs import run_python
from tests.support.terminal import ANA, Terminal

TERMINAL_REST = IMITATION  # starts at once; these tests are about input and output

ADA = "ada.lovelace.of.the.analytical.engine@example.com"
LONG = "Competition Class For Everybody Who Has A Very Long Evening"


def two_prebookings(terminal: Terminal) -> None:
    """Add two prebookings of two members at two venues, with long names."""
    opens = datetime.now(UTC) + timedelta(hours=1)
    for member, name in ((ADA, "Box Centro de la Ciudad"), (ANA, "Box Norte de la Ciudad")):
        data = {"class_id": "1", "class_name": LONG}
        venue = add_venue(terminal.connection, name=name)
        add_prebooking(terminal.connection, venue, user_email=member, booking_data=data, available_at=opens)


# pipes and terminals


@pytest.mark.parametrize("columns", ["20", "80"])
def test_in_a_pipe_each_row_is_one_line_however_long(terminal: Terminal, columns: str) -> None:
    two_prebookings(terminal)
    terminal.environment.setenv("COLUMNS", columns)
    [line] = [line for line in terminal.succeeds("list").splitlines() if ADA in line]
    assert LONG in line
    assert "Box Centro de la Ciudad" in line
    assert "waiting" in line


def test_in_a_pipe_every_row_names_its_member(terminal: Terminal) -> None:
    two_prebookings(terminal)
    assert (
        len([line for line in terminal.succeeds("list", "-m", ADA).splitlines() if ADA in line and LONG in line]) == 1
    )


def test_on_a_terminal_names_are_folded_but_not_addresses_ids_and_times(terminal: Terminal) -> None:
    two_prebookings(terminal)
    output = terminal.shows_at_width("list", columns=130)
    assert max(map(len, output.splitlines())) <= 130
    assert ADA in output
    assert LONG not in output


@pytest.mark.parametrize("columns", [30, 80, 100])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(terminal: Terminal, columns: int) -> None:
    two_prebookings(terminal)
    output = terminal.shows_at_width("list", columns=columns)
    assert max(map(len, output.splitlines())) <= columns
    assert "…" not in output


def test_json_is_ascii_for_every_name(terminal: Terminal) -> None:
    name = "Ñandú \x9b2J \u202egnp.exe \u2028 \x7f"
    add_venue(terminal.connection, name=name)
    output = terminal.succeeds("venue", "list", "--json")
    assert output.isascii()
    assert "\x7f" not in output
    assert json.loads(output)[0]["name"] == name


# a full disk


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["venue", "--help"], ["status"], ["doctor"], ["doctor", "--json"]]
)
def test_a_full_disk_is_one_error_message(terminal: Terminal, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        result = run_python("-m", "prebooking.cli", *words, folder=Path.cwd(), stdout=full)
    assert result.stderr == "Error: Standard output cannot be written to: No space left on device.\n"
    assert result.returncode == 1


# where settings come from


def in_a_file(**variables: str) -> None:
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


@pytest.mark.parametrize("key", ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"])
def test_a_key_from_the_environment_is_not_sent_to_an_address_from_a_dotenv_file(terminal: Terminal, key: str) -> None:
    url, secret = os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"]
    for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SESSION_ENCRYPTION_KEY", "AIMHARDER_TWIN_URL"):
        terminal.environment.delenv(name)
    terminal.environment.setenv(key, secret)
    in_a_file(SUPABASE_URL=url)
    output = terminal.fails("list")
    assert f"SUPABASE_URL is in the .env of this folder, {key} in the environment: set both in one place" in output
    in_a_file(SUPABASE_URL=url, SUPABASE_SERVICE_ROLE_KEY="sb_secret_of_somebody_else")
    assert "SUPABASE_URL is in the .env of this folder" in terminal.fails("list")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode()),
        ("SESSION_ENCRYPTION_KEY_PREVIOUS", base64.b64encode(bytes(32)).decode()),
        ("AIMHARDER_TWIN_URL", "http://127.0.0.1:9"),
        ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_somebody_else"),
    ],
)
def test_the_variables_of_one_database_come_from_one_source(terminal: Terminal, name: str, value: str) -> None:
    terminal.environment.delenv(name, raising=False)
    in_a_file(**{name: value})
    assert f"{name} is in the .env of this folder" in terminal.fails("list")


def test_an_endpoint_and_its_secret_come_from_one_source(terminal: Terminal) -> None:
    terminal.environment.setenv("BOOKING_WEBHOOK_SECRET", "0123456789abcdef")
    in_a_file(BOOKING_WEBHOOK_URL="https://evil.example/")
    assert "BOOKING_WEBHOOK_URL is in the .env of this folder" in terminal.fails("list")


def test_a_dotenv_file_may_set_everything_or_independent_variables(terminal: Terminal) -> None:
    names = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SESSION_ENCRYPTION_KEY", "AIMHARDER_TWIN_URL")
    everything = {name: os.environ[name] for name in names}
    in_a_file(PREBOOKING_MEMBER=ANA, SUPABASE_SECRET_KEY="sb_secret_that_is_not_needed", STAGGER_MS="50")
    assert ANA in terminal.succeeds("list")
    for name in names:
        terminal.environment.delenv(name)
    in_a_file(**everything, PREBOOKING_MEMBER=ANA)
    assert ANA in terminal.succeeds("list")
