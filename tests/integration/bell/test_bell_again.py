"""A ring is repeated only if no invocation answers it."""

from __future__ import annotations

from functools import partial

import pytest

from prebooking.run.scheduler import CLAIM_LIMIT
from tests.support.bells import URL, Bell, add_rows
from tests.support.database import Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.races import result_after_commit


def claim(providers: str = "webhook", *, within_ms: int = 6000, lead_ms: int = 3000, keys: str = "") -> str:
    """Return the statement of a claim."""
    arguments = f"'{{{providers}}}', 500, {within_ms}, 50, {lead_ms}, 30000, 8000{keys}"
    return f"select public.claim_due_prebookings_v1(gen_random_uuid(), {arguments})"


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell.switched_on(owner, arrives=False)


def test_unclaimed_rows_are_rung_for_again_at_most_five_times(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    for start in (0, 60, 120):
        bell.minute(start)
    assert bell.posts() == [27, 28, 29, 30, 31, 32]


def test_no_ring_follows_the_first_one_that_arrives(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 3, opens=30)
    bell.during(28.2, "update testing.network set arrives = true")
    bell.minute()
    assert bell.posts() == [27, 28, 29]


def test_a_second_ring_calls_only_for_the_rows_left(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 2 * CLAIM_LIMIT + 1, 1, opens=61.5)
    bell.during(58.7, claim())  # one of three arrives
    bell.minute()
    assert bell.posts() == [58.5] * 3 + [59.5] * 2


def test_a_second_ring_is_small_with_a_longer_timeout(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 11 * 12 + 1, 40, opens=61.5)  # twelve venues each
    bell.minute()
    counted = owner.execute("select timeout_milliseconds, count(*) from testing.posts group by 1 order by 1").fetchall()
    assert counted == [(1000, 12), (2000, 10)]


def test_rows_that_become_due_meanwhile_are_rung_for_in_time(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    add_rows(owner, 1, 1, opens=30.3)
    bell.minute()
    assert bell.posts()[:3] == [27, 27.3, 28.3]


def test_a_moved_row_is_rung_for_at_its_new_opening(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=5)
    bell.during(8.2, "update public.prebookings set available_at = available_at + interval '30 seconds'")
    bell.minute()
    assert bell.posts() == [2, 3, 4, 5, 6, 7, 32, 33, 34, 35, 36, 37]


@pytest.mark.parametrize(
    "statement",
    [
        "update public.venues set paused_until = public.prebooking_clock() + interval '300 seconds'",
        "update public.venues set enabled = false",
        "update public.prebookings set expires_at = public.prebooking_clock()",
        "update public.prebookings set status = 'cancelled', settled_at = public.prebooking_clock()",
    ],
    ids=["paused", "disabled", "over soon", "cancelled"],
)
def test_a_row_that_cannot_be_claimed_is_not_rung_for_again(owner: Connection, bell: Bell, statement: str) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(31.2, statement)
    bell.minute()
    assert bell.posts() == [27, 28, 29, 30, 31]


def test_a_venue_paused_after_a_ring_is_rung_for_later(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(27.2, "update public.venues set paused_until = public.prebooking_clock() + interval '12.8 seconds'")
    bell.minute()
    assert bell.posts()[:2] == [27, 40]


def test_a_row_of_an_opening_with_a_running_invocation_is_left_to_it(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=10)
    bell.during(7.2, claim())  # has its turn for eight seconds
    bell.during(
        9.1,
        """insert into public.prebookings (venue_id, user_email, booking_data, available_at)
        select venue_id, 'late@example.com', booking_data, available_at from public.prebookings""",
    )
    bell.minute()
    assert bell.posts()[0] == 7
    assert 15.2 <= bell.posts()[1] <= 15.7


def test_a_claimed_and_released_row_is_not_rung_for_again(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(27.2, claim())
    bell.during(
        28.7,
        """update public.prebookings set claimed_by = null, claimed_until = null, turn_until = null
        where claimed_by is not null""",
    )
    bell.minute()
    assert bell.posts() == [27]


@pytest.mark.usefixtures("stand_ins")
def test_unsent_requests_of_pg_net_do_not_accumulate(owner: Connection) -> None:
    bell = Bell.switched_on(owner, sends=False, arrives=False)
    owner.execute(
        """insert into net.http_request_queue (url, headers, timeout_milliseconds)
        select %s, '{}', 1000 from generate_series(1, 20)""",
        [URL],
    )
    add_rows(owner, 1, 1, opens=10)
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    assert [at for at in bell.posts() if at > 0] == [7, 27]  # a first ring always


def test_concurrent_bells_repeat_a_ring_once(database: Database, owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=0)
    owner.execute("select public.prebooking_bell_trigger()")
    owner.execute("update testing.clock set instant = instant + interval '1 second'")
    first, second = database.connect(), database.connect()
    with first.transaction():
        first.execute("select public.prebooking_bell_trigger()")
        look = partial(second.execute, "select public.prebooking_bell_tick(%s)", [noon(0)])
        result_after_commit(look, owner, second, by=first)
    assert bell.posts() == [0, 1]


def test_a_locked_row_does_not_delay_a_ring(database: Database, owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 2, opens=30)
    other = database.connect()
    with other.transaction():
        other.execute("select from public.prebookings for update")
        owner.execute("set lock_timeout = '1s'")
        bell.minute()
    assert len(bell.posts()) == 6


# rows that a claim leaves, or limits


@pytest.mark.parametrize(
    "change",
    [
        "maybe_sent = true",
        "retry_after = available_at - interval '1 minute', setbacks = 1",
        "retry_after = available_at + interval '55 seconds', early_since = available_at",
        "blocks = 1, blocked_at = available_at - interval '10 minutes'",
    ],
)
def test_a_held_back_row_is_left_to_the_second_trigger(owner: Connection, bell: Bell, change: str) -> None:
    add_rows(owner, 1, 1, opens=30)
    owner.execute(f"update public.prebookings set {change}".encode())  # noqa: S608 - of this test
    for start in (0, 60):
        bell.minute(start)
    assert bell.posts() == []


def test_a_troubled_venue_is_rung_for_once_per_row(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 2, opens=30)
    owner.execute("update public.venues set troubled_since = %s", [noon(-600)])
    bell.minute()
    assert bell.posts() == [27]


@pytest.mark.parametrize(
    ("providers", "posts"),
    [("aimharder", [27]), ("", [27]), ("aimharder,webhook", [27, 28, 29, 30, 31, 32])],
)
def test_a_venue_system_without_settings_is_rung_for_once(
    owner: Connection, bell: Bell, providers: str, posts: list[float]
) -> None:
    """Such an invocation has left the rows. A claim without time leaves them too, and that ring is repeated."""
    add_rows(owner, 1, 2, opens=30)
    bell.arrives(arrives=False)
    for second in range(27, 33):
        bell.during(second + 0.2, claim(providers, within_ms=-1))
    bell.minute()
    assert bell.posts() == posts


def test_a_claim_before_the_ring_does_not_answer_it(owner: Connection, bell: Bell) -> None:
    """The earlier claim is of another deployment, without webhook venues."""
    add_rows(owner, 1, 1, opens=30)
    bell.arrives(arrives=False)
    bell.during(20, claim("aimharder", lead_ms=0))
    bell.minute()
    assert len(bell.posts()) == 6


def test_a_row_without_a_login_is_rung_for_after_the_login(owner: Connection, bell: Bell) -> None:
    venue = add_venue(owner, provider="aimharder")
    add_prebooking(owner, venue, user_email="Ana@example.com", available_at=noon(30))
    bell.during(
        35.2,
        """insert into public.member_sessions (venue_id, user_email, sealed, refreshed_at)
        select venue_id, lower(user_email), 'sealed', public.prebooking_clock() from public.prebookings""",
    )
    bell.minute()
    assert bell.posts()[0] == 35.5


def test_a_login_with_another_key_is_rung_for_once(owner: Connection, bell: Bell) -> None:
    venue = add_venue(owner, provider="aimharder")
    add_prebooking(owner, venue, user_email="ana@example.com", available_at=noon(30))
    add_session(owner, venue, "ana@example.com", key_id="0123456789abcdef")
    bell.during(27.2, claim("aimharder", keys=", false, '{fedcba9876543210}'"))
    bell.minute()
    assert bell.posts() == [27]


@pytest.mark.parametrize(
    "statement",
    [
        "select from public.prebooking_bell for update",
        "select from public.prebooking_bell for share",
        "update public.prebooking_bell set lead = lead",
    ],
)
def test_a_locked_bell_still_rings(database: Database, owner: Connection, bell: Bell, statement: str) -> None:
    """K2: an operator has an uncommitted statement in the SQL editor."""
    add_rows(owner, 1, 1, opens=30)
    owner.execute("set lock_timeout = '500ms'")
    other = database.connect()
    with other.transaction():
        other.execute(statement.encode())
        bell.minute()
    assert bell.posts()[0] == 27
