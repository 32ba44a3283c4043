"""Opening rules in local time, across both clock changes of four places on both hemispheres."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from prebooking.errors import BadInput
from prebooking.opening import OpeningRule, instant, parse_timezone

RULES = ["4 days before", "1 day before", "72 hours before", "1 hour before", "3 days before at 20:00"]


def opens(rule: str, starts: str, zone: str) -> str:
    """Return the opening in UTC, to the minute."""
    opening = OpeningRule.parse(rule).opening(datetime.fromisoformat(starts), ZoneInfo(zone))
    assert opening.tzinfo is UTC
    return f"{opening:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize("rule", RULES)
def test_a_parsed_rule_formats_as_it_was_written(rule: str) -> None:
    assert str(OpeningRule.parse(rule)) == rule


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  4  Days BEFORE ", "4 days before"),
        ("1 days before", "1 day before"),
        ("1 hours before", "1 hour before"),
        ("3 day before at 09:05", "3 days before at 09:05"),
    ],
)
def test_case_spaces_and_plurals_are_ignored(typed: str, kept: str) -> None:
    assert str(OpeningRule.parse(typed)) == kept


@pytest.mark.parametrize(
    "typed",
    [
        *("", "4", "4 days", "0 days before", "-1 days before", "04 days before", "1000 hours before"),
        *("1.5 days before", "4 days after", "4 weeks before", "72 hours before at 20:00", "3 days before at 24:00"),
        *("3 days before at 20:60", "3 days before at 8:00", "3 days before at 20:00:00", "4 days before; drop"),
        "٤ days before",
    ],
)
def test_an_invalid_rule_is_refused_with_the_three_kinds(typed: str) -> None:
    with pytest.raises(BadInput, match='"4 days before", "72 hours before" or "3 days before at 20:00"'):
        OpeningRule.parse(typed)


def test_an_opening_before_the_clock_change_uses_the_offset_of_its_own_day() -> None:
    # The class is at 07:00Z (UTC+1), and opens four days before at 08:00 local time, still UTC+2.
    assert opens("4 days before", "2026-10-28T08:00", "Europe/Madrid") == "2026-10-24 06:00"


# A class at 18:00 two days after the change, with booking three days before: the opening is before the change.
@pytest.mark.parametrize(
    ("zone", "day", "same_clock", "hours", "fixed_clock"),
    [
        ("Europe/Madrid", "2026-03-30", "2026-03-27 17:00", "2026-03-27 16:00", "2026-03-27 19:00"),
        ("Europe/Madrid", "2026-10-26", "2026-10-23 16:00", "2026-10-23 17:00", "2026-10-23 18:00"),
        ("Europe/London", "2026-03-30", "2026-03-27 18:00", "2026-03-27 17:00", "2026-03-27 20:00"),
        ("Europe/London", "2026-10-26", "2026-10-23 17:00", "2026-10-23 18:00", "2026-10-23 19:00"),
        ("America/New_York", "2026-03-09", "2026-03-06 23:00", "2026-03-06 22:00", "2026-03-07 01:00"),
        ("America/New_York", "2026-11-02", "2026-10-30 22:00", "2026-10-30 23:00", "2026-10-31 00:00"),
        ("Australia/Sydney", "2026-04-06", "2026-04-03 07:00", "2026-04-03 08:00", "2026-04-03 09:00"),
        ("Australia/Sydney", "2026-10-05", "2026-10-02 08:00", "2026-10-02 07:00", "2026-10-02 10:00"),
    ],
)
def test_across_a_clock_change_days_keep_local_time_and_hours_count_elapsed_time(
    zone: str, day: str, same_clock: str, hours: str, fixed_clock: str
) -> None:
    starts = f"{day}T18:00"
    assert opens("3 days before", starts, zone) == same_clock
    assert opens("72 hours before", starts, zone) == hours
    assert opens("3 days before at 18:00", starts, zone) == same_clock
    assert opens("3 days before at 20:00", starts, zone) == fixed_clock


@pytest.mark.parametrize("zone", ["Europe/Madrid", "Europe/London", "America/New_York", "Australia/Sydney", "UTC"])
def test_without_a_clock_change_72_hours_equal_3_days(zone: str) -> None:
    starts = "2026-06-18T18:00"
    assert opens("72 hours before", starts, zone) == opens("3 days before", starts, zone)


# The first skipped local minute, one in the middle of the gap, and the first one after it.
@pytest.mark.parametrize(
    ("zone", "day", "gap", "utc"),
    [
        ("Europe/Madrid", "2026-03-29", ("02:00", "02:30", "03:00"), ("01:00", "01:30", "01:00")),
        ("Europe/London", "2026-03-29", ("01:00", "01:30", "02:00"), ("01:00", "01:30", "01:00")),
        ("America/New_York", "2026-03-08", ("02:00", "02:30", "03:00"), ("07:00", "07:30", "07:00")),
        ("Australia/Sydney", "2026-10-04", ("02:00", "02:30", "03:00"), ("16:00", "16:30", "16:00")),
    ],
)
def test_a_skipped_time_moves_forward_by_the_gap(
    zone: str, day: str, gap: tuple[str, ...], utc: tuple[str, ...]
) -> None:
    found = [instant(datetime.fromisoformat(f"{day}T{clock}"), ZoneInfo(zone)) for clock in gap]
    assert tuple(f"{one:%H:%M}" for one in found) == utc
    starts = datetime.fromisoformat(f"{day}T{gap[1]}") + timedelta(days=3)
    assert OpeningRule.parse("3 days before").opening(starts, ZoneInfo(zone)) == found[1]


@pytest.mark.parametrize(
    ("zone", "clock", "first"),
    [
        ("Europe/Madrid", "2026-10-25T02:30", "2026-10-25 00:30"),
        ("Europe/London", "2026-10-25T01:30", "2026-10-25 00:30"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01 05:30"),
        ("Australia/Sydney", "2026-04-05T02:30", "2026-04-04 15:30"),
    ],
)
def test_a_repeated_local_time_is_the_first_of_the_two(zone: str, clock: str, first: str) -> None:
    local = datetime.fromisoformat(clock)
    assert f"{instant(local, ZoneInfo(zone)):%Y-%m-%d %H:%M}" == first
    assert instant(local.replace(fold=1), ZoneInfo(zone)) == instant(local, ZoneInfo(zone))
    later = (local + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    assert opens("3 days before", later, zone) == first
    assert opens(f"2 days before at {local:%H:%M}", f"{local + timedelta(days=2):%Y-%m-%d}T20:00", zone) == first


def test_a_fixed_time_counts_days_from_the_date_of_a_class_after_midnight() -> None:
    assert opens("1 day before at 20:00", "2026-06-18T00:30", "Europe/Madrid") == "2026-06-17 18:00"


def test_a_start_with_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no offset"):
        OpeningRule(days=1).opening(datetime(2026, 6, 18, 18, tzinfo=UTC), ZoneInfo("Europe/Madrid"))


def test_a_rule_opens_the_stated_time_before_the_class() -> None:
    assert OpeningRule.parse("3 days before at 20:00") == OpeningRule(days=3, at=time(20))
    assert OpeningRule.parse("72 hours before") == OpeningRule(hours=72)


@pytest.mark.parametrize("name", ["Europe/Madrid", "America/Argentina/Buenos_Aires", "UTC"])
def test_a_time_zone_is_found_by_its_name(name: str) -> None:
    assert parse_timezone(name).key == name


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("europe/madrid", "did you mean Europe/Madrid?"),
        ("Europe/Madird", "did you mean Europe/Madrid?"),
        ("America/New York", "did you mean America/New_York?"),
        ("CET", "write it like Europe/Madrid"),
        ("", "write it like Europe/Madrid"),
        ("../../etc/passwd", "write it like Europe/Madrid"),
        ("Europe/Madrid\0", "Europe/Madrid"),
    ],
)
def test_an_unknown_time_zone_is_refused_with_the_cure(name: str, cure: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_timezone(name)
    assert cure in str(refusal.value)
