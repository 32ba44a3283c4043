"""What becomes of the prebookings of a repeat that is paused, resumed or removed, or whose venue changes its clock."""

from __future__ import annotations

from datetime import date, time
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.support.calls import cancel, prebooking
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, noon
from tests.support.questions import ask
from tests.support.races import result_after_commit
from tests.support.repeats import (
    ANA,
    NOTHING,
    add_gym,
    add_repeat,
    begins,
    by_start,
    ids,
    look_again,
    make,
    rows,
)

pytestmark = pytest.mark.usefixtures("at")  # noon is on Monday 23 November 2026

FIRST, SECOND = "Tue 2026-12-01 18:00", "Tue 2026-12-08 18:00"
LATER = [{"days": 0, "starts_at": "19:30"}, {"days": 1, "starts_at": "07:00"}]
DAY = 86_400


def added(service: Connection, venue: UUID, **how: Any) -> UUID:
    return UUID(add_repeat(service, venue, **how)["id"])


# pause, resume, remove


def test_a_paused_repeat_cancels_its_prebookings_and_makes_no_new_ones(
    at: At, owner: Connection, service: Connection
) -> None:
    repeat = added(service, add_gym(owner), later=LATER)
    other = add_prebooking(owner, add_gym(owner), user_email=ANA, available_at=noon(DAY))
    answer = ask(service, "pause_repeat_v1", repeat, True)  # noqa: FBT003 - SQL has no keywords here
    assert answer["verdict"] == "paused"
    assert set(ids(answer["cancelled"])) == set(by_start(owner)) - {other}
    assert answer["left"] == []
    reasons = owner.execute("select distinct error_message from public.prebookings where status = 'cancelled'")
    assert reasons.fetchall() == [("paused: its repeat was paused.",)]
    at(30 * DAY)
    assert make(service) == NOTHING
    again = ask(service, "pause_repeat_v1", repeat, True)  # noqa: FBT003
    assert again == answer, "a repeated call has the same answer"


def test_a_resumed_repeat_makes_the_cancelled_days_again_but_not_those_of_the_member(
    owner: Connection, service: Connection
) -> None:
    repeat = added(service, add_gym(owner))
    assert cancel(service, by_start(owner)[0], ANA) == "cancelled"
    ask(service, "pause_repeat_v1", repeat, True)  # noqa: FBT003
    for _ in range(2):
        answer = ask(service, "pause_repeat_v1", repeat, False)  # noqa: FBT003
        assert answer["verdict"] == "resumed"
        assert len(answer["made"]) == 1
    assert begins(owner) == [SECOND]
    assert begins(owner, "cancelled") == [FIRST, SECOND]
    assert ask(service, "pause_repeat_v1", uuid4(), False) == {"verdict": "not_found"}  # noqa: FBT003


def test_a_removed_repeat_leaves_what_may_be_at_the_venue_and_names_it(owner: Connection, service: Connection) -> None:
    repeat = added(service, add_gym(owner), later=LATER)
    (held, *_) = by_start(owner)
    in_doubt = by_start(owner)[3]
    hold(owner, held)
    owner.execute("update public.prebookings set maybe_sent = true where id = %s", [in_doubt])
    answer = ask(service, "remove_repeat_v1", repeat)
    assert ids(answer["left"]) == [held, in_doubt]
    assert len(answer["cancelled"]) == 4
    assert owner.execute("select from public.repeats").fetchall() == []
    assert {prebooking(owner, row)["status"] for row in (held, in_doubt)} == {"pending"}
    assert ask(service, "remove_repeat_v1", repeat) == {"verdict": "not_found"}
    assert add_repeat(service, add_gym(owner))["verdict"] == "added"


def hold(owner: Connection, row: UUID) -> None:
    owner.execute(
        "update public.prebookings set claimed_by = gen_random_uuid(), claimed_until = %s, turn_until = %s"
        " where id = %s",
        [noon(30), noon(8), row],
    )


def test_a_second_repeat_of_a_member_at_one_hour_is_refused(owner: Connection, service: Connection) -> None:
    gym, id_ = add_gym(owner), uuid4()
    first = add_repeat(service, gym, id=id_)
    assert add_repeat(service, gym, member="ANA@example.com") == {"verdict": "exists", "id": str(id_)}
    assert add_repeat(service, gym, id=id_) == first, "a repeated call has the same answer"
    assert add_repeat(service, gym, member="ben@example.com")["verdict"] == "added"
    assert add_repeat(service, gym, starts_at=time(19))["verdict"] == "added"
    assert add_repeat(service, gym, weekday=3)["verdict"] == "added"


# later choices


def test_later_choices_stand_after_each_other_and_share_repeat_and_day(owner: Connection, service: Connection) -> None:
    repeat = added(service, add_gym(owner), later=LATER, last_day=date(2026, 12, 1))
    assert begins(owner) == [FIRST, "Tue 2026-12-01 19:30", "Wed 2026-12-02 07:00"]
    first, second, third = by_start(owner)
    chain = owner.execute("select stands_after, waits from public.prebookings order by expires_at").fetchall()
    assert chain == [(None, False), (first, True), (second, True)]
    assert owner.execute("select distinct repeat_id, repeat_day from public.prebookings").fetchall() == [
        (repeat, date(2026, 12, 1))
    ]
    assert [prebooking(owner, row)["booking_data"] for row in (second, third)] == [
        {"class_id": "wod 2026-12-01 19:30", "day": "2026-12-01", "starts_at": "19:30"},
        {"class_id": "wod 2026-12-02 07:00", "day": "2026-12-02", "starts_at": "07:00"},
    ]


def test_a_later_choice_can_be_another_class_or_any(owner: Connection, service: Connection) -> None:
    later = [
        {"days": 0, "starts_at": "19:00"},
        {"days": 0, "starts_at": "20:00", "class_name": "Yoga"},
        {"days": 0, "starts_at": "21:00", "class_name": None},
    ]
    box = add_gym(owner, provider="aimharder", host="box.aimharder.com")
    added(service, box, data={"class_name": "WOD", "insist": 1}, later=later, last_day=date(2026, 12, 1))
    assert [prebooking(owner, row)["booking_data"] for row in by_start(owner)] == [
        {"day": "20261201", "starts_at": "18:00", "class_name": "WOD", "insist": 1},
        {"day": "20261201", "starts_at": "19:00", "class_name": "WOD", "insist": 1},
        {"day": "20261201", "starts_at": "20:00", "class_name": "Yoga", "insist": 1},
        {"day": "20261201", "starts_at": "21:00", "insist": 1},
    ]
    assert owner.execute("select distinct class_unknown, warning from public.prebookings").fetchall() == [(True, None)]


@pytest.mark.parametrize("promoted", [False, True])
def test_the_first_choice_is_made_although_a_later_choice_of_another_repeat_may_be_needed_at_that_hour(
    owner: Connection, service: Connection, *, promoted: bool
) -> None:
    gym = add_gym(owner)
    added(service, gym, later=LATER[1:])
    if promoted:
        owner.execute(
            "update public.prebookings set status = 'failed', outcome = 'full', settled_at = %s"
            " where stands_after is null",
            [noon()],
        )
    other = add_repeat(service, gym, weekday=3, starts_at=time(7), data={"note": "every Wednesday"})
    assert len(other["made"]) == (0 if promoted else 2)
    again = add_repeat(service, gym, starts_at=time(17), later=[{"days": 1, "starts_at": "07:00"}])
    assert len(again["made"]) == 2
    assert begins(owner).count("Wed 2026-12-02 07:00") == (1 if promoted else 2), "no third one at that hour"


# another clock of the venue


def edit(service: Connection, gym: UUID, zone: str | None, rule: str | None) -> None:
    assert ask(service, "edit_venue_v1", gym, None, zone, rule, None, None)["verdict"] == "changed"


def test_prebookings_move_with_the_zone_and_the_rule_of_their_venue(
    at: At, owner: Connection, service: Connection
) -> None:
    gym = add_gym(owner)
    added(service, gym, later=LATER[:1])
    added(service, add_gym(owner), member="ben@example.com")
    assert make(service) == NOTHING
    owner.execute("update public.venues set timezone = 'Europe/London' where id = %s", [gym])
    assert make(service) == NOTHING | {"repeats": 1, "moved": 4}
    london = [begin for _, begin in rows(owner, zone="Europe/London")]
    assert london.count(FIRST) == london.count(SECOND) == 1
    edit(service, gym, None, "2 days before at 20:00")
    assert make(service) == NOTHING | {"repeats": 1, "moved": 4}
    opens = [opens for opens, _ in rows(owner, zone="Europe/London")]
    assert opens.count("Sun 2026-11-29 20:00") == opens.count("Sun 2026-12-06 20:00") == 2
    edit(service, gym, None, "2 days before at 20:00")
    assert make(service) == NOTHING
    at(60)
    edit(service, gym, "Europe/London", "20 days before")
    assert make(service)["moved"] == 4
    assert "Wed 2026-11-11 18:00" in [opens for opens, _ in rows(owner, zone="Europe/London")], "its booking is open"


@pytest.mark.parametrize("state", ["held", "in doubt", "locked"])
def test_a_prebooking_that_may_be_at_the_venue_moves_when_it_is_free(
    database: Database, at: At, owner: Connection, service: Connection, state: str
) -> None:
    gym = add_gym(owner)
    added(service, gym)
    row, other = by_start(owner)
    before = prebooking(owner, row)["available_at"], prebooking(owner, other)["available_at"]
    editor = database.connect()
    with editor.transaction():
        if state == "held":
            hold(owner, row)
        elif state == "in doubt":
            owner.execute("update public.prebookings set maybe_sent = true where id = %s", [row])
        else:
            editor.execute("select from public.prebookings where id = %s for update", [row])
        edit(service, gym, None, "2 days before")
        assert make(service)["moved"] == 1
        assert prebooking(owner, row)["available_at"] == before[0]
        assert prebooking(owner, other)["available_at"] > before[1]
    owner.execute(
        "update public.prebookings set maybe_sent = false, claimed_by = null, claimed_until = null, turn_until = null"
    )
    assert make(service) == NOTHING
    at(60)
    assert make(service) == NOTHING | {"repeats": 1, "moved": 1}
    assert prebooking(owner, row)["available_at"] > before[0]


@pytest.mark.parametrize("change", [{"starts_at": "soon"}, {"day": "never"}, {"day": None}, {"day": "29990101"}])
def test_a_row_that_cannot_be_moved_stops_no_other_of_its_repeat(
    at: At, owner: Connection, service: Connection, change: dict[str, str | None]
) -> None:
    """A member's app has edited one row; then the venue changes its rule."""
    gym = add_gym(owner)
    added(service, gym)
    bad, other = by_start(owner)
    before = prebooking(owner, bad)["available_at"], prebooking(owner, other)["available_at"]
    edited = "update public.prebookings set booking_data = booking_data || %s where id = %s"
    owner.execute(edited, [Jsonb(change), bad])
    edit(service, gym, None, "2 days before")
    assert make(service) == NOTHING | {"repeats": 1, "moved": 1}
    assert prebooking(owner, bad)["available_at"] == before[0]
    assert prebooking(owner, other)["available_at"] > before[1]


def test_an_opening_that_was_corrected_by_hand_is_kept(owner: Connection, service: Connection) -> None:
    added(service, add_gym(owner))
    row, _ = by_start(owner)
    owner.execute("update public.prebookings set available_at = %s where id = %s", [noon(DAY), row])
    look_again(service)
    assert prebooking(owner, row)["available_at"] == noon(DAY)


def test_a_venue_can_be_edited_while_its_repeats_are_made(
    database: Database, owner: Connection, service: Connection
) -> None:
    """The edit waits for the end of the upkeep, and the prebookings that it made move then."""
    gym, making = add_gym(owner), database.connect("service_role")
    added(service, gym)
    owner.execute("update public.repeats set due_at = public.prebooking_clock()")
    with making.transaction():
        make(making)
        result_after_commit(lambda: edit(service, gym, None, "2 days before"), owner, service, by=making)
    assert make(service)["moved"] == 2


# concurrent calls


def test_two_upkeeps_at_once_make_each_day_once(database: Database, owner: Connection, service: Connection) -> None:
    other = database.connect("service_role")
    for member in ("ana@example.com", "ben@example.com"):
        added(service, add_gym(owner), member=member)
    owner.execute("update public.prebookings set status = 'cancelled', settled_at = now()")
    owner.execute("update public.repeats set due_at = public.prebooking_clock(), weekday = 3 ")
    with other.transaction():
        assert make(other, 1) == NOTHING | {"repeats": 1, "made": 2, "more": True}
        assert make(service) == NOTHING | {"repeats": 1, "made": 2, "more": True}, "the locked one is skipped"
    assert make(service) == NOTHING
    assert len(begins(owner)) == 4


def test_a_repeat_that_is_removed_while_it_is_made_leaves_no_prebooking(
    database: Database, owner: Connection, service: Connection
) -> None:
    making = database.connect("service_role")
    repeat = added(service, add_gym(owner))
    owner.execute("update public.repeats set due_at = public.prebooking_clock(), weekday = 3")
    with making.transaction():
        assert make(making)["made"] == 2
        answer = result_after_commit(lambda: ask(service, "remove_repeat_v1", repeat), owner, service, by=making)
    assert len(answer["cancelled"]) == 4
    assert begins(owner) == []


def test_a_row_that_is_locked_does_not_stop_the_repeats(
    database: Database, at: At, owner: Connection, service: Connection
) -> None:
    """The member is adding the same class: that repeat waits a quarter of a second, and is looked at a minute later."""
    gym, adding = add_gym(owner), database.connect()
    for member in (ANA, "ben@example.com"):
        added(service, gym, member=member, data={"class_id": "yoga {day}"})
    owner.execute("update public.repeats set due_at = public.prebooking_clock(), weekday = 3")
    with adding.transaction(force_rollback=True):
        add_prebooking(adding, gym, user_email=ANA, booking_data={"class_id": "yoga 2026-12-02"}, available_at=noon(1))
        assert make(service) == NOTHING | {"repeats": 2, "made": 2}
    at(60)
    assert make(service) == NOTHING | {"repeats": 1, "made": 2}


def test_a_call_looks_at_as_many_repeats_as_it_is_told_the_longest_due_first(
    owner: Connection, service: Connection
) -> None:
    for number in range(5):
        added(service, add_gym(owner), member=f"{number}@example.com")
    owner.execute("update public.repeats set due_at = %s - left(user_email, 1)::int * interval '1 minute'", [noon()])
    assert make(service, 2) == NOTHING | {"repeats": 2, "more": True}
    due = "select left(user_email, 1) from public.repeats where due_at <= %s order by 1"
    assert owner.execute(due, [noon()]).fetchall() == [("0",), ("1",), ("2",)]
    assert [make(service, 2) for _ in range(3)] == [
        NOTHING | {"repeats": 2, "more": True},
        NOTHING | {"repeats": 1},
        NOTHING,
    ]


def test_one_call_of_ten_thousand_due_repeats_ends_within_two_seconds(owner: Connection, service: Connection) -> None:
    """A statement has two seconds. A hundred repeats take half a second; a call ends after about one second."""
    gyms = [add_gym(owner) for _ in range(20)]
    owner.execute(
        """
        insert into public.repeats (venue_id, user_email, weekday, starts_at, booking_data, later, due_at)
        select (%s::uuid[])[1 + n %% 20], 'member' || n || '@example.com', 1 + n %% 7,
          time '06:00' + n %% 60 * interval '15 minutes', '{"class_name": "WOD"}',
          '[{"days": 0, "starts_at": "21:45"}]', %s
        from generate_series(1, 10000) n""",
        [gyms, noon()],
    )
    service.execute("set statement_timeout = '2s'")
    answer = make(service, 1000)
    assert answer["more"]
    assert answer["made"] == 4 * answer["repeats"] > 0
