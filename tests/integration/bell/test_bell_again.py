"""A ring that no invocation answers is repeated, and only such a ring."""

from __future__ import annotations

import pytest

from prebooking.run.scheduler import CLAIM_LIMIT
from tests.support.bells import URL, Bell, add_rows
from tests.support.database import Connection, Database
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.races import at_the_same_time, wait_until_blocked

_CLAIM = """select public.claim_due_prebookings_v1(
  gen_random_uuid(), '{webhook}', 500, 6000, 50, 3000, 30000, 8000)"""


@pytest.fixture
def bell(owner: Connection) -> Bell:
    bell = Bell(owner, arrives=False)
    bell.on()
    return bell


def test_rows_that_nobody_claims_are_rung_for_again_each_second_at_most_five_times(
    owner: Connection, bell: Bell
) -> None:
    add_rows(owner, 1, 1, opens=30)
    for start in (0, 60, 120):
        bell.minute(start)
    assert bell.posts() == [27, 28, 29, 30, 31, 32]


def test_the_first_ring_that_arrives_is_the_last(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 3, opens=30)
    bell.during(28.2, "update testing.network set arrives = true")
    bell.minute()
    assert bell.posts() == [27, 28, 29]


def test_a_second_ring_calls_only_for_what_the_first_did_not_bring(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 2 * CLAIM_LIMIT + 1, 1, opens=61.5)
    bell.during(58.7, _CLAIM)  # one of three arrives
    bell.minute()
    assert bell.posts() == [58.5] * 3 + [59.5] * 2


def test_a_second_ring_is_a_small_batch_with_more_time_for_the_handshake(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 11 * 12 + 1, 40, opens=61.5)  # twelve venues each
    bell.minute()
    counted = owner.execute("select timeout_milliseconds, count(*) from testing.posts group by 1 order by 1").fetchall()
    assert counted == [(1000, 12), (2000, 10)]


def test_rows_that_come_due_meanwhile_are_rung_for_in_time(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    add_rows(owner, 1, 1, opens=30.3)
    bell.minute()
    assert bell.posts()[:3] == [27, 27.3, 28.3]


def test_a_row_that_is_moved_after_the_ring_is_rung_for_at_its_new_opening(owner: Connection, bell: Bell) -> None:
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
def test_what_cannot_be_claimed_any_more_is_not_rung_for_again(owner: Connection, bell: Bell, statement: str) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(31.2, statement)
    bell.minute()
    assert bell.posts() == [27, 28, 29, 30, 31]


def test_a_venue_that_was_paused_after_the_ring_is_rung_for_when_the_pause_ends(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(27.2, "update public.venues set paused_until = public.prebooking_clock() + interval '12.8 seconds'")
    bell.minute()
    assert bell.posts()[:2] == [27, 40]


def test_a_row_at_an_opening_that_an_invocation_serves_is_left_to_it(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=10)
    bell.during(7.2, _CLAIM)  # has its turn for eight seconds
    bell.during(
        9.1,
        """insert into public.prebookings (venue_id, user_email, booking_data, available_at)
        select venue_id, 'late@example.com', booking_data, available_at from public.prebookings""",
    )
    bell.minute()
    assert bell.posts()[0] == 7
    assert 15.2 <= bell.posts()[1] <= 15.7


def test_a_row_that_was_claimed_and_given_back_is_not_rung_for_again(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=30)
    bell.during(27.2, _CLAIM)
    bell.during(
        28.7,
        """update public.prebookings set claimed_by = null, claimed_until = null, turn_until = null
        where claimed_by is not null""",
    )
    bell.minute()
    assert bell.posts() == [27]


def test_requests_that_pg_net_does_not_send_are_not_piled_up(owner: Connection) -> None:
    bell = Bell(owner, sends=False, arrives=False)
    bell.on()
    owner.execute(
        """insert into net.http_request_queue (url, headers, timeout_milliseconds)
        select %s, '{}', 1000 from generate_series(1, 20)""",
        [URL],
    )
    add_rows(owner, 1, 1, opens=10)
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    assert [at for at in bell.posts() if at > 0] == [7, 27]  # a first ring always


def test_two_bells_at_once_repeat_a_ring_once(database: Database, owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 1, opens=0)
    owner.execute("select public.prebooking_bell_ring()")
    owner.execute("update testing.clock set instant = instant + interval '1 second'")
    first, second = database.connect(), database.connect()
    with first.transaction():
        first.execute("select public.prebooking_bell_ring()")
        with at_the_same_time(lambda: second.execute("select public.prebooking_bell_look(%s)", [noon(0)])) as other:
            wait_until_blocked(owner, second, by=first)
            first.execute("commit")
            other.result()
    assert bell.posts() == [0, 1]


def test_a_row_that_somebody_has_locked_holds_up_no_ring(database: Database, owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1, 2, opens=30)
    somebody = database.connect()
    with somebody.transaction():
        somebody.execute("select from public.prebookings for update")
        owner.execute("set lock_timeout = '1s'")
        bell.minute()
    assert len(bell.posts()) == 6


# rows that a claim leaves, or takes a few at a time


@pytest.mark.parametrize(
    "change",
    [
        "maybe_sent = true",
        "retry_after = available_at - interval '1 minute', setbacks = 1",
        "retry_after = available_at + interval '55 seconds', early_since = available_at",
        "blocks = 1, blocked_at = available_at - interval '10 minutes'",
    ],
)
def test_a_row_that_could_not_get_on_before_is_for_the_second_trigger(
    owner: Connection, bell: Bell, change: str
) -> None:
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
    [("{aimharder}", [27]), ("{}", [27]), ("{aimharder,webhook}", [27, 28, 29, 30, 31, 32])],
)
def test_a_venue_system_that_the_function_is_not_set_up_for_is_rung_for_once(
    owner: Connection, bell: Bell, providers: str, posts: list[float]
) -> None:
    """The invocation has come and left the rows. A claim that found no time leaves them too: that one is repeated."""
    add_rows(owner, 1, 2, opens=30)
    bell.arrives(arrives=False)
    for second in range(27, 33):
        bell.during(
            second + 0.2,
            f"""select public.claim_due_prebookings_v1(
              gen_random_uuid(), '{providers}', 500, -1, 50, 3000, 30000, 8000)""",
        )
    bell.minute()
    assert bell.posts() == posts


def test_a_claim_from_before_the_ring_is_no_answer_to_it(owner: Connection, bell: Bell) -> None:
    """Another deployment, without webhook venues, has called before."""
    add_rows(owner, 1, 1, opens=30)
    bell.arrives(arrives=False)
    bell.during(
        20, "select public.claim_due_prebookings_v1(gen_random_uuid(), '{aimharder}', 500, 6000, 50, 0, 30000, 8000)"
    )
    bell.minute()
    assert len(bell.posts()) == 6


def test_a_member_without_a_login_is_not_rung_for_until_there_is_one(owner: Connection, bell: Bell) -> None:
    venue = add_venue(owner, provider="aimharder")
    add_prebooking(owner, venue, user_email="Ana@example.com", available_at=noon(30))
    bell.during(
        35.2,
        """insert into public.member_sessions (venue_id, user_email, sealed, refreshed_at)
        select venue_id, lower(user_email), 'sealed', public.prebooking_clock() from public.prebookings""",
    )
    bell.minute()
    assert bell.posts()[0] == 35.5


def test_a_login_that_this_deployment_cannot_open_is_rung_for_once(owner: Connection, bell: Bell) -> None:
    venue = add_venue(owner, provider="aimharder")
    row = add_prebooking(owner, venue, available_at=noon(30))
    (email,) = owner.execute("select user_email from public.prebookings where id = %s", [row]).fetchone() or ("",)
    add_session(owner, venue, email, key_id="0123456789abcdef")
    bell.during(
        27.2,
        """select public.claim_due_prebookings_v1(
          gen_random_uuid(), '{aimharder}', 500, 6000, 50, 3000, 30000, 8000, false, '{fedcba9876543210}')""",
    )
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
def test_a_session_that_holds_the_bell_s_row_stops_no_ring(
    database: Database, owner: Connection, bell: Bell, statement: str
) -> None:
    """K2: somebody who looks after the bell in the SQL editor, and forgets to commit."""
    add_rows(owner, 1, 1, opens=30)
    owner.execute("set lock_timeout = '500ms'")
    other = database.connect()
    with other.transaction():
        other.execute(statement.encode())
        bell.minute()
    assert bell.posts()[0] == 27
