"""Every error of Supabase and its gateway has a message that names its cause and its cure."""

from __future__ import annotations

import pytest

from prebooking.cli.runner import sentences
from prebooking.errors import StoreBusy, StoreRefused, StoreUnavailable

REFUSED = [
    ("401", "a secret key of this project that is not disabled"),
    ("402", "a quota is used up or a bill is overdue"),
    ("540", "The project is paused: restore it"),
    ("404", "no Supabase project at this address"),
    ("308", "points to another address"),
    ("406", "The schema public is not exposed"),
    ("PGRST106", "The schema public is not exposed"),
    ("25006", "The database is read-only"),
    ("PGRST301", "Supabase refuses the key"),
    ("42501", "The key may not do this"),
    ("PGRST202", "prebooking init"),
    ("unreadable", "this version cannot read: run `prebooking init`"),
    ("23514", "refuses this (list_venues_v1: 23514)"),
]
UNAVAILABLE = [
    ("503", "overloaded or restarting"),
    ("PGRST002", "overloaded or restarting"),
    ("544", "does not answer in time"),
    ("57014", "does not answer in time"),
    ("TimeoutError", "does not answer in time"),
    ("429", "asked too often"),
    ("unknown_host", "The host of SUPABASE_URL is not known"),
    ("certificate", "certificate of SUPABASE_URL's host is not valid"),
    ("no_json", "is not Supabase"),
    ("ReadError", "cut off"),
    ("ConnectError", "look at SUPABASE_URL and at the network"),
]


@pytest.mark.parametrize(("code", "cure"), REFUSED + UNAVAILABLE)
def test_a_failed_database_call_is_one_message_with_cause_and_cure(code: str, cure: str) -> None:
    kind = StoreRefused if (code, cure) in REFUSED else StoreUnavailable
    [sentence] = sentences(kind("list_venues_v1", code))
    assert cure in sentence
    assert sentence.endswith(f"(list_venues_v1: {code}).")
    assert ("network" in sentence) == (code in ("unknown_host", "ReadError", "ConnectError"))


def test_a_busy_lock_is_not_reported_as_a_network_error() -> None:
    [sentence] = sentences(StoreBusy("list_venues_v1", "55P03"))
    assert "try again in a few seconds" in sentence
