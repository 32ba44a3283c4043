"""Two boxes of AimHarder's twin, each with a week of classes, for ``make dev``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from prebooking.local.venue.twin import VenueTwin
from prebooking.opening import OpeningRule

ZONE = ZoneInfo("Europe/Madrid")
SPRINT = "Sprint"  # the class whose booking opens in two minutes

_DAYS = 8  # today, and the week after
_CLASSES = {"07:00": ("WOD", 12), "12:30": ("Open Box", 20), "18:00": ("WOD", 12), "19:30": ("Gymnastics", 6)}
_FIRST_CLASS = 2001


@dataclass(frozen=True, slots=True)
class LocalBox:
    """A box, and the rule by which its classes open."""

    name: str
    host: str
    box_id: int
    rule: str


FORGE = LocalBox("Forge", "forge.aimharder.com", 10_584, "4 days before")
GRANITE = LocalBox("Granite", "granite.aimharder.com", 10_585, "48 hours before")


def open_week(twin: VenueTwin) -> datetime:
    """Add both boxes with their classes, and at Forge one whose booking opens in two minutes.

    Returns the start of that class, in the boxes' local time.
    """
    midnight = twin.now().astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    class_ids = map(str, count(_FIRST_CLASS))
    for box in (FORGE, GRANITE):
        twin.open_box(box.host, box_id=box.box_id, name=box.name)
        for day in range(_DAYS):
            for hour, (name, places) in _CLASSES.items():
                starts = midnight + timedelta(days=day, hours=int(hour[:2]), minutes=int(hour[3:]))
                _open(twin, box, next(class_ids), starts, name=name, places=places)
    soon = twin.now().astimezone(ZONE).replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=2)
    sprint = soon + timedelta(days=4)
    _open(twin, FORGE, next(class_ids), sprint, name=SPRINT, places=12)
    return sprint


def _open(twin: VenueTwin, box: LocalBox, class_id: str, starts: datetime, *, name: str, places: int) -> None:
    opens = OpeningRule.parse(box.rule).opening(starts, ZONE)
    day, hour = f"{starts:%Y%m%d}", f"{starts:%H:%M}"
    twin.open_class(class_id, opens_at=opens, capacity=places, name=name, day=day, time=hour, box=box.host)
