"""Claims that run concurrently with other claims, with the end of a run, or with an edit of a row."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.calls import cancel, claim, claimed, finish, prebooking
from tests.support.database import At, Connection, Database
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.races import at_the_same_time, result_after_commit, wait_until_blocked


def test_a_claim_waits_for_an_earlier_one_and_sees_its_rows(database: Database, owner: Connection, at: At) -> None:
    venue, opening, me = add_venue(owner), noon(0), uuid4()
    first = add_prebooking(owner, venue, available_at=opening)
    one, other = database.connect("service_role"), database.connect("service_role")
    with one.transaction():
        assert claimed(one, me) == [first]
        second = add_prebooking(owner, venue, available_at=opening)  # the same opening: it is the first one's turn
        answer = result_after_commit(lambda: claimed(other, uuid4()), owner, other, by=one, lock="advisory")
        assert answer == []
    assert prebooking(owner, second)["claimed_by"] is None


def test_a_claim_reads_the_clock_after_it_has_waited(database: Database, owner: Connection, at: At) -> None:
    one, other = database.connect("service_role"), database.connect("service_role")
    row = add_prebooking(owner, add_venue(owner), available_at=noon(1))
    with one.transaction():
        assert claimed(one, uuid4()) == []
        with at_the_same_time(lambda: claimed(other, uuid4())) as answer:
            wait_until_blocked(owner, other, by=one)
            at(1)
            one.execute("commit; begin")
            assert answer.result() == [row]


def test_the_end_of_a_run_waits_for_its_open_claim(database: Database, owner: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    claiming, finishing = database.connect("service_role"), database.connect("service_role")
    with claiming.transaction():
        claim(claiming, me)
        released = result_after_commit(lambda: finish(finishing, me), owner, finishing, by=claiming, lock="advisory")
        assert released == 1
    assert prebooking(owner, row)["claimed_by"] is None


def test_a_claim_after_the_end_of_its_run_takes_nothing(database: Database, owner: Connection) -> None:
    row, me = add_prebooking(owner, add_venue(owner)), uuid4()
    finishing, claiming = database.connect("service_role"), database.connect("service_role")
    with finishing.transaction():
        finish(finishing, me)
        answer = result_after_commit(lambda: claimed(claiming, me), owner, claiming, by=finishing, lock="advisory")
        assert answer == []
    assert prebooking(owner, row)["claimed_by"] is None


def test_a_locked_row_is_skipped_and_counted(
    editor: Connection, owner: Connection, service: Connection, at: At
) -> None:
    venue, opening, me = add_venue(owner), noon(0), uuid4()
    before, edited, behind = (add_prebooking(owner, venue, available_at=opening) for _ in range(3))
    elsewhere = add_prebooking(owner, add_venue(owner), available_at=opening)
    with editor.transaction():
        editor.execute("update public.prebookings set user_email = 'new@example.com' where id = %s", [edited])
        answer = claim(service, me)
        assert [UUID(row["id"]) for row in answer["rows"]] == [before, behind, elsewhere]
        assert answer["locked"] == 1
    answer = claim(service, me)
    assert [UUID(row["id"]) for row in answer["rows"]] == [before, edited, behind, elsewhere]
    assert answer["locked"] == 0


def test_many_locked_rows_are_skipped(editor: Connection, owner: Connection, service: Connection, at: At) -> None:
    venue = add_venue(owner)
    rows = [add_prebooking(owner, venue, available_at=noon(0)) for _ in range(25)]
    with editor.transaction():
        editor.execute("select from public.prebookings where id = any(%s) for update", [rows[:12]])
        answer = claim(service, uuid4(), fire_within_ms=250, stagger_ms=50)  # six slots
        assert [UUID(row["id"]) for row in answer["rows"]] == rows[12:18]
        assert answer["locked"] == 12


def test_a_locked_row_makes_no_room_for_part_of_an_opening(
    editor: Connection, owner: Connection, service: Connection, at: At
) -> None:
    first, second = add_venue(owner), add_venue(owner)
    locked, free = (add_prebooking(owner, first, available_at=noon(-2)) for _ in range(2))
    whole = [add_prebooking(owner, second, available_at=noon(-1)) for _ in range(4)]
    with editor.transaction():
        editor.execute("select from public.prebookings where id = %s for update", [locked])
        assert claimed(service, uuid4(), limit=3) == [free]
        assert claimed(service, uuid4(), limit=4) == whole


@pytest.mark.parametrize("held", ["prebooking_heartbeat", "prebooking_runs", "venues", "member_sessions"])
def test_a_claim_does_not_wait_for_locks_of_other_tables(
    editor: Connection, owner: Connection, service: Connection, at: At, held: str
) -> None:
    row = add_prebooking(owner, add_venue(owner))
    owner.execute(
        "insert into public.prebooking_runs (instance_id, opened_at) values (gen_random_uuid(), %s)", [noon(-1e7)]
    )
    claim(service, uuid4(), limit=0)
    with editor.transaction():
        editor.execute(f"select from public.{held} for update")
        editor.execute("update public.prebooking_heartbeat set sessions_at = now() where only_one")
        service.execute("set statement_timeout = '1s'")
        assert claimed(service, uuid4()) == [row]


# Venues that are seen only when a lock is free: a claim waits there, after its snapshot and before it locks its rows.
_WAIT_AT_VENUES = b"""
alter table public.venues rename to real_venues;
create function public.wait() returns boolean language plpgsql volatile as $$
  begin perform pg_advisory_xact_lock_shared(9); return true; end $$;
create view public.venues as
  select id, name, provider, host, provider_box_id, timezone, idempotent, paused_until, troubled_since, answered_at,
    enabled and public.wait() as enabled from public.real_venues;
grant select on public.venues to service_role;
"""


def test_a_row_cancelled_meanwhile_is_left(database: Database, owner: Connection, service: Connection, at: At) -> None:
    venue, gate = add_venue(owner), database.connect()
    before, cancelled, behind = (add_prebooking(owner, venue, available_at=noon(0), user_email=f"{n}@x") for n in "abc")
    owner.execute(_WAIT_AT_VENUES)
    gate.execute("select pg_advisory_lock(9)")
    with at_the_same_time(lambda: claim(service, uuid4())) as answer:
        assert wait_until_blocked(owner, service, by=gate) == "advisory"
        assert cancel(owner, cancelled, "b@x") == "cancelled"
        gate.execute("select pg_advisory_unlock(9)")
        taken = answer.result()
    assert [UUID(row["id"]) for row in taken["rows"]] == [before, behind]
    assert taken["locked"] == 0


def test_a_locked_expired_row_is_skipped(editor: Connection, owner: Connection, service: Connection, at: At) -> None:
    row = add_prebooking(owner, add_venue(owner), expires_at=noon(10))
    at(10)
    with editor.transaction():
        editor.execute("update public.prebookings set user_email = 'new@example.com' where id = %s", [row])
        assert claim(service, uuid4())["expired"] == 0
    assert claim(service, uuid4())["expired"] == 1


def test_a_claim_that_waits_too_long_fails(database: Database, owner: Connection, service: Connection) -> None:
    row, holder = add_prebooking(owner, add_venue(owner)), database.connect("service_role")
    with holder.transaction():
        claim(holder, uuid4())
        with pytest.raises(psycopg.errors.LockNotAvailable):
            claim(service, uuid4())
        holder.execute("rollback; begin")
    assert claimed(service, uuid4()) == [row]


def test_the_claim_function_has_the_settings_it_relies_on(owner: Connection) -> None:
    query = """select l.lanname, p.provolatile, p.prosecdef, p.proconfig
      from pg_proc p join pg_language l on l.oid = p.prolang
      where p.oid = 'public.claim_due_prebookings_v1'::regproc"""
    facts = owner.execute(query).fetchone()
    assert facts is not None
    *kind, settings = facts
    assert kind == ["plpgsql", "v", False]
    assert settings[:3] == ['search_path=""', "lock_timeout=1500ms", "jit=off"]
    assert settings[3:] == ["enable_seqscan=off", "enable_bitmapscan=off", "enable_sort=off"]
