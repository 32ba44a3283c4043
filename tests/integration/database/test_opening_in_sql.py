"""The database and the command line compute openings by the same rule, at every clock change."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from prebooking.opening import OpeningRule
from tests.integration.database.test_local_instant import ZONES, clock_changes
from tests.support.database import Connection

RULES = [
    "1 day before",
    "4 days before",
    "7 days before at 00:00",
    "3 days before at 02:30",
    "1 day before at 23:59",
    "1 hour before",
    "72 hours before",
    "999 hours before",
    "999 days before",
]
AROUND = timedelta(hours=4)


@cache
def changes(zone: str) -> list[datetime]:
    """Return the clock changes of two years; for a zone without any, those of Madrid."""
    return [change for year in (2026, 2038) for change in clock_changes(zone if zone != "UTC" else ZONES[0], year)]


def by_the_database(connection: Connection, rule: str, local: list[datetime], zone: str) -> list[datetime]:
    query = (
        "select public.prebooking_opening(%s, local, %s)"
        " from unnest(%s::timestamp[]) with ordinality as times(local, number) order by number"
    )
    return [found for (found,) in connection.execute(query, [rule, zone, local]).fetchall()]


@pytest.mark.grid
@pytest.mark.parametrize("zone", [*ZONES, "UTC"])
@pytest.mark.parametrize("rule", RULES)
def test_sql_and_python_open_at_the_same_instant_around_every_clock_change(
    owner: Connection, zone: str, rule: str
) -> None:
    parsed = OpeningRule.parse(rule)
    ahead = timedelta(days=parsed.days, hours=parsed.hours)
    begins = [change + shift for change in changes(zone) for shift in (timedelta(0), ahead)]
    quarters = [around - AROUND + timedelta(minutes=15 * quarter) for around in begins for quarter in range(4 * 8)]
    expected = [parsed.opening(local, ZoneInfo(zone)) for local in quarters]
    assert by_the_database(owner, rule, quarters, zone) == expected
