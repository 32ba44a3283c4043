"""What can be deleted: a member's data in settled rows, and rows that were settled long ago."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import claim
from tests.support.database import Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.questions import ask
from tests.support.races import result_after_commit
from tests.support.repeats import add_absence, add_gym, add_repeat, make

pytestmark = pytest.mark.usefixtures("at")

ANA = "ana@example.com"
DAY = 86_400


def ended(owner: Connection, venue: UUID, *, seconds_ago: float, **overrides: Any) -> UUID:
    at = noon(-seconds_ago)
    row = {"status": "failed", "outcome": "full", "settled_at": at, "available_at": noon(-seconds_ago - 60)}
    return add_prebooking(owner, venue, user_email=ANA, **row | {"expires_at": noon(DAY)} | overrides)


def test_settled_rows_are_deleted_by_a_claim_after_400_days(owner: Connection, service: Connection) -> None:
    venue, warnings = add_venue(owner), list[object]()
    service.add_notice_handler(warnings.append)
    young = ended(owner, venue, seconds_ago=400 * DAY - 1)
    ended(owner, venue, seconds_ago=400 * DAY + 1)
    waiting = add_prebooking(owner, venue, available_at=noon(DAY), created_at=noon(-500 * DAY))
    claim(service, uuid4())
    assert not warnings
    assert {row for (row,) in owner.execute("select id from public.prebookings").fetchall()} == {young, waiting}


def test_a_claim_deletes_a_hundred_old_rows_and_skips_locked_ones(
    editor: Connection, owner: Connection, service: Connection
) -> None:
    venue = add_venue(owner)
    for number in range(102):
        ended(owner, venue, seconds_ago=500 * DAY + number)
    with editor.transaction():
        editor.execute("select from public.prebookings order by settled_at limit 1 for update")
        claim(service, uuid4())
        assert owner.execute("select count(*) from public.prebookings").fetchone() == (2,)
    claim(service, uuid4())
    assert owner.execute("select count(*) from public.prebookings").fetchone() == (0,)


@pytest.mark.parametrize("check", ["", "deferrable initially deferred"])
def test_rows_that_another_table_refers_to_stop_no_claim(owner: Connection, service: Connection, check: str) -> None:
    """An app can have a table with notes about prebookings. Then the other old rows are deleted."""
    venue = add_venue(owner)
    referred = [ended(owner, venue, seconds_ago=500 * DAY + n) for n in range(10)]
    for n in range(60):
        ended(owner, venue, seconds_ago=450 * DAY + n)
    owner.execute(f"create table public.notes (id uuid references public.prebookings {check})".encode())
    owner.cursor().executemany("insert into public.notes values (%s)", [[row] for row in referred])
    due = add_prebooking(owner, venue)
    for _ in range(40):
        taken = claim(service, uuid4(), turn_ms=0)
    assert owner.execute("select count(*) from public.prebookings").fetchone() == (len([*referred, due]),)
    assert owner.execute("select claimed_by is not null from public.prebookings where id = %s", [due]).fetchone() == (
        True,
    )
    assert taken["rows"] == []


@pytest.mark.parametrize("table", ["prebooking_places", "notifications"])
def test_a_locked_part_of_an_old_row_delays_no_claim(
    database: Database, owner: Connection, service: Connection, table: str
) -> None:
    venue, editor, warnings = add_venue(owner), database.connect(), list[object]()
    service.add_notice_handler(warnings.append)
    old = ended(owner, venue, seconds_ago=401 * DAY)
    owner.execute("insert into public.prebooking_places (prebooking_id) values (%s)", [old])
    owner.execute(
        """insert into public.notifications (prebooking_id, event, channel_id, due_at, next_at)
        values (%s, 'failed', gen_random_uuid(), now(), now())""",
        [old],
    )
    due = add_prebooking(owner, venue)
    service.execute("set statement_timeout = '1s'")
    with editor.transaction():
        editor.execute(f"select from public.{table} for update".encode())
        assert [UUID(row["id"]) for row in claim(service, uuid4())["rows"]] == [due]
    claim(service, uuid4())
    assert not warnings
    assert owner.execute("select id from public.prebookings").fetchall() == [(due,)]


def test_pending_and_recent_rows_cannot_be_deleted(owner: Connection, service: Connection) -> None:
    venue = add_venue(owner)
    rows = [ended(owner, venue, seconds_ago=400 * DAY - 1), add_prebooking(owner, venue)]
    for row in rows:
        with pytest.raises(psycopg.Error, match="is kept"):
            service.execute("delete from public.prebookings where id = %s", [row])
    with pytest.raises(psycopg.Error, match="is kept"):
        service.execute("delete from public.venues where id = %s", [venue])
    with pytest.raises(psycopg.Error, match="is kept"):
        owner.execute("delete from public.prebookings where id = %s", [rows[1]])
    assert owner.execute("select count(*) from public.prebookings").fetchone() == (2,)


def change_all(owner: Connection, what: str) -> None:
    owner.execute(b"update public.prebookings set " + what.encode() + b" where true")


_ANONYMOUS = "user_email = 'forgotten', booking_id = null, warning = null, booking_data = '{}'"


@pytest.mark.parametrize(
    "more",
    [
        "status = 'pending', settled_at = null, outcome = null",
        "outcome = 'no_credit'",
        "settled_at = settled_at + interval '1 second'",
        "attempts = attempts + 1",
        "available_at = available_at - interval '1 second'",
        "error_message = 'x'",
        "booking_data = '{\"class_id\": 1}'",
        "user_email = 'ben@example.com'",
        "booking_id = '1'",
        "fired_at = settled_at",
        "id = gen_random_uuid()",
    ],
)
def test_a_settled_row_can_only_be_anonymised(owner: Connection, more: str) -> None:
    ended(owner, add_venue(owner), seconds_ago=60, booking_data={"note": "for Ana"})
    named = more.split(" =", maxsplit=1)[0]
    rest = ", ".join(part for part in _ANONYMOUS.split(", ") if not part.startswith(named))
    for change in (more, f"{rest}, {more}"):
        with pytest.raises(psycopg.Error) as refusal:
            change_all(owner, change)
        assert refusal.value.sqlstate == "PT409"
    for _ in range(2):
        change_all(owner, _ANONYMOUS)
    assert owner.execute("select user_email, booking_data from public.prebookings").fetchall() == [("forgotten", {})]


def test_forgetting_a_member_keeps_the_rows_of_others(owner: Connection, service: Connection) -> None:
    venue = add_venue(owner)
    mine = add_prebooking(owner, venue, user_email="ana@example.org", available_at=noon(60))
    add_session(owner, venue, "ana@example.org")
    assert ask(service, "forget_member_v1", ANA) == {
        "logins": 0,
        "repeats": 0,
        "absences": 0,
        "channels": 0,
        "cancelled": 0,
        "anonymised": 0,
        "being_booked": 0,
    }
    assert owner.execute("select id, status from public.prebookings").fetchall() == [(mine, "pending")]


@pytest.mark.parametrize(
    ("data", "left"),
    [
        ({"note": "for Ana", "class_id": {"name": "Ana"}, "day": ["Ana's"]}, {}),
        ({"class_id": "4711", "day": "20261123", "family_id": "Ana's"}, {"class_id": "4711", "day": "20261123"}),
    ],
)
def test_an_anonymised_row_has_no_warning(
    owner: Connection, service: Connection, data: dict[str, Any], left: dict[str, Any]
) -> None:
    box = add_venue(owner, provider="aimharder", host="box.aimharder.com")
    ended(owner, box, seconds_ago=60, booking_data=data, warning="call Ana")
    ask(service, "forget_member_v1", ANA)
    assert owner.execute("select booking_data, warning from public.prebookings").fetchall() == [(left, None)]


def test_a_member_with_a_row_in_doubt_is_forgotten_later(owner: Connection, service: Connection) -> None:
    add_prebooking(owner, add_venue(owner), user_email=ANA, maybe_sent=True)
    answer = ask(service, "forget_member_v1", ANA)
    assert (answer["cancelled"], answer["being_booked"]) == (0, 1)


def test_forgetting_a_member_twice_finds_nothing_the_second_time(owner: Connection, service: Connection) -> None:
    ended(owner, add_venue(owner), seconds_ago=60)
    assert ask(service, "forget_member_v1", ANA.upper())["anonymised"] == 1
    assert ask(service, "forget_member_v1", ANA)["anonymised"] == 0
    assert ask(service, "forget_member_v1", "forgotten")["anonymised"] >= 0


def test_a_forgotten_member_has_no_repeat_and_no_absence(owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    for member in (ANA, "ben@example.com"):
        add_repeat(service, gym, member=member)
        add_absence(service, "2027-01-05", member=member)
    answer = ask(service, "forget_member_v1", ANA.upper())
    assert (answer["repeats"], answer["absences"], answer["cancelled"], answer["anonymised"]) == (1, 1, 2, 2)
    left = owner.execute("select user_email from public.repeats union all select user_email from public.absences")
    assert left.fetchall() == [("ben@example.com",)] * 2
    forgotten = "select repeat_id, repeat_day from public.prebookings where user_email = 'forgotten'"
    assert owner.execute(forgotten).fetchall() == [(None, None)] * 2
    owner.execute("update public.repeats set due_at = public.prebooking_clock()")
    assert make(service)["made"] == 0


def test_a_member_whose_repeat_is_just_being_made_is_forgotten(
    database: Database, owner: Connection, service: Connection
) -> None:
    making = database.connect("service_role")
    add_repeat(service, add_gym(owner))
    owner.execute("update public.repeats set weekday = 3, due_at = public.prebooking_clock()")
    with making.transaction():
        assert make(making)["made"] == 2
        answer = result_after_commit(lambda: ask(service, "forget_member_v1", ANA), owner, service, by=making)
    assert (answer["cancelled"], answer["being_booked"]) == (4, 0)


def test_a_venue_is_removed_with_its_repeats(owner: Connection, service: Connection) -> None:
    gym = add_gym(owner)
    add_repeat(service, gym)
    assert ask(service, "remove_venue_v1", gym) == {"verdict": "waiting", "pending": 2, "repeats": 1}
    owner.execute("update public.prebookings set status = 'cancelled', settled_at = %s", [noon(-401 * DAY)])
    answer = ask(service, "remove_venue_v1", gym)
    assert (answer["verdict"], answer["repeats"], answer["settled"]) == ("removed", 1, 2)
    assert owner.execute("select count(*) from public.repeats").fetchone() == (0,)


def test_a_venue_with_a_concurrent_new_prebooking_is_not_removed(
    database: Database, owner: Connection, service: Connection
) -> None:
    venue, adding = add_venue(owner), database.connect()
    with adding.transaction():
        add_prebooking(adding, venue)
        answer = result_after_commit(lambda: ask(service, "remove_venue_v1", venue), owner, service, by=adding)
        assert answer == {"verdict": "waiting", "pending": 1, "repeats": 0}
    assert owner.execute("select count(*) from public.prebookings").fetchone() == (1,)
