"""Two operators at once: the second one gets the result of the first one's change."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.database import At, Connection, Database
from tests.support.factories import add_venue
from tests.support.questions import add_prebooking_by_command, add_venue_by_command, ask
from tests.support.races import result_after_commit


def test_a_name_taken_by_a_concurrent_addition_is_refused(database: Database, owner: Connection) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    with one.transaction():
        assert add_venue_by_command(one)["verdict"] == "added"
        answer = result_after_commit(
            lambda: add_venue_by_command(other, name="BOX centro", host="norte.aimharder.com"),
            owner,
            other,
            by=one,
            lock="advisory",
        )
        assert answer["verdict"] == "name_taken"
    assert len(owner.execute("select * from public.venues").fetchall()) == 1


@pytest.mark.parametrize(
    ("function", "box", "verdict"),
    [("set_venue_box_v1", ["42"], "set"), ("edit_venue_v1", [None, None, None, "42", None], "changed")],
)
def test_two_venues_cannot_get_the_same_box_concurrently(
    database: Database, owner: Connection, function: str, box: list[str | None], verdict: str
) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    first, second = (add_venue(owner, provider="aimharder", host="centro.aimharder.com") for _ in range(2))
    with one.transaction():
        assert ask(one, function, first, *box) == {"verdict": verdict}
        answer = result_after_commit(lambda: ask(other, function, second, *box), owner, other, by=one, lock="advisory")
        assert answer["verdict"] == "box_taken"


def test_a_concurrent_fifth_prebooking_counts(database: Database, owner: Connection, at: At) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    venue = add_venue(owner)
    for number in range(4):
        assert add_prebooking_by_command(one, venue, data={"class_id": number})["verdict"] == "added"
    with one.transaction():
        assert add_prebooking_by_command(one, venue, data={"class_id": 5})["verdict"] == "added"
        answer = result_after_commit(
            lambda: add_prebooking_by_command(other, venue, data={"class_id": 6}), owner, other, by=one
        )
        assert answer == {"verdict": "too_many"}
    assert owner.execute("select count(*) from public.prebookings").fetchone() == (5,)


def test_a_concurrent_prebooking_of_the_same_class_is_refused(database: Database, owner: Connection, at: At) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    venue, first = add_venue(owner), uuid4()
    with one.transaction():
        assert add_prebooking_by_command(one, venue, id=first)["verdict"] == "added"
        answer = result_after_commit(lambda: add_prebooking_by_command(other, venue), owner, other, by=one)
        assert answer == {"verdict": "waiting", "id": str(first)}
