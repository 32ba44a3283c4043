"""Members' logins in the database: versions, leases for a refresh, and warnings on prebookings."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.calls import claim, claim_sessions, lease, prebooking, save_session, warn, warn_about_logins
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, noon

pytestmark = pytest.mark.usefixtures("at")

MEMBER = "ana@example.com"
DAY = 86_400
OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"  # ids of keys


@pytest.fixture
def venue(owner: Connection) -> UUID:
    return add_venue(owner, provider="aimharder", host="box.aimharder.com")


def prebook(owner: Connection, venue: UUID, opens: float = 3600, **overrides: Any) -> UUID:
    """Add a prebooking of a class that opens this many seconds after noon."""
    row: dict[str, Any] = {"user_email": MEMBER, "available_at": noon(opens)}
    return add_prebooking(owner, venue, **row | overrides)


def leased(service: Connection, me: UUID | None = None, **arguments: Any) -> list[str]:
    return [one["user_email"] for one in claim_sessions(service, me or uuid4(), **arguments)]


def test_a_stored_login_is_returned_with_the_claim(owner: Connection, service: Connection, venue: UUID) -> None:
    assert save_session(service, venue, "Ana@Example.com", "sealed 1", None) == 1
    prebook(owner, venue, opens=-1, user_email="ANA@example.com")
    [row] = claim(service, uuid4())["rows"]
    assert row["session"] == {"sealed": "sealed 1", "version": 1, "refreshed_at": noon(0).isoformat()}


def test_a_new_login_replaces_any_other_and_can_be_repeated(service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed 1", None)
    assert [save_session(service, venue, MEMBER, "sealed 2", None) for _ in range(2)] == [2, 2]


def test_a_refresh_replaces_only_the_version_it_read(service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed 1", None)
    assert [save_session(service, venue, MEMBER, "sealed 2", 1) for _ in range(2)] == [2, 2], "repeated"
    assert save_session(service, venue, MEMBER, "another 2", 1) is None, "another refresh was first"
    assert save_session(service, venue, "ben@example.com", "sealed", 1) is None, "nothing to refresh"


def test_a_session_that_is_over_warns_and_books_no_more(owner: Connection, service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    mine, due, soon = prebook(owner, venue), prebook(owner, venue, opens=-1), prebook(owner, venue, opens=59)
    others = prebook(owner, venue, user_email="ben@example.com")
    assert warn(service, venue, MEMBER, 1, warning="log in again")
    warnings = [prebooking(owner, row)["warning"] for row in (mine, due, soon, others)]
    assert warnings == ["log in again", None, None, None], "too late to log in"
    assert [row["session"] for row in claim(service, uuid4())["rows"]] == [None]
    assert save_session(service, venue, MEMBER, "sealed 2", 1) is None, "a refresh does not restore it"


def test_the_first_report_that_a_login_is_over_sets_the_time(service: Connection, venue: UUID, at: At) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    warn(service, venue, MEMBER, 1)
    at(60)
    warn(service, venue, MEMBER, 1)
    listed = service.execute("select public.list_sessions_v1(null) -> 0 ->> 'expired_at'").fetchone()
    assert listed == (noon(0).isoformat(),)


def test_a_new_login_removes_the_warning(owner: Connection, service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    row = prebook(owner, venue)
    warn(service, venue, MEMBER, 1)
    assert save_session(service, venue, MEMBER, "sealed 2", None) == 2
    assert prebooking(owner, row)["warning"] is None
    assert lease(service, uuid4(), venue, MEMBER, 2) == {"state": "leased"}


def test_a_warning_about_an_old_version_changes_nothing(owner: Connection, service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    save_session(service, venue, MEMBER, "sealed 2", 1)
    row = prebook(owner, venue)
    assert not warn(service, venue, MEMBER, 1)
    assert prebooking(owner, row)["warning"] is None
    assert lease(service, uuid4(), venue, MEMBER, 2) == {"state": "leased"}


def test_a_temporary_warning_does_not_end_the_session(owner: Connection, service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    row = prebook(owner, venue)
    assert warn(service, venue, MEMBER, 1, over=False, warning="not refreshed")
    assert prebooking(owner, row)["warning"] == "not refreshed"
    assert save_session(service, venue, MEMBER, "sealed 2", 1) == 2
    assert prebooking(owner, row)["warning"] is None


def test_a_session_is_leased_to_one_run_at_a_time(service: Connection, venue: UUID, at: At) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    me, other = uuid4(), uuid4()
    assert [lease(service, me, venue, MEMBER, 1) for _ in range(2)] == [{"state": "leased"}] * 2, "repeated"
    assert lease(service, other, venue, MEMBER, 1) == {"state": "busy"}
    at(31)
    assert lease(service, other, venue, MEMBER, 1) == {"state": "leased"}, "the lease has expired"
    save_session(service, venue, MEMBER, "sealed 2", 1)
    assert lease(service, me, venue, MEMBER, 2) == {"state": "leased"}, "the refresh has ended the lease"


def test_a_lease_of_an_old_version_returns_the_new_session(service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    save_session(service, venue, MEMBER, "sealed 2", 1)
    answer = lease(service, uuid4(), venue, MEMBER, 1)
    assert (answer["state"], answer["session"]["sealed"], answer["session"]["version"]) == ("newer", "sealed 2", 2)


def test_a_missing_or_ended_session_is_not_leased(service: Connection, venue: UUID) -> None:
    assert lease(service, uuid4(), venue, MEMBER, 1) == {"state": "gone"}
    save_session(service, venue, MEMBER, "sealed", None)
    warn(service, venue, MEMBER, 1)
    assert lease(service, uuid4(), venue, MEMBER, 1) == {"state": "over"}, "as the venue has answered"


@pytest.mark.parametrize(
    ("opens", "age", "refreshed"),
    [
        (61, 481, [MEMBER]),
        (61, 479, []),  # lives until the next round
        (7 * DAY, 481, [MEMBER]),
        (7 * DAY + 1, 481, []),  # no opening within a week
        (59, 481, []),  # a refresh would end the session that books now
        (-59, 481, []),
        (-61, 481, [MEMBER]),  # due, and not booked yet
    ],
)
def test_old_sessions_with_an_opening_within_a_week_are_refreshed(
    owner: Connection, service: Connection, venue: UUID, *, opens: float, age: float, refreshed: list[str]
) -> None:
    prebook(owner, venue, opens)
    add_session(owner, venue, MEMBER, refreshed_at=noon(-age))
    assert leased(service) == refreshed


@pytest.mark.parametrize(("ahead", "refreshed"), [(59, []), (61, [MEMBER]), (366 * DAY, [MEMBER])])
def test_a_session_from_a_clock_that_was_ahead_is_refreshed(
    owner: Connection, service: Connection, venue: UUID, *, ahead: float, refreshed: list[str]
) -> None:
    prebook(owner, venue, DAY)
    add_session(owner, venue, MEMBER, refreshed_at=noon(ahead))
    assert leased(service) == refreshed


def test_sessions_that_fail_every_time_delay_no_other(
    owner: Connection, service: Connection, venue: UUID, at: At
) -> None:
    """Their openings are earlier, and their venue does not answer."""
    other = add_venue(owner, provider="aimharder", host="other.aimharder.com")
    failing = [f"member{number}@example.com" for number in range(4)]
    for member in failing:
        prebook(owner, venue, user_email=member)
        add_session(owner, venue, member, refreshed_at=noon(-900))
    prebook(owner, other, 7200)
    add_session(owner, other, MEMBER, refreshed_at=noon(-900))
    taken = []
    for minute in range(4):
        at(60 * minute)
        taken.append(sorted(leased(service, limit=2), reverse=True))
    m0, m1, m2, m3 = failing
    assert taken == [[m0, MEMBER], [m2, m1], [m3, m0], [m1, MEMBER]]


@pytest.mark.parametrize("why_not", ["expired", "leased", "settled", "paused", "disabled", "provider", "remembered"])
def test_some_sessions_need_no_refresh(owner: Connection, service: Connection, venue: UUID, why_not: str) -> None:
    add_session(owner, venue, MEMBER, refreshed_at=noon(-900))
    prebook(owner, venue)
    owner.execute(
        {
            "expired": b"update public.member_sessions set expired_at = now()",
            "leased": b"update public.member_sessions set leased_by = venue_id, leased_until = '2026-11-23 12:01Z'",
            "settled": b"update public.prebookings set status = 'cancelled', settled_at = now()",
            "paused": b"update public.venues set paused_until = '2100-01-01'",
            "disabled": b"update public.venues set enabled = false",
            "provider": b"",
            "remembered": b"update public.member_sessions set password = 'x', password_key_id = '0123456789abcdef'",
        }[why_not]
    )
    assert leased(service, providers=["webhook"] if why_not == "provider" else ["aimharder"]) == []


def test_sessions_are_leased_in_opening_order(owner: Connection, service: Connection, venue: UUID, at: At) -> None:
    service.execute("set enable_nestloop = off")  # so that the plan gives no order by chance
    members = ["cleo@example.com", "ana@example.com", "ben@example.com"]
    for opens, member in reversed([*enumerate(members)]):
        prebook(owner, venue, opens=600 + opens, user_email=member)
        add_session(owner, venue, member, refreshed_at=noon(-900))
    assert leased(service, limit=2) == members[:2]
    assert leased(service) == members[2:]
    at(29)
    assert leased(service) == []
    at(31)
    assert leased(service) == members, "the leases have expired"


def test_a_warning_does_not_wait_or_block(
    database: Database, owner: Connection, service: Connection, venue: UUID
) -> None:
    save_session(service, venue, MEMBER, "sealed", None)
    edited, due = prebook(owner, venue), prebook(owner, venue, opens=-1)
    editor = database.connect()
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [edited])
        assert warn(service, venue, MEMBER, 1, over=False)
    with service.transaction():
        assert save_session(service, venue, MEMBER, "sealed 2", 1) == 2
        assert [row["id"] for row in claim(database.connect("service_role"), uuid4())["rows"]] == [str(due)]


def test_a_locked_login_is_not_leased(editor: Connection, owner: Connection, service: Connection, venue: UUID) -> None:
    for member in (MEMBER, "ben@example.com"):
        prebook(owner, venue, user_email=member)
        add_session(owner, venue, member, refreshed_at=noon(-900))
    with editor.transaction():
        editor.execute("select from public.member_sessions where user_email = %s for update", [MEMBER])
        assert leased(service) == ["ben@example.com"]


# keys


def test_a_login_has_the_id_of_its_key(owner: Connection, service: Connection, venue: UUID) -> None:
    def key_ids() -> Any:
        return owner.execute("select key_id from public.member_sessions").fetchall()

    save_session(service, venue, MEMBER, "sealed 1", None, key_id=THEIRS)
    assert key_ids() == [(THEIRS,)]
    save_session(service, venue, MEMBER, "sealed 2", 1, key_id=OURS)
    assert key_ids() == [(OURS,)]
    save_session(service, venue, MEMBER, "sealed 3", None)
    assert key_ids() == [(None,)], "an older caller passes no id"


def test_the_key_ids_of_all_logins_are_listed(service: Connection, venue: UUID) -> None:
    def key_ids() -> Any:
        return service.execute("select public.session_key_ids_v1()").fetchone()

    assert key_ids() == ([],)
    for member, key_id in (("ana", OURS), ("ben", THEIRS), ("cleo", OURS), ("dan", None)):
        save_session(service, venue, f"{member}@example.com", "sealed", None, key_id=key_id)
    assert key_ids() == ([OURS, THEIRS],)


@pytest.mark.parametrize(
    ("sealed_by", "keys", "refreshed"),
    [
        (OURS, [OURS], [MEMBER]),
        (OURS, [THEIRS, OURS], [MEMBER]),
        (None, [OURS], [MEMBER]),
        (OURS, None, [MEMBER]),
        (THEIRS, [OURS], []),
        (THEIRS, [], []),
    ],
)
def test_a_login_is_leased_to_a_deployment_that_can_open_it(
    owner: Connection,
    service: Connection,
    venue: UUID,
    *,
    sealed_by: str | None,
    keys: list[str] | None,
    refreshed: list[str],
) -> None:
    prebook(owner, venue)
    add_session(owner, venue, MEMBER, refreshed_at=noon(-900), key_id=sealed_by)
    assert leased(service, keys=keys) == refreshed


def test_a_session_lease_longer_than_possible_is_ignored(owner: Connection, service: Connection, venue: UUID) -> None:
    prebook(owner, venue)
    add_session(owner, venue, MEMBER, refreshed_at=noon(-900), leased_by=uuid4(), leased_until=noon(3600))
    assert leased(service) == [MEMBER]
    owner.execute("update public.member_sessions set leased_until = %s", [noon(3600)])
    assert lease(service, uuid4(), venue, MEMBER, 1) == {"state": "leased"}


# warnings hours before the opening


@pytest.mark.parametrize(
    ("login", "warning"),
    [
        (None, "no_login: "),
        ({"key_id": THEIRS}, "other_key: "),
        ({"expired_at": noon(-60)}, "session_expired: "),
        ({"expired_at": noon(-60), "key_id": THEIRS}, "session_expired: "),
        ({"key_id": OURS}, None),
        ({"key_id": None}, None),
    ],
    ids=str,
)
def test_a_member_without_a_login_is_warned_hours_before(
    owner: Connection, service: Connection, venue: UUID, *, login: dict[str, Any] | None, warning: str | None
) -> None:
    row = prebook(owner, venue, opens=6 * DAY)
    if login is not None:
        add_session(owner, venue, MEMBER, **login)
    assert warn_about_logins(service, [OURS]) == int(warning is not None)
    written = prebooking(owner, row)["warning"]
    assert written is None if warning is None else written.startswith(warning)


@pytest.mark.parametrize("why_not", ["too far ahead", "opens now", "held", "ended", "webhook"])
def test_a_row_that_needs_no_login_now_is_not_warned_about(
    owner: Connection, service: Connection, venue: UUID, why_not: str
) -> None:
    held: dict[str, Any] = {"claimed_by": uuid4(), "claimed_until": noon(30), "turn_until": noon(8)}
    row = {
        "too far ahead": lambda: prebook(owner, venue, opens=7 * DAY + 1),
        "opens now": lambda: prebook(owner, venue, opens=30),
        "held": lambda: prebook(owner, venue, **held),
        "ended": lambda: prebook(owner, venue, status="cancelled", settled_at=noon()),
        "webhook": lambda: prebook(owner, add_venue(owner)),
    }[why_not]()
    assert warn_about_logins(service, [OURS]) == 0
    assert prebooking(owner, row)["warning"] is None


def test_a_stored_login_removes_the_warnings_about_logins(owner: Connection, service: Connection, venue: UUID) -> None:
    rows = [
        prebook(owner, venue),
        prebook(owner, venue, warning="other_key: x"),
        prebook(owner, venue, warning="another"),
    ]
    add_session(owner, venue, MEMBER, key_id=OURS)
    assert warn_about_logins(service, [OURS]) == 0
    assert [prebooking(owner, row)["warning"] for row in rows] == [None, None, "another"]


def test_a_login_warning_keeps_one_about_bad_data(owner: Connection, service: Connection, venue: UUID) -> None:
    row = prebook(owner, venue, booking_data={"class_id": "4711", "day": "soon"})
    bad = prebooking(owner, row)["warning"]
    assert bad.startswith("bad_data: ")
    assert warn_about_logins(service, [OURS]) == 1
    save_session(service, venue, MEMBER, "sealed", None)
    warn(service, venue, MEMBER, 1)
    assert prebooking(owner, row)["warning"] == bad


@pytest.mark.parametrize("day", ["20300111", "soon"], ids=["no login", "bad data"])
def test_a_warning_is_not_written_twice(owner: Connection, service: Connection, venue: UUID, day: str) -> None:
    """Each write makes a row version that vacuum has to remove, and a claim skips a row that is being written."""
    prebook(owner, venue, booking_data={"class_id": "4711", "day": day})
    warn_about_logins(service, [OURS])
    before = owner.execute("select xmin, warning from public.prebookings").fetchall()
    warn_about_logins(service, [OURS])
    assert owner.execute("select xmin, warning from public.prebookings").fetchall() == before


def test_a_login_removes_the_warning_of_an_overdue_row(owner: Connection, service: Connection, venue: UUID) -> None:
    row = prebook(owner, venue, opens=-600, warning="no_login: the venue has opened")
    save_session(service, venue, MEMBER, "sealed", None)
    assert prebooking(owner, row)["warning"] is None


def test_a_new_login_ends_the_back_off_of_its_rows(owner: Connection, service: Connection, venue: UUID) -> None:
    waiting: dict[str, Any] = {"opens": -600, "retry_after": noon(900), "setbacks": 4}
    mine, theirs = prebook(owner, venue, **waiting), prebook(owner, venue, user_email="ben@example.com", **waiting)
    in_doubt, early = (
        prebook(owner, venue, maybe_sent=True, **waiting),
        prebook(owner, venue, early_since=noon(), **waiting),
    )
    save_session(service, venue, MEMBER, "sealed", None)
    rows = [prebooking(owner, row) for row in (mine, theirs, in_doubt, early)]
    assert [(row["retry_after"], row["setbacks"]) for row in rows] == [(None, 0), *[(noon(900), 4)] * 3]


def test_a_new_login_skips_locked_rows(editor: Connection, owner: Connection, service: Connection, venue: UUID) -> None:
    edited = prebook(owner, venue, opens=-600, retry_after=noon(900), setbacks=4)
    prebook(owner, venue)
    before = owner.execute("select xmin, id from public.prebookings").fetchall()
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [edited])
        assert save_session(service, venue, MEMBER, "sealed", None) == 1
    assert owner.execute("select xmin, id from public.prebookings").fetchall() == before


def test_login_warnings_skip_locked_rows(
    editor: Connection, owner: Connection, service: Connection, venue: UUID
) -> None:
    edited, other = prebook(owner, venue), prebook(owner, venue)
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [edited])
        assert warn_about_logins(service, [OURS]) == 2
    assert [prebooking(owner, row)["warning"] is None for row in (edited, other)] == [True, False]
