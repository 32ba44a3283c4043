"""The look-up of a class, as a table: what was meant, the day's classes, and what is found."""

from __future__ import annotations

from datetime import time

import pytest

from prebooking.bookers.aimharder.classes import GymClass
from prebooking.upkeep import matching
from prebooking.upkeep.matching import ClassMatch, WantedClass, match_class

SIX = time(18, 0)
WOD = WantedClass(SIX, "wod", "1")
WHATEVER = WantedClass(SIX, "", None)


def at(hour: str, name: str = "WOD", class_id: str = "1", *, closed: bool = False, cancelled: bool = False) -> GymClass:
    return GymClass(class_id, name, time.fromisoformat(hour), None, None, closed=closed, cancelled=cancelled)


MOVED = matching.MOVED.replace("{hour}", "{}")


@pytest.mark.parametrize(
    ("wanted", "classes", "class_id", "warning"),
    [
        # exactly one
        (WOD, [at("18:00")], "1", None),
        (WOD, [at("18:00", class_id="7")], "7", None),
        (WOD, [at("18:00", name=" W\u200bod "), at("18:00", name="Yoga", class_id="2")], "1", None),
        (WOD, [at("17:00", class_id="5"), at("18:00", class_id="7"), at("19:00", class_id="6")], "7", None),
        (WHATEVER, [at("18:00", name="Yoga", class_id="2")], "2", None),
        # the day is not published
        (WOD, [], None, matching.NOT_PUBLISHED),
        (WHATEVER, [], None, matching.NOT_PUBLISHED),
        # several
        (WOD, [at("18:00", class_id="7"), at("18:00", class_id="8")], None, matching.AMBIGUOUS),
        (WHATEVER, [at("18:00", class_id="7"), at("18:00", "Yoga", "8")], None, matching.AMBIGUOUS),
        (WOD, [at("18:00"), at("18:00", class_id="8")], "1", None),  # one of them was chosen by its number
        # closed, cancelled
        (WOD, [at("18:00", class_id="7", closed=True)], "7", matching.CLOSED),
        (WOD, [at("18:00", cancelled=True)], None, matching.CANCELLED),
        (WOD, [at("18:00", cancelled=True, closed=True)], None, matching.CANCELLED),
        # moved
        (WOD, [at("18:30")], None, MOVED.format("18:30")),
        (WOD, [at("17:00", class_id="7")], None, MOVED.format("17:00")),
        (WOD, [at("19:00"), at("18:15", class_id="7")], None, MOVED.format("18:15")),
        (WOD, [at("19:01")], None, matching.GONE),
        (WOD, [at("16:59")], None, matching.GONE),
        (WOD, [at("18:30"), at("18:00", "Yoga", "2")], None, MOVED.format("18:30")),
        (WantedClass(SIX, "", "1"), [at("18:30", "Yoga")], None, MOVED.format("18:30")),
        (WHATEVER, [at("18:30")], None, matching.GONE),
        # renamed, gone
        (WOD, [at("18:00", "Yoga")], None, matching.RENAMED),
        (WOD, [at("18:00", "Yoga", "2"), at("18:00", "Open Box", "3")], None, matching.GONE),
        (WOD, [at("07:00", "Yoga", "2")], None, matching.GONE),
    ],
)
def test_a_class_is_taken_only_if_exactly_one_fits(
    wanted: WantedClass, classes: list[GymClass], class_id: str | None, warning: str | None
) -> None:
    assert match_class(wanted, classes) == ClassMatch(class_id, warning)
    assert match_class(wanted, classes[::-1]) == ClassMatch(class_id, warning), "their order does not matter"


def test_every_warning_names_its_kind_and_fits_in_its_column() -> None:
    warnings = [
        text for name, text in vars(matching).items() if name[0].isalpha() and name.isupper() and isinstance(text, str)
    ]
    assert len(warnings) == 7
    assert all(warning.startswith("class_") and len(warning) <= 300 for warning in warnings)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"starts": "18:00", "class_name": "  WOD\u00a0", "class_id": 4711}, WantedClass(SIX, "wod", "4711")),
        ({"starts": "18:00", "class_name": None, "class_id": None}, WHATEVER),
        ({"starts": "18:00", "class_name": ["WOD"], "class_id": "a b"}, WHATEVER),
    ],
)
def test_what_was_meant_is_read_leniently(data: dict[str, object], wanted: WantedClass) -> None:
    assert WantedClass.read(data) == wanted
