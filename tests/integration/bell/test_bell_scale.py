"""The number of invocations that the bell calls: it is enough, and none is idle. The real claim checks it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from prebooking.run.scheduler import CLAIM_LIMIT
from prebooking.settings import LAST_START
from tests.support.bells import LEAD, Bell, add_rows
from tests.support.calls import claim
from tests.support.database import Connection, set_clock
from tests.support.factories import add_venue, noon

_OPENS = 62.5  # the ring is the last of its minute, so that there is no second one
_WARM = 0.5  # seconds from the bell to the claim
_GUARD = 8.0
_PROMISED = 2.0  # seconds from the opening within which the first forty of a venue are sent
_STAGGER = 0.05

_PAST_AND_FUTURE = b"""
insert into public.prebookings
  (venue_id, user_email, booking_data, available_at, expires_at, status, outcome, settled_at)
select %(venue)s, n || '@example.com', '{}'::jsonb, now() - interval '1 day', now(), 'completed', 'booked', now()
from generate_series(1, 100000) n
union all
select %(venue)s, n || '@example.com', '{}', now() + interval '1 day', now() + interval '2 days', 'pending', null, null
from generate_series(1, 50000) n
"""


@pytest.fixture
def bell(owner: Connection) -> Bell:
    return Bell.switched_on(owner, arrives=False)  # the tests claim themselves


@pytest.mark.parametrize(
    ("venues", "rows", "posts"),
    [
        (1, 1, 1),
        (1, 1000, 1),  # a venue belongs to one invocation, however long its queue
        (CLAIM_LIMIT, 1, 1),
        (CLAIM_LIMIT + 1, 1, 2),
        (24, 40, 2),
        (25, 40, 3),  # an invocation takes twelve whole venues
        (25, 41, 3),
        (26, 40, 3),
        (250, 20, 10),
    ],
)
def test_there_are_as_many_requests_as_the_openings_need(
    owner: Connection, service: Connection, bell: Bell, *, venues: int, rows: int, posts: int
) -> None:
    add_rows(owner, venues, rows, opens=_OPENS)
    bell.minute()
    assert bell.posts() == [_OPENS - LEAD] * posts
    set_clock(owner, noon(_OPENS - LEAD + _WARM))
    taken = [_claim(service) for _ in range(posts)]
    assert [] not in taken
    assert owner.execute(_UNCLAIMED_BATCHES, [min(rows, 40)]).fetchone() == (0,)


def test_five_thousand_rows_are_sent_in_two_seconds(owner: Connection, service: Connection, bell: Bell) -> None:
    add_rows(owner, 250, 20, opens=_OPENS)
    bell.minute()
    set_clock(owner, noon(_OPENS - LEAD + _WARM))
    queues = [Counter(row["venue"]["id"] for row in _claim(service)) for _ in bell.posts()]
    assert sum(map(len, queues)) == 250  # each venue belongs to one invocation
    assert sum(queue.total() for queue in queues) == 5000
    assert (max(max(queue.values()) for queue in queues) - 1) * _STAGGER <= _PROMISED


def test_there_are_at_most_a_hundred_requests(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 1300, 40, opens=_OPENS)
    bell.minute(59.5)
    assert len(bell.posts()) == 100


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without statistics"])
def test_a_look_does_not_read_past_or_future_rows(owner: Connection, bell: Bell, *, analyzed: bool) -> None:
    set_clock(owner, datetime.now(noon().tzinfo))
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")  # without triggers: in two seconds
        owner.execute(_PAST_AND_FUTURE, {"venue": add_venue(owner)})
    if analyzed:
        owner.execute("analyze")
    with owner.transaction():
        owner.execute("select public.prebooking_bell_begin()")
        owner.execute("select public.prebooking_bell_tick('infinity')")
        read = owner.execute(
            """select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables
            where relname = 'prebookings'"""
        ).fetchone()
    assert read is not None
    assert read[0] <= 5


_UNCLAIMED_BATCHES = """
select count(*) from (
  select 1 from public.prebookings group by venue_id having count(claimed_by) < %s or count(distinct claimed_by) <> 1) x
"""


def _claim(service: Connection) -> list[dict[str, Any]]:
    within = int((_GUARD - LAST_START) * 1000)
    rows: list[dict[str, Any]] = claim(
        service, uuid4(), limit=CLAIM_LIMIT, fire_within_ms=within, lead_ms=int(LEAD * 1000)
    )["rows"]
    return rows
