"""`prebooking bell`: switching it on and off, and its status."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.bells import URL, Bell
from tests.support.database import set_clock
from tests.support.terminal import Terminal


@pytest.mark.usefixtures("stand_ins")
def test_the_bell_is_switched_off_and_on_and_shows_its_status(terminal: Terminal) -> None:
    Bell(terminal.connection).on()
    assert "is off" in terminal.succeeds("bell", "off")
    assert "The bell is off." in terminal.succeeds("bell", "status")
    assert "LEAD_SECONDS=3" in terminal.succeeds("bell", "on", URL)
    output = terminal.succeeds("bell", "status")
    assert f"The bell is on, for {URL}." in " ".join(output.split())
    assert "LEAD_SECONDS has to be 3" in output
    assert terminal.run("bell", "status", "--json").json["url"] == URL


def test_missing_requirements_are_named_with_the_cure(terminal: Terminal) -> None:
    missing = terminal.run("bell", "status", "--json").json["missing"]
    assert missing
    assert f"It needs: {missing[0]}"[:40] in terminal.succeeds("bell", "status")
    assert missing[0] in terminal.fails("bell", "on", URL)


@pytest.mark.usefixtures("stand_ins")
def test_a_fault_is_shown_with_its_cure_and_exit_code_1(terminal: Terminal) -> None:
    Bell(terminal.connection).on()
    terminal.connection.execute(
        """insert into cron.job_run_details (jobid, status, return_message, start_time, end_time)
        select jobid, 'failed', 'ERROR:  canceling statement due to statement timeout', now(), now() from cron.job"""
    )
    terminal.connection.execute("select public.prebooking_bell_begin()")
    result = terminal.run("bell", "status")
    assert result.code == 1
    assert "alter role postgres set statement_timeout = '2min'" in result.out


@pytest.mark.usefixtures("stand_ins")
def test_an_address_that_is_not_the_function_s_exits_with_2(terminal: Terminal) -> None:
    Bell(terminal.connection)
    assert "not the function's address" in terminal.fails("bell", "on", "https://evil.example", code=2)


@pytest.mark.usefixtures("stand_ins")
def test_the_first_switch_on_needs_the_sql_editor(terminal: Terminal) -> None:
    Bell(terminal.connection)
    assert f"select prebooking_bell_on('{URL}')" in terminal.fails("bell", "on", URL)


def test_the_doctor_reports_different_leads(terminal: Terminal) -> None:
    def bell() -> str:
        [check] = [check for check in terminal.run("doctor", "--json").json if check["name"] == "bell"]
        return f"{check['ok']}: {check['message']}"

    assert bell() == "True: is off: the cron alone triggers"
    switch = Bell(terminal.connection)
    set_clock(terminal.connection, datetime.now(UTC))
    switch.on()
    assert bell() == "False: rings 3 s ahead, LEAD_SECONDS is not set: set it to 3 and redeploy"
    terminal.environment.setenv("LEAD_SECONDS", "3")
    assert bell() == "True: is on, 3 s ahead, as LEAD_SECONDS says"
