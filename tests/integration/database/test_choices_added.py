"""The choices of one request are added together, or none of them is."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import prebooking
from tests.support.choices import MEMBER, states
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.questions import add_choices_by_command, add_prebooking_by_command
from tests.support.races import result_after_commit

_COUNT = "select count(*) from public.prebookings where booking_data ->> 'class_id' <> 'other'"


def hour(number: int) -> dict[str, str]:
    return {"expires_at": noon(7200 + 3600 * number).isoformat()}


def ids(number: int) -> list[dict[str, Any]]:
    return [{"id": str(uuid4()), **hour(each)} for each in range(number)]


def count(owner: Connection) -> int:
    [(rows,)] = owner.execute(_COUNT).fetchall()
    return int(rows)


@pytest.fixture
def venue(owner: Connection, at: At) -> UUID:
    return add_venue(owner)


def test_each_choice_stands_after_the_one_before(owner: Connection, service: Connection, venue: UUID) -> None:
    choices = ids(4)
    assert add_choices_by_command(service, venue, choices) == {"verdict": "added", "id": choices[-1]["id"]}
    rows = [UUID(choice["id"]) for choice in choices]
    assert [prebooking(owner, row)["stands_after"] for row in rows] == [None, *rows[:-1]]
    assert states(owner, rows) == ["pending", *["waiting"] * 3]


def test_a_repeated_call_adds_nothing_more(owner: Connection, service: Connection, venue: UUID) -> None:
    choices = ids(3)
    answers = [add_choices_by_command(service, venue, choices) for _ in range(2)]
    assert answers == [{"verdict": "added", "id": choices[-1]["id"]}] * 2
    assert count(owner) == 3


def test_a_concurrent_repeated_call_adds_nothing_more(
    database: Database, owner: Connection, service: Connection, venue: UUID
) -> None:
    """The first try was slow: the second one waits for it, and finds the same rows."""
    choices, other = ids(2), database.connect("service_role")
    with service.transaction():
        add_choices_by_command(service, venue, choices)
        answer = result_after_commit(lambda: add_choices_by_command(other, venue, choices), owner, other, by=service)
    assert answer == {"verdict": "added", "id": choices[-1]["id"]}
    assert count(owner) == 2


@pytest.mark.parametrize(
    ("refused", "verdict"),
    [
        ({"booking_data": {"class_id": "1"}}, "waiting"),
        ({"booking_data": {"class_id": "other"}}, "waiting"),
        ({"expires_at": noon(9000).isoformat()}, "same_hour"),
        ({"expires_at": noon(-1).isoformat()}, "begun"),
    ],
    ids=["the same as another choice", "asked for already", "the hour of another prebooking", "begun"],
)
@pytest.mark.parametrize("number", [2, 3])
def test_none_is_added_if_one_is_refused(  # noqa: PLR0917 - fixtures and parameters
    owner: Connection, service: Connection, venue: UUID, refused: dict[str, Any], verdict: str, number: int
) -> None:
    add_prebooking_by_command(service, venue, data={"class_id": "other"}, expires_at=noon(9000))
    choices = ids(3)
    choices[number - 1] |= refused
    answer = add_choices_by_command(service, venue, choices)
    assert (answer["verdict"], answer["choice"]) == (verdict, number)
    assert count(owner) == 0


def test_choices_of_one_request_may_begin_at_the_same_hour(owner: Connection, service: Connection, venue: UUID) -> None:
    assert add_choices_by_command(service, venue, [{}, hour(1), {}])["verdict"] == "added"
    assert add_prebooking_by_command(service, venue, data={"class_id": "9"}, expires_at=noon(10_800), again=False)


def test_a_sixth_first_choice_is_refused_with_its_later_ones(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    for number in range(5):
        add_prebooking(
            owner, venue, user_email=MEMBER, available_at=noon(3600), booking_data={"class_id": f"x{number}"}
        )
    answer = add_choices_by_command(service, venue, ids(2))
    assert answer == {"verdict": "too_many", "choice": 1}
    assert count(owner) == 5


def test_a_fifth_choice_is_refused(owner: Connection, service: Connection, venue: UUID) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="three later choices"):
        add_choices_by_command(service, venue, ids(5))
    assert count(owner) == 0


def test_a_venue_that_is_gone_is_reported(service: Connection, at: At) -> None:
    assert add_choices_by_command(service, uuid4(), ids(2)) == {"verdict": "no_venue", "choice": 1}
