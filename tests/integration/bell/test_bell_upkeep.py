"""The bell calls upkeep once a minute if something is due for it, and rings whatever becomes of that."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.support.bells import SECRET, URL, Bell, add_rows
from tests.support.database import Connection
from tests.support.factories import add_prebooking, add_session, add_venue, noon
from tests.support.notifications import add_channel

UPKEEP = "https://app.example.com/api/cron/upkeep"
DAY = {"day": "20261124", "starts_at": "18:00"}


def add_box(owner: Connection) -> UUID:
    return add_venue(owner, provider="aimharder", host="box.aimharder.com", provider_box_id="42")


def need_look_up(owner: Connection) -> UUID:
    """Add a prebooking whose class is not known yet, so that upkeep is due."""
    return add_prebooking(owner, add_box(owner), booking_data=DAY, available_at=noon(7200), expires_at=noon(86_400))


def urls(owner: Connection) -> list[tuple[str, float]]:
    """Return each request's URL and its instant, in seconds after noon."""
    rows = owner.execute("select url, at from testing.posts order by at, id").fetchall()
    return [(url, (at - noon()).total_seconds()) for url, at in rows]


def test_upkeep_is_called_once_a_minute_while_it_is_due(owner: Connection, bell: Bell) -> None:
    need_look_up(owner)
    for minute in range(3):
        bell.minute(60 * minute)
    assert urls(owner) == [(UPKEEP, 0.0), (UPKEEP, 60.0), (UPKEEP, 120.0)]
    [(headers, body, timeout)] = set(
        owner.execute("select headers ->> 'Authorization', body, timeout_milliseconds from testing.posts").fetchall()
    )
    assert (headers, body, timeout) == (f"Bearer {SECRET}", "{}", 1000)


def test_upkeep_is_called_when_the_operator_is_to_be_told(owner: Connection, bell: Bell) -> None:
    """So with the bell alone, an opening that was missed is told, although upkeep has no work of its own."""
    add_channel(owner, None, events=["alert"])
    bell.minute()
    assert urls(owner) == []
    add_prebooking(owner, add_venue(owner, troubled_since=noon(-60)), available_at=noon(7200), expires_at=noon(86_400))
    bell.minute(60)
    assert urls(owner) == [(UPKEEP, 60.0)]


def test_a_failure_of_the_alerts_does_not_prevent_the_call(owner: Connection, bell: Bell) -> None:
    owner.execute("alter function public.prebooking_raise_alerts rename to gone")
    need_look_up(owner)
    bell.minute()
    assert urls(owner) == [(UPKEEP, 0.0)]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("path", ["prebooking-scheduler", "prebooking_scheduler"])
def test_both_spellings_of_the_address_lead_to_upkeep(owner: Connection, path: str) -> None:
    bell = Bell.switched_on(owner, URL.replace("prebooking_scheduler", path))
    need_look_up(owner)
    bell.minute()
    assert urls(owner) == [(UPKEEP, 0.0)]


def test_upkeep_is_called_for_old_logins_of_any_key(owner: Connection, bell: Bell) -> None:
    box = add_box(owner)
    add_prebooking(owner, box, user_email="ana@example.com", available_at=noon(7200), expires_at=noon(86_400))
    add_session(owner, box, "ana@example.com", refreshed_at=noon(-1600), key_id="0123456789abcdef")
    owner.execute("select public.upkeep_due_v1('{aimharder}', '{}')")
    bell.minute()
    assert urls(owner) == [(UPKEEP, 0.0)]


def test_warnings_about_logins_are_renewed_once_an_hour(owner: Connection, bell: Bell) -> None:
    add_prebooking(owner, add_box(owner), available_at=noon(86_400), expires_at=noon(90_000))
    called = list[tuple[str, float]]()
    for minute in range(0, 130, 10):
        bell.minute(60 * minute)
        if len(urls(owner)) > len(called):
            called = urls(owner)
            owner.execute("select public.upkeep_due_v1('{aimharder}', '{}')")
    assert [at for _, at in called] == [0.0, 3600 + 600.0]


def test_upkeep_is_not_called_for_systems_that_the_deployment_lacks(owner: Connection, bell: Bell) -> None:
    need_look_up(owner)
    owner.execute("insert into public.prebooking_heartbeat (providers) values ('{webhook}')")
    bell.minute()
    assert urls(owner) == []


def test_upkeep_waits_for_a_moment_without_a_ring(owner: Connection, bell: Bell) -> None:
    """Rings at 0 and 4 s; pg_net sends nothing for up to two seconds after each request."""
    need_look_up(owner)
    add_rows(owner, 1, 1, opens=3)
    add_rows(owner, 1, 1, opens=7)
    bell.minute()
    [ring, later, (url, at)] = urls(owner)
    assert (ring, later, url) == ((URL, 0.0), (URL, 4.0), UPKEEP)
    assert 7 < at <= 8


def test_no_ring_is_later_because_upkeep_is_due(owner: Connection, bell: Bell) -> None:
    need_look_up(owner)
    for opens in (5.5, 20, 59.9, 63):
        add_rows(owner, 1, 1, opens=opens)
    bell.minute()
    rings = [at for url, at in urls(owner) if url == URL]
    upkeep = [at for url, at in urls(owner) if url == UPKEEP]
    assert rings == [2.5, 17, 56.9]
    assert len(upkeep) == 1
    assert all(abs(at - upkeep[0]) > 3 for at in rings)


DIVIDES_BY_ZERO = """
create or replace function public.upkeep_classes_due(t timestamptz, p_providers text[]) returns boolean
language sql as 'select 1 / 0 = 1'
"""


def test_a_part_that_cannot_be_asked_is_due(owner: Connection, bell: Bell) -> None:
    owner.execute(DIVIDES_BY_ZERO)
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    assert urls(owner) == [(UPKEEP, 0.0), (URL, 27.0)]


def test_a_failing_upkeep_prevents_no_ring_and_is_tried_once_a_minute(owner: Connection, bell: Bell) -> None:
    need_look_up(owner)
    owner.execute("alter function public.prebooking_upkeep_parts rename to gone")
    add_rows(owner, 1, 1, opens=30)
    notices = list[str]()
    owner.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    assert bell.minute() == 59.75
    assert urls(owner) == [(URL, 27.0)]
    assert len([notice for notice in notices if notice.startswith("upkeep was not called: ")]) == 1


def test_a_bell_without_a_secret_calls_no_upkeep(owner: Connection, bell: Bell) -> None:
    need_look_up(owner)
    owner.execute("delete from vault.secrets")
    bell.minute()
    assert all(url != UPKEEP for url, _ in urls(owner))


def test_nothing_due_is_no_call_of_upkeep(owner: Connection, bell: Bell) -> None:
    add_rows(owner, 3, 2, opens=7200)
    bell.minute()
    assert urls(owner) == []
