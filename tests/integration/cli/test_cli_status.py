"""`prebooking status`: what it shows, and that it fails when a check fails."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support import breakages_of_running  # noqa: F401 - registers breakages
from tests.support.breakages import BREAKAGES, HealthySystem, record_ticks
from tests.support.calls import finish
from tests.support.factories import add_prebooking, add_venue
from tests.support.terminal import Terminal, now

CHECKED = ("trigger", "upkeep", "login", "data", "locks", "messages")


def test_without_a_fault_status_names_no_failure(system: HealthySystem) -> None:
    output = system.terminal.succeeds("status")
    assert "Needs you" not in output
    assert output.startswith("Last tick      ")
    assert system.terminal.run("status", "--json").json["needs"] == []


@pytest.mark.parametrize(
    "what", [key for key in BREAKAGES if key[0] in CHECKED], ids=lambda what: "-".join(filter(None, what))
)
def test_a_failed_check_is_shown_and_exits_with_1(system: HealthySystem, what: tuple[str, str, str]) -> None:
    broken, part = BREAKAGES[what]
    broken(system)
    result = system.terminal.run("status", "--json")
    assert (result.code, result.err) == (1, "")
    assert [sentence.split(":")[0] for sentence in result.json["needs"] if part in sentence] == [what[0]]


def test_a_slow_claim_is_not_a_failure(system: HealthySystem) -> None:
    BREAKAGES["claims", "slow", ""][0](system)
    assert system.terminal.run("status").code == 0


def test_an_unreadable_opening_hides_no_other(system: HealthySystem) -> None:
    system.allow_any_instant()
    far = {"available_at": now(7200), "expires_at": now(9000)}
    row = add_prebooking(system.terminal.connection, system.box(), **far)
    system.sql("update prebookings set expires_at = '20001-01-01', available_at = '20000-01-01' where id = %s", row)
    output = system.terminal.succeeds("status")
    assert "Box Centro cannot be read: correct available_at in the database" in output
    assert output.count("Box Centro: 1") == 1


def test_failures_are_listed_by_frequency(system: HealthySystem) -> None:
    for outcome in ("rejected", "full", "full"):
        ended = {"status": "failed", "outcome": outcome, "settled_at": now(-5)}
        add_prebooking(system.terminal.connection, system.box(), available_at=now(-60), **ended)
    [line] = [line for line in system.terminal.succeeds("status").splitlines() if line.startswith("Failed")]
    assert line.split("  ")[-1].strip() == "2 full, 1 rejected"


def test_a_status_has_rows_openings_figures_and_a_plot_in_80_columns(terminal: Terminal) -> None:
    record_ticks(terminal)
    box = add_venue(terminal.connection, name="Box Centro")
    opens = now(-600)
    for place, late in enumerate((100, 50, 1200)):
        asked, fired = opens - timedelta(minutes=5 - place), opens + timedelta(milliseconds=late)
        ends = {"status": "completed", "outcome": "booked", "settled_at": fired, "fired_at": fired}
        add_prebooking(terminal.connection, box, available_at=opens, created_at=asked, **ends)
    add_prebooking(terminal.connection, box, available_at=now(7200))
    add_prebooking(terminal.connection, box, available_at=now(-300), created_at=now(-300))
    finish(terminal.connection, uuid4(), summary={"execution_time_ms": 812, "outcomes": {"unsure": 2}})
    output = terminal.run("status").out
    assert max(len(line) for line in output.splitlines() if not line.startswith("Needs you")) <= 80
    lines = {line.split("  ")[0]: line for line in output.splitlines()}
    assert "2 waiting, 1 due, 1 overdue" in lines["Prebookings"]
    assert "Box Centro: 1" in lines["Next openings"]
    assert "812/812/812 ms (1 run)" in lines["Execution time"]
    assert "100.0 % (3 of 3)" in lines["Success rate"]
    assert "50.0 % (1 of 2)" in lines["Order kept"]
    assert "100/1200/1200 ms (3 calls)" in lines["Lateness"]
    assert lines["Connection errors"].split()[2:] == ["2", "2"]
    plotted = [line for line in output.splitlines() if "|" in line]
    assert plotted[0].startswith("1200 ms |")
    assert len(plotted[0].split("|")[1]) == 3
    found = terminal.run("status", "--json").json
    assert (found["day"]["success"]["completed"], found["rows"]["overdue"]) == (3, 1)
