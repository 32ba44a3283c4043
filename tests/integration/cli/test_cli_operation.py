"""Lists, cancelling, pausing venues, and runs by hand."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx
import pytest

from prebooking.local.venue.twin import State
from tests.support.breakages import record_ticks
from tests.support.factories import add_prebooking, add_venue
from tests.support.postgrest import IMITATION
from tests.support.terminal import ANA, Terminal, day, now

TERMINAL_REST = IMITATION  # starts at once; test_cli_add and test_cli_status use the real one

_TIMEOUT = 10.0  # seconds
CRON_SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


def add_row(terminal: Terminal, venue: Any, **overrides: Any) -> str:
    """Add a prebooking, and return its short id."""
    return str(add_prebooking(terminal.connection, venue, **overrides))[:8]


# a venue with an invalid time zone, added by SQL to an older database


def test_an_unknown_time_zone_hides_no_row(terminal: Terminal) -> None:
    terminal.add_box_and_member()
    record_ticks(terminal)
    [(box,)] = terminal.rows("select id from venues")
    row = add_row(terminal, box, user_email=ANA, available_at=now(3600))
    terminal.connection.execute("alter table venues drop constraint venues_timezone_check")
    terminal.connection.execute(
        "update venues set timezone = 'Europe/Madird', paused_until = now() + interval '1 hour'"
    )
    for words in (["venue", "list"], ["list"], ["status"]):
        assert "UTC" in terminal.succeeds(*words), words
    for words in (["classes", "box centro", "today"], ["add", "box centro", str(day(4)), "19:30", "-m", ANA]):
        assert "Box Centro has a time zone that is not known here: set venues.timezone" in terminal.fails(*words)
    ill = [check["message"] for check in terminal.run("doctor", "--json").json if not check["ok"]]
    assert any("Box Centro has a time zone that is not known here" in output for output in ill)
    assert "UTC" in terminal.succeeds("cancel", row)


# list and cancel


def test_a_list_fits_into_80_columns_and_shows_each_state(terminal: Terminal) -> None:
    box = add_venue(terminal.connection, name="Box Centro")
    data = {"class_id": "1", "class_name": "WOD"}
    mine = {"user_email": ANA, "available_at": now(3600)}
    waiting = add_row(terminal, box, **mine, booking_data=data, warning="session_expired: log in again.")
    doubt = add_row(terminal, box, **mine | {"available_at": now(-60)}, maybe_sent=True)
    full = {"status": "failed", "outcome": "full", "error_message": "The class was full.", "settled_at": now(-5)}
    ended = add_row(terminal, box, **mine, **full)
    output = terminal.shows_at_width("list", "--member", ANA)
    assert max(map(len, output.splitlines())) <= 80
    lines = {line.split()[0]: line for line in output.splitlines() if line[:8] in {waiting, doubt, ended}}
    assert "WOD" in output
    assert [("being booked" in lines[doubt]), ("full" in lines[ended])] == [True, True]
    assert f"{waiting}: session_expired: log in again." in output
    assert f"{ended}: The class was full." in output
    assert output.splitlines()[0] == f"{ANA} at Box Centro"


def test_a_list_can_be_json_and_of_one_member(terminal: Terminal) -> None:
    box = add_venue(terminal.connection)
    mine = add_row(terminal, box, user_email=ANA)
    add_row(terminal, box)
    assert [row["id"][:8] for row in terminal.run("list", "--json", "-m", ANA).json] == [mine]
    assert len(terminal.run("list", "--json").json) == 2
    terminal.environment.setenv("PREBOOKING_MEMBER", ANA)
    assert len(terminal.run("list", "--json").json) == 1


def test_older_ended_prebookings_are_shown_with_all(terminal: Terminal) -> None:
    box = add_venue(terminal.connection)
    add_row(terminal, box, status="failed", outcome="full", settled_at=now(-10 * 86400))
    assert terminal.run("list", "--json").json == []
    assert len(terminal.run("list", "--all", "--json").json) == 1


def test_a_prebooking_is_cancelled_by_the_beginning_of_its_id(terminal: Terminal) -> None:
    row = add_row(terminal, add_venue(terminal.connection), user_email=ANA, available_at=now(60))
    assert "Cancelled" in terminal.succeeds("cancel", row)
    assert terminal.rows("select status from prebookings") == [("cancelled",)]


def test_only_a_waiting_prebooking_can_be_cancelled(terminal: Terminal) -> None:
    box = add_venue(terminal.connection)
    doubt = add_row(terminal, box, maybe_sent=True)
    full = add_row(terminal, box, status="failed", outcome="full", settled_at=now())
    assert "being booked" in terminal.fails("cancel", doubt)
    assert "has ended already" in terminal.fails("cancel", full)
    assert "There is no prebooking" in terminal.fails("cancel", "zzz")
    assert "There is no prebooking" in terminal.fails("cancel", doubt, "-m", "ben@example.com")


def test_an_ambiguous_id_is_refused_with_the_matches(terminal: Terminal) -> None:
    box = add_venue(terminal.connection)
    for end in (1, 2):
        add_row(terminal, box, id=f"aaaaaaaa-0000-4000-8000-00000000000{end}")
    assert "may be several" in terminal.fails("cancel", "aaaa")
    assert terminal.rows("select distinct status from prebookings") == [("pending",)]


# venues


def test_a_paused_venue_is_not_called_until_it_is_resumed(terminal: Terminal) -> None:
    add_venue(terminal.connection, name="Box Centro")
    assert "nothing is sent there" in terminal.succeeds("venue", "pause", "box centro")
    assert terminal.rows("select enabled from venues") == [(False,)]
    assert "paused" in terminal.succeeds("venue", "list")
    assert "is booked again" in terminal.succeeds("venue", "resume", "BOX CENTRO")
    assert terminal.rows("select enabled from venues") == [(True,)]


def test_a_venue_is_named_by_its_whole_name_or_its_id(terminal: Terminal) -> None:
    ids = [add_venue(terminal.connection, name=name) for name in ("Box Norte", "Box Sur", "Box")]
    terminal.succeeds("venue", "pause", "box  norte")
    terminal.succeeds("venue", "pause", str(ids[2]))
    assert terminal.rows("select name from venues where not enabled order by 1") == [("Box",), ("Box Norte",)]
    for unknown in ("Boxx", "Box N", ""):
        output = terminal.fails("venue", "pause", unknown)
        assert f'no venue "{unknown}": there is Box, Box Norte, Box Sur.' in output


def test_a_name_that_several_venues_have_is_refused_with_their_ids(terminal: Terminal) -> None:
    ids = [str(add_venue(terminal.connection, name=name)) for name in ("Box\u00a01", "Box 1")]
    output = terminal.fails("venue", "pause", "box 1")
    assert 'Several venues are named "box 1": use an id' in output
    assert all(one in output for one in ids)
    assert terminal.rows("select distinct enabled from venues") == [(True,)]


def test_venues_are_listed_as_a_table_and_as_json(terminal: Terminal) -> None:
    assert "add one with" in terminal.succeeds("venue", "list")
    terminal.add_box()
    output = terminal.shows_at_width("venue", "list")
    assert "4 days before" in output
    assert max(map(len, output.splitlines())) <= 80
    [venue] = terminal.run("venue", "list", "--json").json
    assert (venue["name"], venue["opening_rule"], venue["enabled"]) == ("Box Centro", "4 days before", True)


# run


def test_a_run_books_due_prebookings_and_reports_them(terminal: Terminal) -> None:
    terminal.environment.setenv("CRON_SECRET", CRON_SECRET)
    terminal.add_box_and_member()
    terminal.offer(day=day(1))
    terminal.succeeds("add", "box centro", "tomorrow", "19:30", "-m", ANA)
    assert "Processed 1 prebooking" in terminal.succeeds("run")
    assert [(act.member, act.state) for act in terminal.twin.ledger.bookings()] == [(ANA, State.BOOKED)]
    assert terminal.rows("select status, outcome from prebookings") == [("completed", "booked")]
    assert terminal.run("run", "--json").json["message"] == "No prebookings ready"
    assert terminal.rows("select * from prebooking_heartbeat") == [], "a run by hand is no tick of the trigger"


def test_a_dry_run_shows_the_claim_and_sends_nothing(terminal: Terminal) -> None:
    terminal.environment.setenv("CRON_SECRET", CRON_SECRET)
    terminal.add_box_and_member()
    terminal.offer(day=day(1))
    terminal.succeeds("add", "box centro", "tomorrow", "19:30", "-m", ANA)
    before, calls = terminal.rows("select * from prebookings"), len(terminal.twin.ledger.entries)
    output = terminal.succeeds("run", "--dry-run")
    assert "would claim 1 now; nothing was claimed or sent" in output
    assert ANA in output
    assert [row["user_email"] for row in terminal.run("run", "--dry-run", "--json").json["rows"]] == [ANA]
    assert terminal.rows("select * from prebookings") == before
    assert terminal.rows("select * from prebooking_heartbeat") == []
    assert len(terminal.twin.ledger.entries) == calls


def test_a_dry_run_shows_only_venue_systems_that_are_set_up(terminal: Terminal) -> None:
    terminal.environment.setenv("CRON_SECRET", CRON_SECRET)
    add_row(terminal, add_venue(terminal.connection))
    assert "would claim 0" in terminal.succeeds("run", "--dry-run")


@pytest.mark.parametrize("words", [["run"], ["run", "--dry-run"]])
def test_a_run_reports_why_due_rows_are_not_booked(terminal: Terminal, words: list[str]) -> None:
    terminal.environment.setenv("CRON_SECRET", CRON_SECRET)
    mine = add_venue(terminal.connection)
    for _ in range(2):
        add_row(terminal, mine)
    box = add_venue(terminal.connection, provider="aimharder", host="box.aimharder.com", enabled=False)
    add_row(terminal, box)
    output = terminal.succeeds(*words)
    assert "2 due rows wait for a deployment that has webhook venues." in output
    assert "1 due row waits for a venue that is paused" in output


def test_a_run_reports_due_rows_of_venue_systems_that_are_not_set_up(terminal: Terminal) -> None:
    terminal.environment.setenv("CRON_SECRET", CRON_SECRET)
    box = add_venue(terminal.connection, provider="aimharder", host="box.aimharder.com")
    add_row(terminal, box, warning="other_key: sealed elsewhere.", maybe_sent=False, available_at=now(-1))
    terminal.environment.setenv("SESSION_ENCRYPTION_KEY", "")
    for name in ("BOOKING_WEBHOOK_URL", "BOOKING_WEBHOOK_SECRET"):
        terminal.environment.setenv(name, "https://book.example.com/at-my-gym")
    output = terminal.succeeds("run", "--dry-run")
    assert "1 due row waits for a deployment that has aimharder venues." in output


def test_a_failed_run_explains_itself_on_standard_error(terminal: Terminal) -> None:
    terminal.environment.setenv("CRON_SECRET", CRON_SECRET)
    terminal.connection.execute("revoke execute on function claim_due_prebookings_v1 from service_role")
    result = terminal.run("run", "--json")
    assert result.code == 1
    assert result.json["success"] is False
    assert "42501" in result.err
    assert "Traceback" not in result.err


# the database


@pytest.mark.parametrize("words", [["list"], ["status"], ["venue", "list"], ["cancel", "1"]])
def test_an_unusable_database_is_one_error_message(terminal: Terminal, words: list[str]) -> None:
    terminal.connection.execute("revoke execute on all functions in schema public from service_role")
    assert "secret key" in terminal.fails(*words)
    terminal.connection.execute("drop schema public cascade; create schema public")
    terminal.connection.execute("grant usage on schema public to service_role; notify pgrst, 'reload schema'")
    _wait_until_the_rest_api_has_noticed()
    assert "prebooking init" in terminal.fails(*words)
    terminal.environment.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    assert "cannot be reached" in terminal.fails(*words)


def _wait_until_the_rest_api_has_noticed() -> None:
    url, key = os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"]
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        reply = httpx.post(f"{url}/rest/v1/rpc/list_venues_v1", headers={"apikey": key}, json={})
        if reply.json()["code"] == "PGRST202":
            return
    raise AssertionError("the REST API still knows the functions that are gone")


def test_lists_need_only_the_two_database_variables(terminal: Terminal) -> None:
    for name in ("SESSION_ENCRYPTION_KEY", "AIMHARDER_TWIN_URL"):
        terminal.environment.delenv(name)
    terminal.succeeds("list")
    terminal.environment.delenv("SUPABASE_URL")
    terminal.environment.setenv("SUPABASE_SERVICE_ROLE_KEY", " ")
    result = terminal.run("list")
    assert result.code == 1
    assert [line.split()[1] for line in result.err.splitlines()] == ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"]
