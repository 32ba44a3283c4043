"""The store against the SQL through Supabase's REST API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from prebooking.clock import Clock
from prebooking.database.prebookings import Claim, Finished, PrebookingStore
from prebooking.errors import StoreBusy, StoreRefused, StoreUnavailable
from prebooking.model import COMPLETED, FAILED, Kind, Outcome, RowNote, RowResult, Verdict
from tests.support.calls import prebooking, run
from tests.support.database import Database, Rest
from tests.support.factories import add_prebooking, add_session, add_venue
from tests.support.operators import CLOCK, deadline, open_client

pytestmark = pytest.mark.anyio


async def store_of(rest: Rest, key: str | None = None) -> AsyncIterator[PrebookingStore]:
    instance = uuid4()
    async with open_client(rest, key, instance) as supabase:
        yield PrebookingStore(supabase, instance_id=instance, clock=CLOCK)


@pytest.fixture
async def store(rest: Rest) -> AsyncIterator[PrebookingStore]:
    async for store in store_of(rest):
        yield store


@pytest.fixture
async def other(rest: Rest) -> AsyncIterator[PrebookingStore]:
    async for store in store_of(rest):
        yield store


async def claim(store: PrebookingStore, *, until: float = 6, limit: int = 100) -> Claim:
    return await store.claim_due(
        providers=["webhook"], limit=limit, fire_within=deadline(until), stagger=0.05, lead=0, lease=30, turn=8
    )


async def test_a_claim_returns_the_rows_in_order(database: Database, store: PrebookingStore) -> None:
    venue = add_venue(database.connection, timezone="Europe/Madrid", idempotent=True)
    opens = datetime.now(UTC) - timedelta(seconds=5)
    data = {"class_id": "7", "note": "Ñandú ✓", "deep": {"list": [1, 2.5, None, True]}}
    later = add_prebooking(database.connection, venue)
    first = add_prebooking(database.connection, venue, available_at=opens, booking_data=data)
    claimed = await claim(store)
    assert [row.id for row in claimed.rows] == [first, later]
    row = claimed.rows[0]
    assert (row.booking_data, row.available_at, row.expires_at) == (data, opens, opens + timedelta(hours=24))
    assert (row.venue.id, row.venue.timezone, row.venue.idempotent) == (venue, "Europe/Madrid", True)
    assert (row.maybe_sent, row.early_since, claimed.tries, claimed.unreadable) == (False, None, 1, ())


async def test_a_claim_returns_bounds_of_the_database_s_time(database: Database, store: PrebookingStore) -> None:
    time = (await claim(store)).time
    [(now,)] = database.connection.execute("select clock_timestamp()").fetchall()
    assert time.at_least() <= time.at_most()
    assert now <= time.at_most()


async def test_a_repeated_claim_returns_the_same_rows_and_another_instance_none(
    database: Database, store: PrebookingStore, other: PrebookingStore
) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection))
    assert [row.id for row in (await claim(store)).rows] == [row]
    assert (await claim(other)).rows == ()
    assert [row.id for row in (await claim(store)).rows] == [row]


@pytest.mark.parametrize("kind", sorted(COMPLETED | FAILED))
async def test_every_final_outcome_can_be_written_twice(database: Database, store: PrebookingStore, kind: Kind) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection))
    [claimed] = (await claim(store)).rows
    at = claimed.available_at + timedelta(milliseconds=123)
    result = RowResult(row, calls=2, fired_at=at, answered_at=at + timedelta(seconds=1))
    outcome = Outcome(kind, "b-1" if kind in COMPLETED else None)
    assert await store.settle(result, outcome, until=deadline())
    assert await store.settle(result, outcome, until=deadline())
    found = prebooking(database.connection, row)
    assert (found["outcome"], found["attempts"], found["lateness_ms"]) == (kind, 2, 123)
    assert (found["booking_id"], found["error_message"]) == (
        ("b-1", None) if kind in COMPLETED else (None, outcome.sentence)
    )


async def test_a_row_of_another_claim_is_not_settled(
    database: Database, store: PrebookingStore, other: PrebookingStore
) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection))
    await claim(store)
    assert not await other.settle(RowResult(row), Outcome(Kind.BOOKED), until=deadline())
    assert not await other.settle(RowResult(row), Outcome(Kind.FULL), until=deadline())
    assert prebooking(database.connection, row)["status"] == "pending"


async def test_an_unreadable_row_is_listed_separately(database: Database, store: PrebookingStore) -> None:
    venue = add_venue(database.connection)
    good = add_prebooking(database.connection, venue)
    bad = add_prebooking(database.connection, venue)
    database.connection.execute(
        "update public.prebookings set booking_data = %s::jsonb where id = %s", ['{"n": 1e5000}', bad]
    )
    claimed = await claim(store)
    assert ([row.id for row in claimed.rows], claimed.unreadable) == ([good], (bad,))


async def test_releasing_for_a_blocked_venue_pauses_it(
    database: Database, store: PrebookingStore, other: PrebookingStore
) -> None:
    venue = add_venue(database.connection)
    row = add_prebooking(database.connection, venue)
    await claim(store)
    assert await store.release([row], blocked_venue=venue, until=deadline()) == 1
    assert prebooking(database.connection, row)["claimed_by"] is None
    assert (await claim(other)).rows == ()


async def test_finish_run_releases_unsent_rows_and_keeps_unsure_ones(
    database: Database, store: PrebookingStore
) -> None:
    venue = add_venue(database.connection)
    unsent, unsure, early = (add_prebooking(database.connection, venue) for _ in range(3))
    await claim(store)
    now = datetime.now(UTC)
    sent = [
        RowNote(unsure, attempts=1, fired_at=now, verdict=Verdict.UNSURE, unclear=1),
        RowNote(early, attempts=4, fired_at=now, verdict=Verdict.TOO_EARLY),
    ]
    assert await store.finish_run(sent, {"message": "done"}, until=deadline()) == Finished(released=2, locked=0)
    rows = [prebooking(database.connection, row) for row in (unsent, unsure, early)]
    assert [row["claimed_by"] for row in rows] == [None, store.instance_id, None]
    assert [(row["attempts"], row["unclear"]) for row in rows] == [(0, 0), (1, 1), (4, 0)]
    assert [row["early_since"] is None for row in rows] == [True, True, False]
    assert run(database.connection, store.instance_id)["summary"] == {"message": "done"}
    again = await store.finish_run([], {}, until=deadline())
    assert again == Finished(released=2, locked=0), "a repeated call returns the same"


async def test_expired_rows_are_counted_in_the_claim(database: Database, store: PrebookingStore) -> None:
    opened = datetime.now(UTC) - timedelta(hours=2)
    venue = add_venue(database.connection)
    add_prebooking(database.connection, venue, available_at=opened, expires_at=opened + timedelta(hours=1))
    claimed = await claim(store)
    assert (claimed.expired, claimed.unknown, claimed.rows) == (1, 0, ())
    assert claimed.needs_finish


async def test_a_member_can_cancel_until_the_row_is_being_booked(database: Database, store: PrebookingStore) -> None:
    venue = add_venue(database.connection)
    row = add_prebooking(database.connection, venue, user_email="Ana@example.com")
    assert await store.cancel(row, "someone@example.com", until=deadline()) == "not_found"
    assert await store.cancel(row, "ana@EXAMPLE.com", until=deadline()) == "cancelled"
    held = add_prebooking(database.connection, venue, user_email="ana@example.com")
    await claim(store)
    assert await store.cancel(held, "ana@example.com", until=deadline()) == "being_booked"
    await store.settle(RowResult(held), Outcome(Kind.FULL), until=deadline())
    assert await store.cancel(held, "ana@example.com", until=deadline()) == "settled"


async def test_a_claim_is_busy_while_another_session_holds_the_lock(database: Database, store: PrebookingStore) -> None:
    blocker = database.connect()
    with blocker.transaction():
        blocker.execute("select public.prebooking_lock()")
        with pytest.raises(StoreBusy):
            await claim(store, until=1.9)
    assert (await claim(store)).rows == ()


async def test_a_publishable_key_is_refused_by_the_database(rest: Rest) -> None:
    async for store in store_of(rest, rest.anon_key):
        with pytest.raises(StoreRefused, match="42501"):
            await claim(store)


async def test_a_wrong_key_is_refused(rest: Rest) -> None:
    async for store in store_of(rest, "sb_secret_of_another_project"):
        with pytest.raises((StoreRefused, StoreUnavailable)) as caught:
            await claim(store)
        assert "sb_secret" not in str(caught.value)


async def test_the_error_of_an_old_database_names_the_missing_function(
    database: Database, store: PrebookingStore
) -> None:
    database.connection.execute("alter function public.cancel_prebooking_v1 rename to gone")
    database.connection.execute("notify pgrst, 'reload schema'")
    with pytest.raises((StoreRefused, StoreUnavailable), match="cancel_prebooking_v1"):
        await store.cancel(uuid4(), "ana@example.com", until=deadline())


async def test_a_violated_check_is_an_error_without_the_row(database: Database, store: PrebookingStore) -> None:
    row = add_prebooking(database.connection, add_venue(database.connection), user_email="canary@example.com")
    await claim(store)
    with pytest.raises(StoreRefused, match="23514") as caught:
        await store.settle(RowResult(row), Outcome(Kind.NOT_SENT), until=deadline())
    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None


class _ActingClock(Clock):
    """A clock whose sleeps run one action each."""

    def __init__(self, *actions: Callable[[], object]) -> None:
        self._actions = list(actions)

    async def sleep(self, seconds: float) -> None:
        if self._actions:
            self._actions.pop(0)()
        await super().sleep(min(seconds, 0.001))


@pytest.mark.parametrize("tries", [1, 3])
async def test_finish_run_is_repeated_for_locked_rows(database: Database, store: PrebookingStore, tries: int) -> None:
    venue = add_venue(database.connection)
    rows = [add_prebooking(database.connection, venue) for _ in range(3)]
    await claim(store)
    editor = database.connect()
    editor.execute("begin")
    editor.execute("select from public.prebookings where id = %s for update", [rows[0]])
    nothing = [lambda: None] * (tries - 1)
    store._clock = _ActingClock(*nothing, lambda: editor.execute("commit"))
    assert await store.finish_run([], {}, until=deadline()) == Finished(released=3, locked=0)
    assert [prebooking(database.connection, row)["claimed_by"] for row in rows] == [None] * 3


@pytest.mark.parametrize("seconds", [10, 0.5])
async def test_finish_run_returns_the_rows_that_stay_locked(
    database: Database, store: PrebookingStore, seconds: float
) -> None:
    venue = add_venue(database.connection)
    rows = [add_prebooking(database.connection, venue) for _ in range(3)]
    await claim(store)
    editor = database.connect()
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [rows[0]])
        store._clock = _ActingClock()
        assert await store.finish_run([], {}, until=deadline(seconds)) == Finished(released=2, locked=1)


async def test_a_claim_counts_locked_rows_and_rows_without_a_login(database: Database, store: PrebookingStore) -> None:
    venue = add_venue(database.connection)
    box = add_venue(database.connection, provider="aimharder", host="box.aimharder.com")
    locked, row, _ = (add_prebooking(database.connection, each) for each in (venue, venue, box))
    theirs = add_prebooking(database.connection, box, user_email="ana@example.com")
    add_session(database.connection, box, "ana@example.com", key_id="0123456789abcdef")
    editor = database.connect()
    terms: dict[str, Any] = {"limit": 100, "stagger": 0.05, "lead": 0, "lease": 30, "turn": 8}
    terms |= {"providers": ["webhook", "aimharder"]}
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [locked])
        claimed = await store.claim_due(fire_within=deadline(6), keys=["another key"], **terms)
        assert ([each.id for each in claimed.rows], claimed.locked, claimed.no_login) == ([row], 1, 2)
    claimed = await store.claim_due(fire_within=deadline(6), keys=["another key", "0123456789abcdef"], **terms)
    assert ({each.id for each in claimed.rows}, claimed.locked, claimed.no_login) == ({locked, row, theirs}, 0, 1)


async def test_a_venue_is_paused_for_the_given_time(database: Database, store: PrebookingStore) -> None:
    venue = add_venue(database.connection)
    await store.release([], blocked_venue=venue, until=deadline(), pause=60)
    query = "select paused_until - troubled_since from public.venues"
    assert database.connection.execute(query).fetchone() == (timedelta(seconds=60),)


async def test_the_last_claim_can_be_read_while_the_lock_is_held(database: Database, store: PrebookingStore) -> None:
    assert (await store.last_claim(until=deadline())).last_claim_at is None
    claimed = await claim(store)
    holder = database.connect()
    with holder.transaction():
        holder.execute("select public.prebooking_lock()")
        since = await store.last_claim(until=deadline())
        assert since.last_claim_at is not None
        assert since.last_claim_at <= claimed.time.at_most() <= since.now + timedelta(seconds=10)


async def test_a_claimed_row_has_its_history(database: Database, store: PrebookingStore) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    held_up: dict[str, Any] = {"unclear": 2, "early_since": at, "missing_since": at, "blocks": 1, "setbacks": 3}
    held_up |= {"if_not_booked": "full", "attempts": 4, "maybe_sent": True}
    venue = add_venue(database.connection, answered_at=at + timedelta(minutes=1))
    add_prebooking(database.connection, venue, **held_up, blocked_at=at)
    [row] = (await claim(store)).rows
    assert {name: getattr(row, name) for name in held_up} == held_up
    assert row.alone
    assert not row.session_over
