"""The doctor: every finding is seen ill once, with its cure, and the exit code tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from prebooking.cli.checks import FUNCTIONS
from prebooking.local.venue import Fate, Reply
from tests.factories import add_prebooking, add_venue
from tests.terminal import ANA, PASSWORD, Said, Terminal, day


@pytest.fixture
def well(terminal: Terminal) -> Terminal:
    """Everything is as it must be: a member is logged in, and asks for a class that opens within a day."""
    terminal.environment.setenv("CRON_SECRET", "0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    terminal.with_a_member()
    terminal.offer(day=day(4))
    terminal.does("add", "box", str(day(4)), "19:30", "-m", ANA, "--opens", f"{day(1)} 00:00")
    return terminal


def fails(terminal: Terminal) -> list[str]:
    """Return what the doctor finds ill."""
    said: Said = terminal.type("doctor", "--json")
    assert said.err == ""
    ill = [f"{check['name']}: {check['said']}" for check in said.json if not check["ok"]]
    assert said.code == (1 if ill else 0)
    return ill


def test_when_all_is_well_every_line_says_so(well: Terminal) -> None:
    lines = well.does("doctor").splitlines()
    assert [line[:5] for line in lines] == ["ok   "] * len(lines)
    names = [line[5:].split(":")[0] for line in lines]
    assert names == [
        "settings",
        "secrets",
        "database",
        "migrations",
        "role",
        "clock of the database",
        "bell",
        "venue",
        "clock of Box Centro",
        "session",
    ]


def test_every_missing_setting_is_named(well: Terminal) -> None:
    well.environment.delenv("CRON_SECRET")
    well.environment.setenv("LEAD_SECONDS", "60")
    assert [line.split()[1] for line in fails(well)] == ["CRON_SECRET", "LEAD_SECONDS"]


def test_without_the_database_s_settings_nothing_else_is_looked_at(well: Terminal) -> None:
    well.environment.delenv("SUPABASE_URL")
    assert fails(well)[-1] == "database: not looked at: the settings come first"


@pytest.mark.parametrize(
    ("variable", "value", "cure"),
    [
        ("CRON_SECRET", "passwordpassword", "CRON_SECRET repeats itself"),
        ("CRON_SECRET_PREVIOUS", "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "not all different"),
        ("SESSION_ENCRYPTION_KEY_PREVIOUS", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "is not random"),
    ],
)
def test_a_weak_secret_is_named_and_not_shown(well: Terminal, variable: str, value: str, cure: str) -> None:
    well.environment.setenv(variable, value)
    [ill] = fails(well)
    assert cure in ill
    assert value not in ill


def test_a_database_that_is_away_is_said(well: Terminal) -> None:
    well.environment.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    assert ["cannot be reached" in ill for ill in fails(well)] == [True]


def test_a_database_of_an_older_version_is_to_be_migrated(well: Terminal) -> None:
    well.connection.execute("drop function preview_claim_v1")
    assert fails(well) == ["migrations: functions that are missing: 1: run `supabase db push`"]


def test_a_database_without_any_of_it_is_to_be_migrated(well: Terminal) -> None:
    well.connection.execute("drop function prebooking_doctor_v1")
    assert ["supabase db push" in ill for ill in fails(well)] == [True]


def test_a_role_that_may_not_do_all_is_said(well: Terminal) -> None:
    well.connection.execute("revoke execute on function finish_run_v1 from service_role")
    assert ["the project's secret key" in ill for ill in fails(well)] == [True]


def test_a_database_s_clock_that_is_off_is_said(well: Terminal) -> None:
    well.connection.execute(
        "create or replace function prebooking_clock() returns timestamptz language sql volatile set search_path = ''"
        " as 'select clock_timestamp() + interval ''1 minute'''"
    )
    assert ["clock of the database: differs from ours by 60 s" in ill for ill in fails(well)] == [True]


def test_a_venue_that_does_not_answer_is_said(well: Terminal) -> None:
    well.environment.setenv("AIMHARDER_TWIN_URL", "http://127.0.0.1:9")
    first, second = fails(well)
    assert "does not answer from here" in first
    assert "cannot tell (no answer)" in second


def test_a_venue_that_blocks_is_said_with_the_cure(well: Terminal) -> None:
    well.twin.fate = lambda call: Fate() if call.path == "/api/whoami" else Fate(answer=Reply(403, {}, b""))
    assert ["blocks this address (HTTP 403): wait, or ask from a European" in ill for ill in fails(well)] == [True]


def test_a_venue_s_clock_that_is_off_is_said(well: Terminal) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(minutes=2), usegmt=True)
    page = Fate(answer=Reply(200, {"date": date}, b"hello"))
    well.twin.fate = lambda call: Fate() if call.path == "/api/whoami" else page
    [ill] = fails(well)
    assert ill.startswith("clock of Box Centro: differs from ours by 1")


def test_a_paused_venue_is_not_visited(well: Terminal) -> None:
    well.does("venue", "pause", "box")
    calls = len([call for call in well.twin.ledger.entries if getattr(call, "path", "") == "/"])
    assert fails(well) == []
    assert len([call for call in well.twin.ledger.entries if getattr(call, "path", "") == "/"]) == calls


def test_a_login_that_is_over_is_said_if_it_is_needed_within_a_day(well: Terminal) -> None:
    well.twin.members.log_out(ANA)
    assert fails(well) == [
        f'session: {ANA} at Box Centro: the venue does not know the login: prebooking login "Box Centro" --member {ANA}'
    ]
    well.connection.execute("update prebookings set available_at = now() + interval '2 days'")
    assert fails(well) == []


def test_a_login_that_no_key_opens_is_said(well: Terminal) -> None:
    well.environment.setenv("SESSION_ENCRYPTION_KEY", "/+7dzLuqmYh3ZlVEMyIRAP/u3cy7qpmId2ZVRDMiEQA=")
    assert ["no key here opens the login" in ill for ill in fails(well)] == [True]
    well.does("login", "box", "-m", ANA, typed=f"{PASSWORD}\n")
    assert fails(well) == []


def test_a_login_the_venue_has_ended_is_said_without_asking_it(well: Terminal) -> None:
    well.connection.execute("update member_sessions set expired_at = now()")
    assert ["the venue asks for a new login" in ill for ill in fails(well)] == [True]


def test_a_webhook_venue_is_looked_at_where_its_endpoint_is(well: Terminal) -> None:
    add_prebooking(well.connection, add_venue(well.connection, name="Mine"))
    assert fails(well) == ["venue: Mine is booked at BOOKING_WEBHOOK_URL, which is not set"]
    well.environment.setenv("BOOKING_WEBHOOK_URL", "http://127.0.0.1:9/book")
    well.environment.setenv("BOOKING_WEBHOOK_SECRET", "f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4")
    assert ["Mine does not answer from here" in ill for ill in fails(well)] == [True]


def test_the_doctor_asks_for_every_function_there_is(terminal: Terminal) -> None:
    there = terminal.rows(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname ~ '_v1$|_bell_(on|off)$'"
    )
    assert {name for (name,) in there} == set(FUNCTIONS)
