"""``prebooking secrets``: new secrets that the settings accept, in a file that is never overwritten."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from prebooking.channels.settings import NotificationSettings
from prebooking.cli.new_secrets import SECRETS
from prebooking.settings import Settings, WatchSettings
from tests.support.terminal import Terminal

DATABASE = {"SUPABASE_URL": "https://project.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_the_tests"}


def values(text: str, folder: Path) -> dict[str, str]:
    """Return the variables of a .env, as python-dotenv reads them."""
    (folder / "lines").write_text(text)
    return {name: value or "" for name, value in dotenv_values(folder / "lines", interpolate=False).items()}


def test_the_settings_accept_them_all(terminal: Terminal, tmp_path: Path) -> None:
    printed = terminal.succeeds("secrets")
    made = values(printed.replace("# BOOKING_", "BOOKING_").replace("# NOTIFY_", "NOTIFY_"), tmp_path)
    assert list(made) == list(SECRETS)
    addresses = dict.fromkeys(("BOOKING_WEBHOOK_URL", "NOTIFY_WEBHOOK_URL"), "https://example.com/x")
    for kind in (Settings, NotificationSettings, WatchSettings):
        kind.from_environment(DATABASE | addresses | made)
    assert len(set(made.values())) == len(made)
    assert made.items().isdisjoint(values(terminal.succeeds("secrets"), tmp_path).items())


def test_as_printed_they_need_no_more_than_the_database(terminal: Terminal, tmp_path: Path) -> None:
    """A secret without its address would be an error, so it is a comment."""
    Settings.from_environment(DATABASE | values(terminal.succeeds("secrets"), tmp_path))


def test_every_line_says_where_it_belongs(terminal: Terminal) -> None:
    lines = terminal.shows_at_width("secrets", columns=40).splitlines()
    assert [line.removeprefix("# ").partition("=")[0] for line in lines[1::2]] == list(SECRETS)
    assert all(line.startswith("# ") and "in Vercel" in line for line in lines[::2])


def test_one_of_them_can_be_made_alone(terminal: Terminal, tmp_path: Path) -> None:
    for name in SECRETS:
        assert list(values(terminal.succeeds("secrets", "--only", name), tmp_path)) == [name]
    assert "no secret SECRET: it is one of CRON_SECRET," in terminal.fails("secrets", "--only", "SECRET", code=2)


@pytest.mark.parametrize("content", ["", "CRON_SECRET=mine\n"])
def test_an_env_file_is_never_overwritten(terminal: Terminal, tmp_path: Path, content: str) -> None:
    file = tmp_path / ".env"
    file.write_text(content)
    for words in (["secrets", "--write"], ["secrets", "--write", "--only", "CRON_SECRET"]):
        assert "which is not changed: print the lines without --write" in terminal.fails(*words)
    assert file.read_text() == content


def test_a_written_file_is_private_and_read_by_the_command_line(terminal: Terminal, tmp_path: Path) -> None:
    output = terminal.succeeds("secrets", "--write")
    file = tmp_path / ".env"
    written = values(file.read_text(), tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert written.pop("VERCEL_PYTHON_COMPILEALL") == "1"
    assert list(written) == [*DATABASE, *(name for name, secret in SECRETS.items() if not secret.optional)]
    assert not any(secret and secret in output for secret in written.values())
    assert all(name in output for name in DATABASE), "they are still empty"


def test_a_file_of_one_secret_has_nothing_to_fill_in(terminal: Terminal, tmp_path: Path) -> None:
    assert "SUPABASE" not in terminal.succeeds("secrets", "--write", "--only", "METRICS_SECRET")
    assert list(values((tmp_path / ".env").read_text(), tmp_path)) == ["METRICS_SECRET"]
