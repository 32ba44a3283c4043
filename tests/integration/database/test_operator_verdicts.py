"""The answer that takes precedence when several apply, and what an edit leaves unchanged."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.support.calls import prebooking
from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import add_prebooking_by_command, add_venue_by_command, ask, preview

ANA = {"user_email": "ana@example.com"}
BOOKED = {"status": "completed", "outcome": "booked", "settled_at": noon(), **ANA}
WOD = {"class_id": "4711", "day": "20261123"}
UNCHANGED = [None] * 5  # of a venue's name, time zone, rule, box and whether it knows keys


def test_a_repeated_addition_finds_a_renamed_venue(service: Connection) -> None:
    mine = uuid4()
    add_venue_by_command(service, id=mine)
    ask(service, "edit_venue_v1", mine, "Box Norte", *UNCHANGED[1:])
    add_venue_by_command(service, host="other.aimharder.com")
    assert add_venue_by_command(service, id=mine) == {"verdict": "added", "id": str(mine), "name": "Box Norte"}


@pytest.mark.parametrize("first", ["name", "box"])
def test_a_taken_name_is_reported_before_a_taken_box(service: Connection, first: str) -> None:
    venues = {"name": {"host": "norte.aimharder.com"}, "box": {"name": "Box Norte", "host": "centro.aimharder.com"}}
    for key in sorted(venues, key=lambda key: key != first):
        assert add_venue_by_command(service, **venues[key])["verdict"] == "added"
    answer = add_venue_by_command(service)
    assert (answer["verdict"], answer["name"]) == ("name_taken", "Box Centro")

    third = add_venue_by_command(service, name="Third", box="43")["id"]
    assert ask(service, "edit_venue_v1", third, "box centro", None, None, "42", None) == {
        "verdict": "name_taken",
        "name": "Box Centro",
    }


def test_an_empty_edit_changes_nothing(owner: Connection, service: Connection) -> None:
    about = {"provider_box_id": "42", "opening_rule": "4 days before", "timezone": "Europe/Madrid", "idempotent": True}
    venue = add_venue(owner, name="Box Centro", **about)
    assert ask(service, "edit_venue_v1", venue, *UNCHANGED) == {"verdict": "changed"}
    kept = owner.execute(
        "select name, provider_box_id, opening_rule, timezone, idempotent from public.venues"
    ).fetchone()
    assert kept == ("Box Centro", *about.values())


@pytest.mark.parametrize(("begins", "verdict"), [(noon(0), "begun"), (noon(1), "added")])
@pytest.mark.usefixtures("at")
def test_a_class_that_begins_now_is_begun(
    owner: Connection, service: Connection, begins: datetime, verdict: str
) -> None:
    added = add_prebooking_by_command(service, add_venue(owner), available_at=noon(-60), expires_at=begins)
    assert added["verdict"] == verdict


@pytest.mark.parametrize(
    ("there", "answer"),
    [
        (["booked", "waiting"], "waiting"),
        (["same hour", "waiting"], "waiting"),
        (["same hour", "booked"], "booked"),
        (["same hour, booked", "booked"], "booked"),
        (["same hour", "same hour, booked"], "same hour, booked"),
        (["another day, booked"], None),
    ],
    ids=str,
)
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.usefixtures("at")
def test_the_strongest_of_several_conflicts_is_reported(
    owner: Connection, service: Connection, there: list[str], answer: str | None, order: int
) -> None:
    venue, other = add_venue(owner), {"class_id": "4712"}
    rows: dict[str, dict[str, Any]] = {
        "waiting": ANA | {"booking_data": WOD},
        "booked": BOOKED | {"booking_data": WOD},
        "same hour": ANA | {"booking_data": other},
        "same hour, booked": BOOKED | {"booking_data": other},
        "another day, booked": BOOKED | {"booking_data": WOD, "expires_at": noon(7 * 86_400)},
    }
    ids = {one: add_prebooking(owner, venue, **{"expires_at": noon(7200)} | rows[one]) for one in there[::order]}
    added = add_prebooking_by_command(service, venue, anyway=False)
    assert added["verdict"] == (answer or "added").partition(",")[0].replace(" ", "_")
    assert answer is None or added["id"] == str(ids[answer])


def test_a_claimed_row_is_not_counted_as_left_to_others(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner, enabled=False)
    lease = {"claimed_by": uuid4(), "claimed_until": noon(30), "turn_until": noon(8)}
    add_prebooking(owner, venue, available_at=noon(-1), **lease)
    add_prebooking(owner, venue, available_at=noon(60))
    assert ask(service, "due_elsewhere_v1", ["webhook"]) == {}
    add_prebooking(owner, venue, available_at=noon(-1))
    assert ask(service, "due_elsewhere_v1", ["webhook"]) == {"paused": 1}


def test_a_preview_is_in_the_order_of_the_claim(owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    rows = [add_prebooking(owner, venue, available_at=noon(-60 + seconds)) for seconds in (3, 1, 2)]
    due = sorted(rows, key=lambda row: prebooking(owner, row)["available_at"])
    assert [row["id"] for row in preview(service)["rows"]] == [str(row) for row in due]
