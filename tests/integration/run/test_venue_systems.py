"""A venue system is a package and an entry: a third one, made for these tests, is booked by the scheduler."""

from __future__ import annotations

import asyncio

import pytest

from prebooking.bookers import aimharder, webhook
from prebooking.bookers.adapter import Adapter, adapter
from prebooking.errors import SettingsError
from prebooking.settings import Settings
from prebooking.systems import SYSTEMS
from tests.support import club
from tests.support.club import CLUB, IN_SQL, TOKEN
from tests.support.database import Database
from tests.support.doubles import EPOCH
from tests.support.factories import add_prebooking, add_venue
from tests.support.terminal import Terminal
from tests.support.world import BOOKED, ENVIRONMENT, PENDING, World

ADAPTERS: dict[str, Adapter] = {"webhook": webhook, "aimharder": aimharder}  # mypy compares them
NEITHER = {"BOOKING_WEBHOOK_URL": "", "BOOKING_WEBHOOK_SECRET": ""}


@pytest.fixture
def a_third_system(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database with the club, added as a deployment adds a venue system."""
    monkeypatch.setitem(SYSTEMS, CLUB.name, CLUB)
    monkeypatch.setattr(club, "ledger", [])
    monkeypatch.setattr(club, "loaded", [])
    database.connection.execute(IN_SQL.encode())
    return database


def test_a_third_venue_system_is_booked_like_the_others(a_third_system: Database) -> None:
    world = World(a_third_system)
    venue = add_venue(world.connection, provider="club", host="the.club.example")
    members = [f"member{number}@example.com" for number in range(3)]
    values = {"booking_data": {"class_id": "squash"}, "available_at": EPOCH}
    rows = [add_prebooking(world.connection, venue, user_email=member, **values) for member in members]
    rows += world.opening(1)
    summary = world.run(world.invoke(CLUB_TOKEN=TOKEN))
    assert (summary.success, summary.outcomes) == (True, {"booked": 4})
    assert world.ends(rows) == [BOOKED] * 4
    assert club.ledger == [(TOKEN, member, "squash") for member in members]
    assert world.row(rows[0])["booking_id"] == "1"


def test_rows_of_a_system_that_is_not_set_up_wait_for_a_deployment_that_has_it(a_third_system: Database) -> None:
    world = World(a_third_system)
    row = add_prebooking(world.connection, add_venue(world.connection, provider="club"), available_at=EPOCH)
    assert world.run(world.invoke()).success
    assert world.ends([row]) == [PENDING]
    assert (club.ledger, club.loaded) == ([], []), "a system that is not set up is not loaded"


def test_a_deployment_of_one_system_needs_no_variables_of_the_others(a_third_system: Database) -> None:
    settings = Settings.from_environment(ENVIRONMENT | NEITHER | {"CLUB_TOKEN": f" {TOKEN}\n"})
    assert (settings.systems, settings.variable("CLUB_TOKEN")) == (("club",), TOKEN)
    assert TOKEN not in repr(settings) + str(settings)


def test_without_any_system_the_error_names_the_variables_of_each(a_third_system: Database) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(ENVIRONMENT | NEITHER)
    assert set(caught.value.problems) == set(NEITHER)
    for sentence in caught.value.problems.values():
        assert "SESSION_ENCRYPTION_KEY alone, for AimHarder" in sentence
        assert "CLUB_TOKEN alone, for The Club" in sentence


def test_the_command_line_adds_and_shows_its_venues(a_third_system: Database, terminal: Terminal) -> None:
    words = ["--provider", "club", "--zone", "Europe/Madrid"]
    refused = terminal.fails("venue", "add", "Squash", "--host", "elsewhere.example", *words, code=2)
    assert refused == "Error: The Club is at the.club.example. Say it with --host."
    terminal.succeeds("venue", "add", "Squash", "--host", "the.club.example", *words)
    assert "the.club.example" in terminal.succeeds("venue", "list")
    assert "Squash" in terminal.fails("classes", "Squash", "2030-01-11")
    assert terminal.rows("select provider from venues") == [("club",)]


def test_the_doctor_names_the_variables_that_its_venues_need(a_third_system: Database, terminal: Terminal) -> None:
    add_venue(a_third_system.connection, provider="club", name="Squash", host="localhost")
    assert "Squash is booked with CLUB_TOKEN, not set here" in terminal.run("doctor").out


def test_an_unknown_provider_is_refused_with_the_known_ones(terminal: Terminal) -> None:
    output = terminal.fails("venue", "add", "X", "--provider", "clubb", "--zone", "UTC", code=2)
    assert output == 'Error: There is no venue system "clubb": say --provider webhook or aimharder.'


def test_python_and_sql_list_the_same_systems_and_abilities(database: Database) -> None:
    row = database.connection.execute("select public.prebooking_systems()").fetchone()
    in_python = {name: sorted(each.name.lower() for each in system.can) for name, system in SYSTEMS.items()}
    assert row is not None
    assert {name: sorted(abilities) for name, abilities in row[0].items()} == in_python


def test_every_system_has_a_package_with_the_whole_interface() -> None:
    assert {name: adapter(name) for name in SYSTEMS} == ADAPTERS


def test_a_venue_is_opened_only_when_its_package_has_loaded(
    a_third_system: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim takes 10 ms, and loading takes a second."""

    async def load_slowly() -> None:
        await asyncio.sleep(1.0)
        club.loaded.append(CLUB.name)

    monkeypatch.setattr(club, "load", load_slowly)
    world = World(a_third_system)
    venue = add_venue(world.connection, provider="club", host="the.club.example")
    row = add_prebooking(world.connection, venue, booking_data={"class_id": "squash"}, available_at=EPOCH)
    assert world.run(world.invoke(CLUB_TOKEN=TOKEN)).success
    assert world.ends([row]) == [BOOKED]
