"""Automatic logins in the database: when one is due, that it is tried once, and how it ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.calls import (
    claim_logins,
    claim_sessions,
    end_login,
    lease,
    logins_due,
    prebooking,
    save_login,
    save_session,
    warn,
    warn_about_logins,
)
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, noon

pytestmark = pytest.mark.usefixtures("at")

MEMBER, OTHER = "ana@example.com", "ben@example.com"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"  # ids of keys
DEAD = noon(-1800)


@pytest.fixture
def venue(owner: Connection) -> UUID:
    return add_venue(owner, provider="aimharder", host="box.aimharder.com")


def prebook(owner: Connection, venue: UUID, opens: float = 20 * MINUTE, **overrides: Any) -> UUID:
    """Add a prebooking of a class that opens this many seconds after noon."""
    row: dict[str, Any] = {"user_email": MEMBER, "available_at": noon(opens)}
    return add_prebooking(owner, venue, **row | overrides)


def remember(owner: Connection, venue: UUID, member: str = MEMBER, **overrides: Any) -> None:
    """Add a member with a remembered password, and a session that is dead."""
    kept: dict[str, Any] = {"password": "sealed password", "password_key_id": OURS, "refreshed_at": DEAD}
    add_session(owner, venue, member, **kept | overrides)


def claimed(service: Connection, me: UUID | None = None, **arguments: Any) -> list[str]:
    return [one["user_email"] for one in claim_logins(service, me or uuid4(), **arguments)]


def column(owner: Connection, name: str, table: str = "member_sessions") -> Any:
    [(value,)] = owner.execute(f"select {name} from public.{table}".encode()).fetchall()  # noqa: S608 - of this test
    return value


# when a login is due


@pytest.mark.parametrize(
    ("opens", "due"),
    [(9.9, False), (10, True), (25, True), (25.1, False), (0, False), (-5, False), (7 * 24 * 60, False)],
)
def test_a_login_is_made_10_to_25_minutes_before_an_opening(
    owner: Connection, service: Connection, venue: UUID, *, opens: float, due: bool
) -> None:
    remember(owner, venue)
    prebook(owner, venue, opens=opens * MINUTE)
    assert logins_due(service) == due
    assert claimed(service) == [MEMBER] * due
    assert not logins_due(service), "it is tried once"


@pytest.mark.parametrize(
    ("session", "due"),
    [
        ({"refreshed_at": noon(-600)}, True),  # it would end with the opening
        ({"refreshed_at": noon(-599)}, False),
        ({"refreshed_at": noon(-599), "expired_at": noon()}, True),
        ({"refreshed_at": noon(-599), "key_id": THEIRS}, True),  # it cannot be used
        ({"refreshed_at": noon(-599), "key_id": OURS}, False),
    ],
)
def test_a_session_that_lives_until_the_opening_is_used(
    owner: Connection, service: Connection, venue: UUID, *, session: dict[str, Any], due: bool
) -> None:
    remember(owner, venue, **session)
    prebook(owner, venue)
    assert logins_due(service) == due
    assert claimed(service) == [MEMBER] * due


@pytest.mark.parametrize(
    "change",
    [
        "member_sessions set password = null, password_key_id = null, expired_at = now()",
        "member_sessions set leased_by = venue_id, leased_until = '2026-11-23 12:00:01Z'",
        "member_sessions set logins_that_day = 3, login_tried_at = '2026-11-23 00:00Z'",
        "member_sessions set login_tried_for = '2026-11-23 12:20Z', login_tried_at = '2026-11-23 11:59Z'",
        "member_sessions set login_tried_for = '2026-11-23 12:21Z', login_tried_at = '2026-11-23 11:59Z'",
        "prebookings set status = 'cancelled', settled_at = now()",
        "prebookings set claimed_by = venue_id, claimed_until = '2026-11-23 12:01Z', turn_until = '2026-11-23 12:01Z'",
        "venues set paused_until = '2026-11-23 12:00:01Z'",
        "venues set logins_stopped_until = '2026-11-23 12:00:01Z'",
        "venues set enabled = false",
        "venues set provider = 'webhook'",
    ],
)
def test_a_login_is_not_made(owner: Connection, service: Connection, venue: UUID, change: str) -> None:
    remember(owner, venue)
    prebook(owner, venue)
    owner.execute(f"update public.{change}".encode())
    assert not logins_due(service)
    assert claimed(service) == []


@pytest.mark.parametrize(
    "change",
    [
        "member_sessions set leased_by = venue_id, leased_until = '2026-11-23 12:00Z'",
        "member_sessions set leased_by = venue_id, leased_until = '2026-11-23 13:00Z'",  # longer than any lease
        "member_sessions set logins_that_day = 2, login_tried_at = '2026-11-23 00:00Z'",
        "member_sessions set logins_that_day = 3, login_tried_at = '2026-11-22 23:59:59Z'",
        "member_sessions set login_tried_for = '2026-11-23 12:19:59Z', login_tried_at = '2026-11-23 11:59Z'",
        "prebookings set class_unknown = true",
        "venues set paused_until = '2026-11-23 12:00Z'",
        "venues set logins_stopped_until = '2026-11-23 12:00Z'",
    ],
)
def test_a_login_is_made(owner: Connection, service: Connection, venue: UUID, change: str) -> None:
    remember(owner, venue)
    prebook(owner, venue)
    owner.execute(f"update public.{change}".encode())
    assert logins_due(service)
    assert claimed(service) == [MEMBER]


def test_a_login_is_made_for_a_later_choice_too(owner: Connection, service: Connection, venue: UUID) -> None:
    """When its earlier choice is refused, it is too late for a login."""
    remember(owner, venue)
    earlier = prebook(owner, venue, opens=5 * MINUTE)
    assert claimed(service) == []
    prebook(owner, venue, stands_after=earlier)
    assert claimed(service) == [MEMBER]


@pytest.mark.parametrize("keys", [[], [THEIRS], [OURS], [THEIRS, OURS]])
def test_a_login_needs_the_key_of_the_password(
    owner: Connection, service: Connection, venue: UUID, keys: list[str]
) -> None:
    remember(owner, venue)
    prebook(owner, venue)
    assert logins_due(service, keys) == (OURS in keys)
    assert claimed(service, keys=keys) == [MEMBER] * (OURS in keys)


@pytest.mark.parametrize(("old", "password", "due"), [(25, None, True), (24.9, None, False), (25, "x", False)], ids=str)
def test_a_refresh_is_due_after_25_minutes(
    owner: Connection, service: Connection, venue: UUID, *, old: float, password: str | None, due: bool
) -> None:
    kept = {"password": password, "password_key_id": OURS if password else None}
    add_session(owner, venue, MEMBER, refreshed_at=noon(-old * MINUTE), **kept)
    prebook(owner, venue, opens=DAY)
    assert logins_due(service) == due
    assert [one["user_email"] for one in claim_sessions(service, uuid4(), age_ms=25 * 60_000)] == [MEMBER] * due


# once


def test_one_login_serves_all_openings_of_the_next_minutes(
    owner: Connection, service: Connection, venue: UUID, at: At
) -> None:
    remember(owner, venue)
    for opens in (14, 20, 30):
        prebook(owner, venue, opens=opens * MINUTE)
    assert claimed(service) == [MEMBER]
    end_login(service, venue, MEMBER, 1, "failed")
    assert column(owner, "login_tried_for") == noon(20 * MINUTE)
    assert claimed(service) == [], "not for the earlier one either"
    at(5 * MINUTE)
    assert claimed(service) == [MEMBER], "the third opening has an attempt of its own"


def test_a_member_is_logged_in_three_times_a_day_at_most(
    owner: Connection, service: Connection, venue: UUID, at: At
) -> None:
    remember(owner, venue)
    for hour in range(1, 15):
        prebook(owner, venue, opens=hour * HOUR)
    tried = []
    for hour in range(1, 15):
        at(hour * HOUR - 20 * MINUTE)
        tried += [hour] * len(claimed(service))
        end_login(service, venue, MEMBER, 1, "failed")
    assert tried == [1, 2, 3, 13, 14], "the day begins at midnight UTC"


def test_two_upkeeps_make_a_login_once(database: Database, owner: Connection, service: Connection, venue: UUID) -> None:
    remember(owner, venue)
    remember(owner, venue, OTHER)
    for member in (MEMBER, OTHER):
        prebook(owner, venue, user_email=member)
    second = database.connect("service_role")
    with service.transaction():
        assert claimed(service, limit=1) == [MEMBER]
        assert claimed(second) == [OTHER], "the locked one is skipped"
    assert claimed(second) == []


def test_a_repeated_claim_returns_its_logins_again(owner: Connection, service: Connection, venue: UUID, at: At) -> None:
    remember(owner, venue)
    prebook(owner, venue)
    me = uuid4()
    first = claim_logins(service, me)
    assert claim_logins(service, me) == first
    assert column(owner, "logins_that_day") == 1
    assert claimed(service) == [], "another one"
    at(30)
    assert claim_logins(service, me) == [], "its lease is over"


def test_a_session_that_is_leased_for_a_refresh_is_no_claimed_login(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    me = uuid4()
    remember(owner, venue, login_tried_at=noon(-HOUR))
    prebook(owner, venue)
    assert lease(service, me, venue, MEMBER, 1) == {"state": "leased"}
    assert claim_logins(service, me) == []


def test_a_claimed_login_has_what_is_needed_for_it(owner: Connection, service: Connection, venue: UUID) -> None:
    remember(owner, venue, version=7)
    prebook(owner, venue)
    [one] = claim_logins(service, uuid4())
    assert (one["version"], one["password"], one["password_key_id"]) == (7, "sealed password", OURS)
    assert (one["venue"]["id"], one["venue"]["host"]) == (str(venue), "box.aimharder.com")
    assert lease(service, uuid4(), venue, MEMBER, 7) == {"state": "busy"}
    assert claim_sessions(service, uuid4()) == []


def test_logins_are_made_in_the_order_of_the_openings(owner: Connection, service: Connection, venue: UUID) -> None:
    members = ["cleo@example.com", "ana@example.com", "ben@example.com"]
    for minute, member in reversed([*enumerate(members, 12)]):
        remember(owner, venue, member)
        prebook(owner, venue, opens=minute * MINUTE, user_email=member)
    assert claimed(service, limit=2) == members[:2]
    assert claimed(service) == members[2:]


def test_the_venues_take_turns(owner: Connection, service: Connection, venue: UUID) -> None:
    """Otherwise the logins of a venue that does not answer would take all the time before an opening."""
    other = add_venue(owner, provider="aimharder", host="other.aimharder.com")
    for place, minute, names in ((venue, 12, "abcd"), (other, 13, "xy")):
        for name in names:
            remember(owner, place, f"{name}@example.com")
            prebook(owner, place, opens=minute * MINUTE, user_email=f"{name}@example.com")
    batches = [{member[0] for member in claimed(service, limit=2)} for _ in range(3)]
    assert batches == [{"a", "x"}, {"b", "y"}, {"c", "d"}]


@pytest.mark.parametrize(("ahead", "due"), [(59, False), (61, True), (3600, True)])
def test_a_session_from_a_clock_that_was_ahead_does_not_prevent_a_login(
    owner: Connection, service: Connection, venue: UUID, *, ahead: float, due: bool
) -> None:
    """It was stored an hour ago, and its venue has ended it."""
    remember(owner, venue, refreshed_at=noon(ahead))
    prebook(owner, venue)
    assert claimed(service) == [MEMBER] * due


# its end


def test_a_login_replaces_the_session_and_ends_the_lease(owner: Connection, service: Connection, venue: UUID) -> None:
    remember(owner, venue, expired_at=noon(-60))
    row = prebook(owner, venue, warning="session_expired: x")
    behind = prebook(owner, venue, opens=-600, retry_after=noon(900), setbacks=4)
    owner.execute("update public.prebookings set warning = 'no_login: x' where id = %s", [behind])
    claim_logins(service, uuid4())
    assert [save_login(service, venue, MEMBER, 1, "sealed 2") for _ in range(2)] == [2, 2], "repeated"
    state = "(sealed, key_id, version, refreshed_at, expired_at is null, leased_by is null)::text"
    assert column(owner, state) == f'("sealed 2",{OURS},2,"2026-11-23 12:00:00+00",t,t)'
    assert column(owner, "(password, password_key_id)::text") == f'("sealed password",{OURS})'
    assert [prebooking(owner, one)["warning"] for one in (row, behind)] == [None, None]
    assert (prebooking(owner, behind)["retry_after"], prebooking(owner, behind)["setbacks"]) == (None, 0)


def test_a_password_that_was_sealed_again_is_stored_with_the_login(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    remember(owner, venue, password_key_id=THEIRS)
    save_login(service, venue, MEMBER, 1, "sealed 2", key_id=OURS, password="sealed again")
    assert column(owner, "(password, password_key_id)::text") == f'("sealed again",{OURS})'


@pytest.mark.parametrize("why", ["wrong_password", "failed", "saved"])
def test_a_login_that_the_member_made_meanwhile_is_kept(
    owner: Connection, service: Connection, venue: UUID, why: str
) -> None:
    remember(owner, venue)
    prebook(owner, venue)
    claim_logins(service, uuid4())
    save_session(service, venue, MEMBER, "by hand", None, key_id=OURS, password="a new one")
    if why == "saved":
        assert save_login(service, venue, MEMBER, 1, "sealed 2") is None
    else:
        assert not end_login(service, venue, MEMBER, 1, why)
    assert column(owner, "(sealed, password)::text") == '("by hand","a new one")'


def test_a_login_of_a_member_who_has_logged_out_is_not_stored(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    assert save_login(service, venue, MEMBER, 1, "sealed") is None
    assert not end_login(service, venue, MEMBER, 1, "wrong_password")
    assert owner.execute("select from public.member_sessions").fetchall() == []


def test_a_wrong_password_is_removed_and_the_member_is_warned(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    remember(owner, venue, expired_at=noon(-60))
    rows = [prebook(owner, venue), prebook(owner, venue, opens=3 * DAY)]
    others = prebook(owner, venue, user_email=OTHER)
    claim_logins(service, uuid4())
    assert [end_login(service, venue, MEMBER, 1, "wrong_password") for _ in range(2)] == [True, True], "repeated"
    assert column(owner, "num_nulls(password, password_key_id, leased_by)") == 3
    warn_about_logins(service, [OURS])
    assert [prebooking(owner, row)["warning"].partition(":")[0] for row in rows] == ["wrong_password"] * 2
    assert not prebooking(owner, others)["warning"].startswith("wrong_password:")
    save_session(service, venue, MEMBER, "by hand", None)
    assert [prebooking(owner, row)["warning"] for row in rows] == [None, None]


@pytest.mark.parametrize(("password", "is_removed"), [("sealed password", True), ("another", False)])
def test_a_wrong_password_is_removed_also_from_a_newer_session(
    owner: Connection, service: Connection, venue: UUID, *, password: str, is_removed: bool
) -> None:
    """The session was refreshed during the login. It lives, and its lease is another invocation's."""
    leased: dict[str, Any] = {"leased_by": uuid4(), "leased_until": noon(30)}
    remember(owner, venue, version=2, password=password, refreshed_at=noon(-1800), **leased)
    assert end_login(service, venue, MEMBER, 1, "wrong_password", "sealed password") == is_removed
    assert column(owner, "(password is null, leased_by is null, expired_at is null)::text") == (
        "(t,f,t)" if is_removed else "(f,f,t)"
    )


@pytest.mark.parametrize(("old", "ends"), [(1800, True), (1799, False)])
def test_a_wrong_password_ends_only_a_dead_session(
    owner: Connection, service: Connection, venue: UUID, *, old: float, ends: bool
) -> None:
    """A session that still lives is refreshed from now on, and used at an opening of the next minutes."""
    remember(owner, venue, refreshed_at=noon(-old))
    end_login(service, venue, MEMBER, 1, "wrong_password")
    assert column(owner, "expired_at is not null") == ends


def test_a_stop_lasts_an_hour_and_leaves_the_password(
    owner: Connection, service: Connection, venue: UUID, at: At
) -> None:
    for member, opens in ((MEMBER, 20), (OTHER, 80)):
        remember(owner, venue, member)
        prebook(owner, venue, opens=opens * MINUTE, user_email=member)
    assert claimed(service) == [MEMBER]
    assert end_login(service, venue, MEMBER, 1, "stopped")
    assert column(owner, "logins_stopped_until", "venues") == noon(HOUR)
    at(59 * MINUTE)
    assert claimed(service) == []
    at(60 * MINUTE)
    assert claimed(service) == [OTHER]
    assert not end_login(service, venue, OTHER, 9, "stopped"), "another version"
    assert column(owner, "logins_stopped_until", "venues") == noon(2 * HOUR), "it is about the venue"
    passwords = owner.execute("select count(password) from public.member_sessions").fetchone()
    assert passwords == (2,)


@pytest.mark.parametrize("why", ["failed", "stopped"])
def test_a_login_that_failed_ends_its_lease(owner: Connection, service: Connection, venue: UUID, why: str) -> None:
    remember(owner, venue)
    prebook(owner, venue)
    claim_logins(service, uuid4())
    assert end_login(service, venue, MEMBER, 1, why)
    assert column(owner, "(leased_by is null, password is null)::text") == "(t,f)"
    owner.execute("update public.venues set logins_stopped_until = null")
    assert claimed(service) == []


def test_a_stored_login_remembers_a_password_or_removes_it(owner: Connection, service: Connection, venue: UUID) -> None:
    save_session(service, venue, MEMBER, "sealed", None, key_id=OURS, password="sealed password")
    assert column(owner, "(password, password_key_id)::text") == f'("sealed password",{OURS})'
    save_session(service, venue, MEMBER, "sealed 2", 1, key_id=THEIRS)
    assert column(owner, "(password, password_key_id)::text") == f'("sealed password",{OURS})', "a refresh"
    keys = service.execute("select public.session_key_ids_v1()").fetchone()
    assert keys == ([OURS, THEIRS],)
    save_session(service, venue, MEMBER, "sealed 3", None, key_id=OURS)
    assert column(owner, "num_nulls(password, password_key_id)") == 2


# warnings

_TRIED: dict[str, Any] = {"login_tried_for": noon(20 * MINUTE), "login_tried_at": noon(-60), "logins_that_day": 1}


@pytest.mark.parametrize(
    ("opens", "session", "warning"),
    [
        (20 * MINUTE, {}, None),
        (6 * DAY, {}, None),
        (6 * DAY, {"expired_at": noon(-60)}, None),
        (10 * MINUTE, {}, None),
        (9 * MINUTE, {}, "login_failed"),  # it is too late for an automatic login
        (9 * MINUTE, {"refreshed_at": noon(-1200)}, None),  # it lives until then
        (20 * MINUTE, _TRIED, "login_failed"),
        (20 * MINUTE, _TRIED | {"leased_by": uuid4(), "leased_until": noon(1)}, None),  # it is being made
        (20 * MINUTE, _TRIED | {"leased_by": uuid4(), "leased_until": noon()}, "login_failed"),  # it was killed
        (20 * MINUTE, _TRIED | {"refreshed_at": noon(-60)}, None),
        (21 * MINUTE, _TRIED, None),  # the next opening
        (19 * MINUTE, _TRIED, "login_failed"),
        (20 * MINUTE, {"login_tried_at": noon(-60), "logins_that_day": 3}, "login_failed"),
        (DAY, {"login_tried_at": noon(-60), "logins_that_day": 3}, None),
        (20 * MINUTE, {"password_key_id": THEIRS}, "other_key"),
        (6 * DAY, {"password_key_id": THEIRS}, "other_key"),
        (20 * MINUTE, {"password_key_id": THEIRS, "refreshed_at": noon()}, None),
        (20 * MINUTE, {"refreshed_at": noon(), "key_id": THEIRS}, None),
        (9 * MINUTE, {"refreshed_at": noon(), "key_id": THEIRS}, "login_failed"),
    ],
)
def test_a_member_with_a_remembered_password_is_warned_only_if_there_is_no_login(
    owner: Connection, service: Connection, venue: UUID, *, opens: float, session: dict[str, Any], warning: str | None
) -> None:
    row = prebook(owner, venue, opens=opens)
    remember(owner, venue, **session)
    assert warn_about_logins(service, [OURS]) == int(warning is not None)
    written = prebooking(owner, row)["warning"]
    assert written is None if warning is None else written.startswith(f"{warning}: ")


@pytest.mark.parametrize(
    ("until", "warning"), [(10 * MINUTE, None), (10 * MINUTE + 1, "login_failed"), (-1, None)], ids=str
)
def test_a_stop_that_ends_too_late_is_warned_about(
    owner: Connection, service: Connection, venue: UUID, *, until: float, warning: str | None
) -> None:
    row = prebook(owner, venue, opens=20 * MINUTE)
    remember(owner, venue)
    owner.execute("update public.venues set logins_stopped_until = %s", [noon(until)])
    assert warn_about_logins(service, [OURS]) == int(warning is not None)
    assert (prebooking(owner, row)["warning"] or "None").partition(":")[0] == str(warning)


def test_a_warning_about_a_failed_login_ends_with_the_next_one(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    row = prebook(owner, venue)
    remember(owner, venue, **_TRIED)
    warn_about_logins(service, [OURS])
    assert prebooking(owner, row)["warning"].startswith("login_failed: ")
    owner.execute("update public.member_sessions set refreshed_at = %s", [noon()])
    assert warn_about_logins(service, [OURS]) == 0
    assert prebooking(owner, row)["warning"] is None


def test_a_refused_session_with_a_remembered_password_ends_without_a_warning(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    row = prebook(owner, venue, opens=DAY)
    remember(owner, venue, refreshed_at=noon())
    assert warn(service, venue, MEMBER, 1)
    assert prebooking(owner, row)["warning"] is None
    assert column(owner, "expired_at") == noon()
    assert warn_about_logins(service, [OURS]) == 0


@pytest.mark.parametrize(
    ("session", "warning"),
    [
        (None, "nobody has logged in"),
        ({}, "log in again within the 7 days"),
        ({"refreshed_at": noon(-1799)}, None),
        ({"refreshed_at": noon(), "expired_at": noon()}, "log in again within the 7 days"),
        ({"password": "x", "password_key_id": OURS}, None),
        ({"password": "x", "password_key_id": OURS, "expired_at": noon()}, None),
    ],
    ids=str,
)
def test_the_list_says_log_in_again_only_where_nothing_else_will_do_it(
    owner: Connection, service: Connection, venue: UUID, session: dict[str, Any] | None, warning: str | None
) -> None:
    prebook(owner, venue, opens=8 * DAY)
    if session is not None:
        add_session(owner, venue, MEMBER, **{"refreshed_at": DEAD} | session)
    [(listed,)] = service.execute("select public.list_prebookings_v1(null, 7, 10) -> 0 ->> 'warning'").fetchall()
    assert listed is None if warning is None else warning in listed


@pytest.mark.parametrize(("opens", "logins", "missing"), [(23 * HOUR, 2, 1), (6 * DAY, 2, 0), (8 * DAY, 0, 0)], ids=str)
def test_the_status_counts_the_logins_of_a_week_and_the_members_without_one_of_a_day(
    owner: Connection, service: Connection, venue: UUID, *, opens: float, logins: int, missing: int
) -> None:
    for member in (MEMBER, OTHER, "cleo@example.com", "dan@example.com"):
        prebook(owner, venue, opens=opens, user_email=member)
    remember(owner, venue, expired_at=noon())
    add_session(owner, venue, OTHER)
    add_session(owner, venue, "cleo@example.com", expired_at=noon())
    [(found,)] = service.execute("select public.prebooking_logins(public.prebooking_clock())").fetchall()
    assert (found["logins"], len(found["no_login"])) == (logins, missing)


def test_a_list_of_logins_shows_whether_a_password_is_remembered(
    owner: Connection, service: Connection, venue: UUID
) -> None:
    remember(owner, venue)
    add_session(owner, venue, OTHER)
    [(listed,)] = service.execute("select public.list_sessions_v1(null)").fetchall()
    assert [one["remembered"] for one in listed] == [True, False]
    assert "sealed password" not in str(listed)


@pytest.mark.parametrize("call", ["logout_v1(%s, 'Ana@example.com')", "forget_member_v1('ANA@example.com')"])
def test_logging_out_and_being_forgotten_remove_the_password(
    owner: Connection, service: Connection, venue: UUID, call: str
) -> None:
    remember(owner, venue)
    service.execute(f"select public.{call}".encode(), [venue] * call.count("%s"))
    assert owner.execute("select from public.member_sessions").fetchall() == []


def test_the_instants_of_a_login_are_within_the_calendar(owner: Connection, venue: UUID) -> None:
    remember(owner, venue)
    for name in ("login_tried_at", "login_tried_for"):
        with pytest.raises(Exception, match="prebooking_instant"):
            owner.execute(f"update public.member_sessions set {name} = 'infinity'".encode())  # noqa: S608 - of this test
    assert isinstance(column(owner, "refreshed_at"), datetime)
