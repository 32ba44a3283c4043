"""The booking path, from the request to the settled row, stays small and imports nothing of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from prebooking.channels import KINDS
from tests.support.code import MODULES, ROOT, lines_of_code, loaded, loaded_modules

FUNCTION = "prebooking_scheduler"
# What everything stands on. These modules are no part of the path.
NOUNS = {
    "addresses",
    "clock",
    "content_coding",
    "errors",
    "files",
    "http",
    "log",
    "model",
    "network",
    "settings",
    "systems",
    "__init__",
}


def test_the_booking_path_has_at_most_2000_lines_of_code() -> None:
    assert total(file for file in loaded(FUNCTION) if file.parent.name != "prebooking") <= 2000


def test_the_function_that_books_has_at_most_3450_lines_of_code_with_every_venue_system() -> None:
    assert total(loaded(FUNCTION, with_systems=True)) <= 3450


def test_upkeep_has_at_most_1700_lines_of_code_of_its_own() -> None:
    """It is not on the booking path, so its growth is counted apart from the function that books.

    700 of the lines are for messages to members: the part that sends them, their texts in two languages, and settings.
    """
    both = loaded(FUNCTION, "upkeep", "session_keeper", with_systems=True)
    assert total(both - loaded(FUNCTION, with_systems=True)) <= 1700


def test_the_metrics_have_at_most_350_lines_of_code_of_their_own_and_load_nothing_of_the_rest() -> None:
    own = loaded("metrics") - loaded(FUNCTION, with_systems=True)
    assert {str(file.relative_to(ROOT)) for file in own} == {
        "api/metrics.py",
        "prebooking/metrics.py",
        "prebooking/database/overview.py",
    }
    assert total(own) <= 350


def test_the_page_has_at_most_900_lines_of_code_of_its_own_and_loads_nothing_of_the_rest() -> None:
    own = loaded("status") - loaded(FUNCTION, with_systems=True)
    assert {str(file.relative_to(ROOT)) for file in own if file.parent.name not in ("page", "checks")} == {
        "api/status.py",
        "prebooking/local_time.py",
        "prebooking/database/overview.py",
        "prebooking/database/bell.py",
    }
    assert total(own) <= 900


def test_the_booking_path_loads_only_its_own_modules() -> None:
    assert {str(file.relative_to(ROOT).parent) for file in loaded(FUNCTION)} == {
        "api/cron",
        "prebooking",
        "prebooking/function",
        "prebooking/run",
        "prebooking/bookers",
        "prebooking/bookers/webhook",
        "prebooking/database",
    }
    assert {file.stem for file in loaded(FUNCTION) if file.parent.name == "prebooking"} == NOUNS
    stems = {file.stem for file in loaded(FUNCTION, with_systems=True)}
    assert stems & {"give_back", "places", "notifications"} == set()


def test_the_function_that_books_tells_nobody() -> None:
    """Members are told by upkeep: no channel, no text and no outbox is loaded, with every venue system."""
    folders = {
        file.relative_to(ROOT).parts[1] for file in loaded(FUNCTION, with_systems=True) if "prebooking" in file.parts
    }
    assert folders & {"channels", "upkeep"} == set()
    assert "channels" in {file.parent.name for file in loaded("upkeep", with_systems=True)}


@pytest.mark.parametrize("function", MODULES)
def test_no_function_loads_a_channel_before_a_message_is_due(function: str) -> None:
    """A mail's libraries cost a cold start 68 ms of CPU. FastAPI has loaded a part of ``email`` anyway."""
    libraries = {"aiosmtplib", "smtplib", "email.policy", "email.generator", "email.contentmanager"}
    assert loaded_modules(function) & (libraries | {f"prebooking.channels.{kind}" for kind in KINDS}) == set()


@pytest.mark.parametrize("function", MODULES)
def test_no_function_loads_supabases_clients_for_auth_storage_and_realtime(function: str) -> None:
    """They take a fifth of a cold start, and every function only calls functions of the database."""
    assert (
        loaded_modules(function) & {"supabase", "supabase_auth", "storage3", "realtime", "supabase_functions"} == set()
    )


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("x = 1\n", 1),
        ("\n# a comment\nx = 1  # and one beside code\n\n", 1),
        ('"""A docstring\nof two lines."""\n\nx = """a text\nof two lines"""\n', 2),
        ('def f():\n    """Return 1."""\n    return 1\n', 2),
        ("f(\n    1,\n)\n", 3),
    ],
)
def test_comments_docstrings_and_blank_lines_are_no_code(source: str, lines: int) -> None:
    assert lines_of_code(source) == lines


def total(files: Iterable[Path]) -> int:
    return sum(lines_of_code(file.read_text()) for file in files)
