"""Parsing and formatting in the command line: days, times, durations, names, plots and errors."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import typer

from prebooking.cli import plot
from prebooking.cli.dates import parse_day, parse_instant, parse_time
from prebooking.cli.environment import environment
from prebooking.cli.lookup import matching_names
from prebooking.cli.runner import run_command, sentences
from prebooking.errors import (
    BadInput,
    CommandFailed,
    PrebookingError,
    SettingsError,
    StoreBusy,
    StoreRefused,
    StoreUnavailable,
)
from prebooking.local_time import format_duration, format_instant

MADRID = ZoneInfo("Europe/Madrid")
LATE = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)  # already the 24th in Madrid


def test_today_is_a_day_in_the_gym_s_time_zone() -> None:
    assert parse_day("today", now=LATE, zone=MADRID) == date(2026, 11, 24)
    assert parse_day("Tomorrow", now=LATE, zone=MADRID) == date(2026, 11, 25)
    assert parse_day("2026-11-24", now=LATE, zone=MADRID) == date(2026, 11, 24)
    with pytest.raises(BadInput, match="today is 2026-11-24 where the gym is"):
        parse_day("2026-11-23", now=LATE, zone=MADRID)


@pytest.mark.parametrize(("text", "clock"), [("8:00", time(8)), ("08:05", time(8, 5)), ("23:59", time(23, 59))])
def test_a_time_may_have_a_one_digit_hour(text: str, clock: time) -> None:
    assert parse_time(text) == clock


def test_an_instant_is_parsed_and_formatted_in_local_time() -> None:
    opens = parse_instant("2026-12-01 20:00", MADRID)
    assert (opens, opens.tzinfo) == (datetime(2026, 12, 1, 19, tzinfo=UTC), UTC)
    assert format_instant(opens, "Europe/Madrid") == "Tue 01 Dec 20:00"
    assert format_instant(opens, "America/New_York", seconds=True) == "Tue 01 Dec 14:00:00"


@pytest.mark.parametrize("text", ["2026-12-01T20:00:00", " 2026-12-01 19:00Z", "2026-12-01T14:00-05:00"])
def test_an_instant_may_have_seconds_and_an_offset(text: str) -> None:
    assert parse_instant(text, MADRID) == datetime(2026, 12, 1, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrow", "2026-12-01", "20261201", "20261201T2000", "2026-12-01 20", "2026-W49-2 20:00", "20:00"),
        *("2026-12-01_20:00", "2026-13-01 20:00", "2026-02-30 20:00", "2026-12-01 25:00", "2026-12-01 20:00+99:00"),
        *("0001-01-01T00:00+01:00", "9999-12-31T23:59-01:00"),
    ],
)
def test_an_invalid_instant_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match='is not a date and time: write it like "2026-12-01 20:00"'):
        parse_instant(text, MADRID)


def test_an_instant_outside_the_calendar_in_utc_is_refused() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    assert parse_instant("0001-01-01T00:00Z", MADRID) == first
    assert format_instant(first, "America/New_York") == "Mon 01 Jan 00:00 UTC"
    with pytest.raises(BadInput, match="is not a date and time"):
        parse_instant("0001-01-01 00:00", ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize("zone", ["Europe/Madird", "", "Europe", "../passwd", "/etc/passwd", "\0"])
def test_an_unknown_time_zone_is_shown_in_utc(zone: str) -> None:
    assert format_instant(LATE, zone) == "Mon 23 Nov 23:30 UTC"


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(seconds=-61), "1 min 1 s"),
        (timedelta(hours=25, seconds=5), "1 d 1 h"),
        (timedelta(days=2, seconds=5), "2 d 5 s"),
    ],
)
def test_a_duration_is_formatted_in_its_two_largest_units(span: timedelta, shown: str) -> None:
    assert format_duration(span) == shown


def test_a_whole_name_matches_before_a_part_of_one() -> None:
    names = ["WOD", "WOD Competition", "Open Box"]
    assert matching_names(names, "wod") == ["WOD"]
    assert matching_names(names, "COMP") == ["WOD Competition"]
    assert matching_names(names, "o") == names
    assert matching_names(names, "yoga") == []


def test_a_plot_has_one_column_per_value_and_shows_every_value_above_zero() -> None:
    lines = list(plot.columns([800, 0, 1, 400, -5], unit="ms"))
    assert lines[0] == "800 ms |█"
    assert lines[-1] == "  0 ms |█ ▁█"
    assert lines[plot.HEIGHT // 2] == "       |█  █"
    assert len(lines) == plot.HEIGHT


def test_a_plot_of_zeros_is_empty_and_a_plot_without_blocks_is_ascii() -> None:
    assert [line.partition("|")[2] for line in plot.columns([0, 0], unit="ms")] == [""] * plot.HEIGHT
    plain = list(plot.columns([10, 1], unit="ms", blocks=False))
    assert plain[-1] == " 0 ms |#."
    assert "".join(plain).isascii()


@pytest.mark.parametrize(
    ("exc", "cure"),
    [
        (StoreRefused("list_venues_v1", "PGRST202"), "prebooking init"),
        (StoreRefused("list_venues_v1", "42501"), "SUPABASE_SERVICE_ROLE_KEY"),
        (StoreRefused("list_venues_v1", "PGRST301"), "SUPABASE_SERVICE_ROLE_KEY"),
        (StoreRefused("list_venues_v1", "23514"), "refuses this (list_venues_v1: 23514)"),
        (StoreBusy("list_venues_v1", "55P03"), "try again in a few seconds"),
        (StoreUnavailable("list_venues_v1", "ConnectError"), "SUPABASE_URL"),
        (SettingsError({"SUPABASE_URL": "is missing"}), "SUPABASE_URL is missing (a .env"),
        (CommandFailed("There is no venue."), "There is no venue."),
    ],
)
def test_an_exception_is_one_message_with_the_cure(exc: PrebookingError, cure: str) -> None:
    [sentence] = sentences(exc)
    assert cure in sentence


def test_a_dotenv_file_without_read_permission_is_an_error_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> dict[str, str]:
        raise PermissionError

    monkeypatch.setattr("prebooking.cli.environment.dotenv_values", refused)  # root can read every file
    with pytest.raises(CommandFailed, match="may not be read: give yourself the right"):
        environment()


async def _raises(exc: BaseException) -> None:
    raise exc


@pytest.mark.parametrize(
    ("exc", "code", "printed"),
    [
        (BadInput("That is no day."), 2, "Error: That is no day.\n"),
        (CommandFailed("No.\x1b[2J"), 1, "Error: No.�[2J\n"),
        (SettingsError({"A": "is bad", "B": "is too"}), 1, None),
        (ZeroDivisionError("secret@example.com"), 1, None),
        (typer.Exit(3), 3, ""),
    ],
)
def test_a_failed_command_has_an_exit_code_and_no_traceback(
    capsys: pytest.CaptureFixture[str], exc: Exception, code: int, printed: str | None
) -> None:
    with pytest.raises(typer.Exit) as ended:
        run_command(_raises(exc))
    captured = capsys.readouterr()
    assert (ended.value.exit_code, captured.out) == (code, "")
    assert printed is None or captured.err == printed
    assert "secret@example.com" not in captured.err
    assert "Traceback" not in captured.err


def test_an_unexpected_exception_is_reported_with_its_type_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        run_command(_raises(ZeroDivisionError()))
    assert "ZeroDivisionError, test_cli_formats.py:" in capsys.readouterr().err
