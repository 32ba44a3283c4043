"""Foreign text: every spelling of venues and apps is read, and no text breaks a reader or makes it slow."""

from __future__ import annotations

import json
import time as clocks
from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prebooking import foreign
from prebooking.foreign import (
    COOKIE_LIMIT,
    is_off,
    is_on,
    is_set,
    name_key,
    read_cookies,
    read_count,
    read_day,
    read_host,
    read_id,
    read_list,
    read_name,
    read_number,
    read_time,
)

NAMES = ("amhrdrauth", "PHPSESSID")

# times


AT_18_00 = [
    *("18:00 - 19:00", "6:00 pm - 7:00 pm", "6:00 PM", "6:00 - 7:00 pm", "6 p.m. to 7 p.m.", "6pm"),
    *("18.00 - 19.00", "18h - 19h", "18:00h", "18:00 hs.", "de 18:00 a 19:00", "a las 18:00", "kl. 18.00–19.00"),  # noqa: RUF001 - as they are typed
    *("18:00\u00a0—\u00a019:00", "18:00&nbsp;-&nbsp;19:00", "１８：００", "18:00:00", "1800 - 1900", "18 - 19"),  # noqa: RUF001 - as they are typed
    "18:00 - ",
]
AT_18_30 = ["18,30", "18h30", "18 h 30 à 19 h 30", "18 Uhr 30 bis 19 Uhr 30", 1830]
AT_7_00 = ["7:00 - 7:00 pm", "7:00a - 8:00a", "  07:00\t"]


@pytest.mark.parametrize(
    ("label", "begins"),
    [
        *((label, time(18)) for label in AT_18_00),
        *((label, time(18, 30)) for label in AT_18_30),
        *((label, time(7)) for label in AT_7_00),
        ("11:00 - 1:00 pm", time(11)),
        ("11:30 am - 13:00", time(11, 30)),
        ("12:30 - 1:30 am", time(0, 30)),
        ("12:00 am - 1:00 am", time(0)),
        ("12:00 pm - 1:00 pm", time(12)),
        ("10:00 pm - 12:00 am", time(22)),
        ("6 a. m.", time(6)),
        ("7 - 8 pm", time(19)),
        ("23:00 - 24:00", time(23)),
    ],
    ids=repr,
)
def test_a_class_time_is_read_in_every_usual_spelling(label: object, begins: time) -> None:
    assert read_time(label) == begins


@pytest.mark.parametrize(
    "label",
    ["", "TBD", "18", 7, "25:00", "18:60", "18:5", "13:00 am", "0:30 pm", "24:00", "18:00 - 25:99", "18:00 or so"],
    ids=repr,
)
def test_an_ambiguous_time_is_not_read(label: object) -> None:
    assert read_time(label) is None


HALVES = ["am", "AM", "a.m.", "a. m.", " am", "\u00a0AM", "a"]
SEPARATORS = [" - ", "-", "\u00a0–\u00a0", " — ", " to ", " a ", " bis ", " / "]  # noqa: RUF001 - dashes as they are typed


def on_24_hours(moment: time, spelling: int) -> str:
    h, m = moment.hour, f"{moment.minute:02}"
    return [f"{h:02}:{m}", f"{h}.{m}", f"{h}h{m}", f"{h} h {m}", f"{h:02}{m}", f"{h}:{m}h", f"{h}:{m} hrs"][spelling]


def on_12_hours(moment: time, half: str) -> str:
    return f"{(moment.hour - 1) % 12 + 1}:{moment.minute:02}{half if moment.hour < 12 else half.translate(PM)}"


PM = str.maketrans("aA", "pP")


@given(some.times(), some.times(), some.integers(0, 6), some.sampled_from(SEPARATORS))
def test_a_time_written_on_24_hours_is_read_back(begins: time, ends: time, spelling: int, between: str) -> None:
    label = on_24_hours(begins, spelling) + between + on_24_hours(ends, spelling)
    assert read_time(label) == begins.replace(second=0, microsecond=0)


@given(some.times(), some.times(), some.sampled_from(HALVES), some.sampled_from(SEPARATORS))
def test_a_time_written_with_am_or_pm_is_read_back(begins: time, ends: time, half: str, between: str) -> None:
    label = on_12_hours(begins, half) + between + on_12_hours(ends, half)
    assert read_time(label) == begins.replace(second=0, microsecond=0)


@given(some.times(), some.integers(15, 180))
def test_a_class_of_up_to_three_hours_needs_am_or_pm_at_its_end_only(begins: time, minutes: int) -> None:
    end = (begins.hour * 60 + begins.minute + minutes) % (24 * 60)
    if end < minutes:
        return  # it ends on the next day
    label = on_12_hours(begins, "") + " - " + on_12_hours(time(end // 60, end % 60), " am")
    assert read_time(label) == begins.replace(second=0, microsecond=0)


# days, numbers, flags, lists


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("20300111", date(2030, 1, 11)),
        ("2030-01-11", date(2030, 1, 11)),
        (" 20300111 ", date(2030, 1, 11)),
        (20300111, date(2030, 1, 11)),
        ("20301399", None),
        ("2030-1-1", None),
        ("11/01/2030", None),
        ("00000101", None),
        ("", None),
        (None, None),
        (True, None),
    ],
    ids=repr,
)
def test_a_day_is_read_with_dashes_and_without(written: object, day: date | None) -> None:
    assert read_day(written) == day


@pytest.mark.parametrize(
    ("written", "number"),
    [("4711 ", "4711"), (4711, "4711"), ("４７１１", "4711"), (" 4711\u00a0", "4711"), ("a_1", "a_1")],  # noqa: RUF001 - full width
)
def test_a_number_of_a_class_has_one_form(written: object, number: str) -> None:
    assert read_id(written) == number


@pytest.mark.parametrize("written", ["", "a b", "1&2", "é", None, True, [1], 1.5, "x" * 41, 10**50], ids=repr)
def test_an_invalid_class_number_is_none(written: object) -> None:
    assert read_id(written) is None


@pytest.mark.parametrize(
    ("written", "number"),
    [("1", 1), (" -12 ", -12), (0, 0), (True, None), ("1.0", None), (10**30, None), ("--1", None)],
    ids=repr,
)
def test_a_number_is_read_as_text_or_number(written: object, number: int | None) -> None:
    assert read_number(written) == number


@pytest.mark.parametrize(
    ("written", "count"), [("12", 12), (0, 0), (-1, None), (1_000_000, None), ("many", None)], ids=repr
)
def test_a_count_is_never_below_zero(written: object, count: int | None) -> None:
    assert read_count(written) == count


@pytest.mark.parametrize(
    ("reader", "written", "result"),
    [
        *((is_off, written, True) for written in (0, "0", False)),
        *((is_off, written, False) for written in (1, "1", None, "", True)),
        *((is_on, written, True) for written in (1, "1", True)),
        *((is_on, written, False) for written in (0, "yes", None, False)),
        *((is_set, written, True) for written in (77, "77", "x")),
        *((is_set, written, False) for written in (None, 0, "0", "")),
        (is_set, [], False),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_only_a_clear_flag_or_reference_is_read(
    reader: Callable[[object], bool], written: object, *, result: bool
) -> None:
    assert reader(written) is result


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ([1, 2], [1, 2]),
        (None, []),
        ({}, []),
        ({"0": 1, "2": 2}, [1, 2]),
        ({"10": "b", "9": "a"}, ["a", "b"]),
        ({"a": 1}, None),
        ("", None),
        (7, None),
        (False, None),
    ],
    ids=repr,
)
def test_a_list_is_read_in_every_shape_of_php(written: object, listed: list[Any] | None) -> None:
    assert read_list(written) == listed


# names


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("WOD ", "WOD"),
        ("  open\n wod\u00a0", "open wod"),
        ("cafe\u0301", "café"),
        ("R&amp;B &lt;3", "R&B <3"),
        ("R&amp;amp;B", "R&B"),
        ("ＷＯＤ", "WOD"),  # noqa: RUF001 - full width
        ("W\u200bOD\u202e", "WOD"),
        ("\ud800x\x00", "\ufffdx\ufffd"),
        ("&#0;&#xD800;", "\ufffd\ufffd"),
        ("x" * 300, "x" * 100),
        (5, "5"),
        (None, ""),
        ({"a": 1}, ""),
    ],
    ids=repr,
)
def test_a_name_is_read_without_invisible_characters(written: object, name: str) -> None:
    assert read_name(written) == name


@pytest.mark.parametrize(
    "spelling", ["Halterofilia Básica", "HALTEROFILIA  BÁSICA ", "halterofilia ba\u0301sica"], ids=repr
)
def test_spellings_of_one_name_have_one_key(spelling: str) -> None:
    assert name_key(spelling) == name_key("Halterofilia b&aacute;sica")


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(some.characters()),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
marked_up = some.text(some.sampled_from("a &#x0;ltgmpqu\ud800\u0301\u00a0１½ﷺ\x00\u200b"), max_size=60)  # noqa: RUF001 - odd on purpose


@given(anything | marked_up)
def test_reading_a_name_twice_changes_nothing(value: object) -> None:
    name = read_name(value)
    assert read_name(name) == name
    assert "\x00" not in name
    assert json.loads(json.dumps(name).encode("utf-8")) == name.encode("utf-8").decode("utf-8")


@given(anything | marked_up | some.just(10**5000))
def test_no_reader_raises(value: object) -> None:
    for name in (one for one in vars(foreign) if one.startswith(("read_", "is_", "name_")) and one != "read_cookies"):
        getattr(foreign, name)(value)


# cookies


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("amhrdrauth=abc", "abc"),
        ("amhrdrauth=abc; Path=/; Secure; SameSite=None; Partitioned", "abc"),
        ("amhrdrauth=abc;Priority=High;unheard-of=[1;2", "abc"),
        (" amhrdrauth = abc ; HttpOnly", "abc"),
        ("amhrdrauth=a=b==", "a=b=="),
        ('amhrdrauth="abc"', '"abc"'),
        ("amhrdrauth=a b,c", "a b,c"),
        ("amhrdrauth=abc; expires=Thu, 01-Jan-2099 00:00:00 GMT", "abc"),
        ("amhrdrauth=abc; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=1800", "abc"),
        ("amhrdrauth=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0", None),
        ("amhrdrauth=deleted; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("amhrdrauth=x; max-age=-1", None),
        ("amhrdrauth=", None),
        ("amhrdrauth", None),
        ("AMHRDRAUTH=abc", None),
        ("other=abc; amhrdrauth=abc", None),
        ("amhrdrauth=\x01", None),
        ("amhrdrauth=é", None),
        ("amhrdrauth=" + "x" * (COOKIE_LIMIT + 1), None),
        ("amhrdrauth=" + "x" * COOKIE_LIMIT, "x" * COOKIE_LIMIT),
    ],
    ids=repr,
)
def test_a_cookie_is_kept_as_in_a_browser(line: str, kept: str | None) -> None:
    assert read_cookies([line], NAMES).get("amhrdrauth") == kept


def test_the_last_cookie_of_a_name_counts() -> None:
    lines = ["amhrdrauth=a", "PHPSESSID=p", "amhrdrauth=b", "PHPSESSID=deleted; Max-Age=0"]
    assert read_cookies(lines, NAMES) == {"amhrdrauth": "b"}


attribute = some.sampled_from(["Path=/", "Secure", "HttpOnly", "Partitioned", "SameSite=None", "Max-Age=60", "x=1", ""])


@given(
    some.text(some.characters(min_codepoint=33, max_codepoint=126, exclude_characters=';"\\'), min_size=1),
    some.lists(attribute),
)
def test_a_cookie_is_read_with_any_attributes(value: str, attributes: list[str]) -> None:
    line = "; ".join([f"amhrdrauth={value}", *attributes])
    assert read_cookies([line], NAMES) == {"amhrdrauth": value}


@given(some.lists(some.text(), max_size=4))
def test_no_line_of_cookies_raises(lines: list[str]) -> None:
    read_cookies([*lines, *(f"amhrdrauth={line}" for line in lines)], NAMES)


# hosts


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("https://MyBox.aimharder.com/schedule", "mybox.aimharder.com"),
        ("mybox.aimharder.com.", "mybox.aimharder.com"),
        ("http://mybox.aimharder.es:443?x", "mybox.aimharder.es"),
        ("mybox.aimharder.com#classes", "mybox.aimharder.com"),
        (" mybox.aimharder.com ", "mybox.aimharder.com"),
        (None, ""),
    ],
    ids=repr,
)
def test_a_host_is_read_from_an_address(written: object, host: str) -> None:
    assert read_host(written) == host


# time


HEAVY = {
    "escapes": 'amhrdrauth="' + '\\"' * 30_000 + '"',
    "ampersands": "&" * 500_000,
    "entities": "&amp;" * 100_000,
    "ligatures": "\ufdfa" * 100_000,
    "accents": "a" + "\u0301" * 200_000,
    "digits": "1" * 1_000_000,
    "hours": "18:00 - " * 50_000,
    "semicolons": "amhrdrauth=a" + ";" * 500_000,
    "equals": "=" * 500_000,
    "blanks": "amhrdrauth=" + " " * 500_000,
}


@pytest.mark.parametrize("kind", HEAVY)
def test_no_text_makes_a_reader_slow(kind: str) -> None:
    began = clocks.process_time()
    read_cookies([HEAVY[kind]] * 50, NAMES)
    for name in (one for one in vars(foreign) if one.startswith(("read_", "name_")) and one != "read_cookies"):
        getattr(foreign, name)(HEAVY[kind])
    assert clocks.process_time() - began < 1.0, "13 s with a quadratic reader"
