"""Two operators at once: the second one gets the result of the first one's change."""

from __future__ import annotations

from uuid import uuid4

from tests.support.database import At, Connection, Database
from tests.support.factories import add_venue as venue_of
from tests.support.questions import add_venue, add_wish, ask
from tests.support.races import at_the_same_time, wait_until_blocked


def test_a_name_taken_by_a_concurrent_addition_is_refused(database: Database, owner: Connection) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    with one.transaction():
        assert add_venue(one)["verdict"] == "added"
        with at_the_same_time(lambda: add_venue(other, name="BOX centro", host="norte.aimharder.com")) as answer:
            assert wait_until_blocked(owner, other, by=one) == "advisory"
            one.execute("commit; begin")
            assert answer.result()["verdict"] == "name_taken"
    assert len(owner.execute("select * from public.venues").fetchall()) == 1


def test_two_venues_cannot_get_the_same_box_concurrently(database: Database, owner: Connection) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    first, second = (venue_of(owner, provider="aimharder", host="centro.aimharder.com") for _ in range(2))
    with one.transaction():
        assert ask(one, "set_venue_box_v1", first, "42") == {"verdict": "set"}
        with at_the_same_time(lambda: ask(other, "set_venue_box_v1", second, "42")) as answer:
            assert wait_until_blocked(owner, other, by=one) == "advisory"
            one.execute("commit; begin")
            assert answer.result()["verdict"] == "box_taken"


def test_a_concurrent_fifth_prebooking_counts(database: Database, owner: Connection, at: At) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    venue = venue_of(owner)
    for number in range(4):
        assert add_wish(one, venue, data={"class_id": number})["verdict"] == "added"
    with one.transaction():
        assert add_wish(one, venue, data={"class_id": 5})["verdict"] == "added"
        with at_the_same_time(lambda: add_wish(other, venue, data={"class_id": 6})) as answer:
            wait_until_blocked(owner, other, by=one)
            one.execute("commit; begin")
            assert answer.result() == {"verdict": "too_many"}
    assert owner.execute("select count(*) from public.prebookings").fetchone() == (5,)


def test_a_concurrent_prebooking_of_the_same_class_is_refused(database: Database, owner: Connection, at: At) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    venue, first = venue_of(owner), uuid4()
    with one.transaction():
        assert add_wish(one, venue, id=first)["verdict"] == "added"
        with at_the_same_time(lambda: add_wish(other, venue)) as answer:
            wait_until_blocked(owner, other, by=one)
            one.execute("commit; begin")
            assert answer.result() == {"verdict": "waiting", "id": str(first)}
