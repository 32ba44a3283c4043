"""The database and the command line read local times by the same rule, at every clock change."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from prebooking.opening import instant
from tests.support.database import Connection

ZONES = ["Europe/Madrid", "Europe/London", "America/New_York", "Australia/Sydney", "Australia/Lord_Howe"]
YEARS = [2026, 2027, 2037, 2038, 2100, 2199]
AROUND = timedelta(hours=4)


def clock_changes(zone: str, year: int) -> list[datetime]:
    """Return the local times before which the offset of a zone changes in a year."""
    hours = [datetime.fromisoformat(f"{year}-01-01") + timedelta(hours=hour) for hour in range(365 * 24)]
    offsets = [hour.replace(tzinfo=ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[at] for at in range(1, len(hours)) if offsets[at] != offsets[at - 1]]


def by_the_database(connection: Connection, local: list[datetime], zone: str) -> list[datetime]:
    query = (
        "select public.prebooking_local_instant(local, %s)"
        " from unnest(%s::timestamp[]) with ordinality as times(local, number) order by number"
    )
    return [found for (found,) in connection.execute(query, [zone, local]).fetchall()]


@pytest.mark.parametrize("zone", ZONES)
def test_sql_and_python_agree_around_every_clock_change(owner: Connection, zone: str) -> None:
    for year in YEARS:
        changes = clock_changes(zone, year)
        assert len(changes) == 2, (zone, year)
        quarters = [change - AROUND + timedelta(minutes=15 * quarter) for change in changes for quarter in range(4 * 8)]
        expected = [instant(local, ZoneInfo(zone)) for local in quarters]
        assert by_the_database(owner, quarters, zone) == expected, year


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("Europe/Madrid", "2026-10-25 02:30", "2026-10-25 00:30"),
        ("Europe/Madrid", "2026-03-29 02:30", "2026-03-29 01:30"),
        ("Europe/London", "2026-10-25 01:30", "2026-10-25 00:30"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30"),
        ("Australia/Sydney", "2026-04-05 02:30", "2026-04-04 15:30"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:45"),
        ("Europe/Dublin", "2026-10-25 01:30", "2026-10-25 00:30"),
        ("UTC", "2026-10-25 02:30", "2026-10-25 02:30"),
    ],
)
def test_a_repeated_time_is_the_first_a_skipped_one_shifts(owner: Connection, zone: str, local: str, utc: str) -> None:
    [found] = by_the_database(owner, [datetime.fromisoformat(local)], zone)
    assert found == datetime.fromisoformat(f"{utc}+00:00")


def test_an_unknown_zone_is_refused_by_name(owner: Connection) -> None:
    with pytest.raises(Exception, match='time zone "Europe/Madird" not recognized'):
        by_the_database(owner, [datetime.fromisoformat("2026-01-01")], "Europe/Madird")
