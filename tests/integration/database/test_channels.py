"""Channels in the database: added once, with quiet hours that move messages, and with reminders before the limit."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.database import At, Connection
from tests.support.factories import add_prebooking, add_venue, noon
from tests.support.notifications import ANA, KINDS, add_channel, claim_rows, stored
from tests.support.questions import ask

pytestmark = pytest.mark.usefixtures("at")

HOUR, DAY = 3600, 86_400
ONE = UUID(int=1)


def add(service: Connection, id_: UUID, member: str | None = ANA, kind: str = "ntfy", address: str = "t") -> Any:
    values = (id_, member, kind, address, ["booked", "failed"], "es", time(22), time(7))
    return ask(service, "add_channel_v1", *values)


# channels


def test_a_channel_is_added_once_however_often_it_is_asked_for(service: Connection) -> None:
    first, other = uuid4(), uuid4()
    assert [add(service, first) for _ in range(2)] == [{"verdict": "added", "id": str(first)}] * 2
    assert add(service, other, "ANA@example.com") == {"verdict": "exists", "id": str(first)}
    for member, kind in ((None, "ntfy"), ("ben@example.com", "ntfy"), (ANA, "telegram")):
        assert add(service, uuid4(), member, kind, "4711")["verdict"] == "added"
    assert len(ask(service, "list_channels_v1", None)) == 4


def test_a_channel_of_the_operator_that_exists_is_found(service: Connection) -> None:
    first = uuid4()
    add(service, first, None)
    assert add(service, uuid4(), None) == {"verdict": "exists", "id": str(first)}


def test_the_list_has_the_channels_of_one_member_or_of_all(service: Connection) -> None:
    mine = uuid4()
    add(service, mine)
    add(service, uuid4(), None, "webhook", "")
    (channel,) = ask(service, "list_channels_v1", "Ana@Example.com")
    assert channel == {
        "id": str(mine),
        "user_email": ANA,
        "kind": "ntfy",
        "address": "t",
        "events": ["booked", "failed"],
        "language": "es",
        "quiet_from": "22:00:00",
        "quiet_until": "07:00:00",
        "failed_at": None,
        "failure": None,
        "waiting": 0,
        "dead": 0,
    }
    assert [each["user_email"] for each in ask(service, "list_channels_v1", None)] == [None, ANA]
    assert ask(service, "list_channels_v1", "nobody@example.com") == []


def test_the_list_counts_messages_that_wait_and_those_that_are_dead(owner: Connection, service: Connection) -> None:
    channel = add_channel(owner)
    for status, settled in (("waiting", None), ("waiting", None), ("dead", noon()), ("sent", noon())):
        owner.execute(
            "insert into public.notifications (event, about, channel_id, due_at, next_at, status, settled_at)"
            " values ('alert', gen_random_uuid()::text, %s, now(), now(), %s, %s)",
            [channel, status, settled],
        )
    (listed,) = ask(service, "list_channels_v1", None)
    assert (listed["waiting"], listed["dead"]) == (2, 1)


def test_a_removed_channel_is_sent_nothing_more(owner: Connection, service: Connection) -> None:
    add_channel(owner)
    booked(owner)
    (channel,) = ask(service, "list_channels_v1", ANA)
    assert channel["waiting"] == 1
    assert [ask(service, "remove_channel_v1", channel["id"]) for _ in range(2)] == [True, False]
    assert stored(owner) == []
    assert claim_rows(service, ONE) == []


def test_a_member_whose_address_is_not_ascii_is_refused(service: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        add(service, uuid4(), "an\u0430@example.com")
    assert ask(service, "list_channels_v1", None) == []


# quiet hours


def booked(owner: Connection, **overrides: Any) -> UUID:
    """Add a prebooking of Ana in a class that begins in two days, and book it."""
    usual = {"user_email": ANA, "expires_at": noon(2 * DAY)}
    row = add_prebooking(owner, add_venue(owner), **usual | overrides)
    owner.execute(
        "update public.prebookings set status = 'completed', outcome = 'booked', settled_at = public.prebooking_clock()"
        " where id = %s",
        [row],
    )
    return row


def notify_at(service: Connection, at: str, event: str = "booked", opens: str = "2026-12-24", **quiet: str) -> datetime:
    values = {"from": "22:00", "until": "07:00", "zone": "Europe/Madrid"} | quiet
    answer = service.execute(
        "select public.prebooking_notify_at(%s, %s, %s, %s::time, %s::time, %s)",
        [at, event, opens, values["from"], values["until"], values["zone"]],
    ).fetchone()
    assert answer
    due: datetime = answer[0]
    return due.astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("2026-11-30 20:59:59+00", "2026-11-30 20:59:59+00"),  # 21:59:59 in Madrid
        ("2026-11-30 21:00+00", "2026-12-01 06:00+00"),
        ("2026-12-01 03:00+00", "2026-12-01 06:00+00"),
        ("2026-12-01 05:59:59+00", "2026-12-01 06:00+00"),
        ("2026-12-01 06:00+00", "2026-12-01 06:00+00"),
        ("2026-10-24 21:00+00", "2026-10-25 06:00+00"),  # the night of 25 October has one hour more
        ("2026-03-28 22:00+00", "2026-03-29 05:00+00"),  # and that of 29 March one less
    ],
)
def test_a_message_in_quiet_hours_waits_for_their_end_on_the_venues_clock(
    service: Connection, at: str, due: str
) -> None:
    assert notify_at(service, at) == datetime.fromisoformat(due)


def test_quiet_hours_within_one_day_are_those_hours(service: Connection) -> None:
    siesta = {"from": "14:00", "until": "17:00"}
    assert notify_at(service, "2026-07-01 13:00+00", **siesta) == datetime(2026, 7, 1, 15, tzinfo=UTC)
    for at in ("2026-07-01 11:59+00", "2026-07-01 15:00+00", "2026-07-01 22:00+00"):
        assert notify_at(service, at, **siesta) == datetime.fromisoformat(at)


def test_a_failure_and_an_urgent_warning_pass_through_quiet_hours(service: Connection) -> None:
    night = datetime(2026, 12, 1, 2, tzinfo=UTC)
    soon, later = (str(night + timedelta(hours=12, minutes=minutes)) for minutes in (-1, 1))
    assert notify_at(service, str(night), "failed") == night
    assert notify_at(service, str(night), "warned", soon) == night
    for event, opens in (("warned", later), ("waitlisted", soon), ("moved_up", soon), ("given_back", soon)):
        assert notify_at(service, str(night), event, opens) == datetime(2026, 12, 1, 6, tzinfo=UTC)


_ZONES = ["Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
_HOURS = [
    ("22:00", "07:00"),
    ("02:15", "02:45"),
    ("23:59", "00:01"),
    ("00:00", "22:30"),
    ("07:00", "06:59"),
    ("01:30", "03:00"),
]
# Every seventh minute of the days around six clock changes.
_SWEEP = """
with every (t) as (
  select t from unnest(
    array['2026-03-07', '2026-03-28', '2026-04-04', '2026-10-03', '2026-10-24', '2026-10-31']::timestamptz[]) d,
    generate_series(d, d + interval '48 hours', interval '7 minutes') t),
due (t, local_t, at, local_at) as (
  select t, (t at time zone %(zone)s)::time, at, (at at time zone %(zone)s)::time from every
  cross join lateral public.prebooking_quiet_until(t, %(from)s::time, %(until)s::time, %(zone)s) at)
select count(*) filter (where at < t), count(*) filter (where at > t + interval '25 hours'),
  count(*) filter (where at > t and local_at < %(until)s::time),
  count(*) filter (where at > t and local_at > %(until)s::time + interval '1 hour'),
  count(*) filter (where at > t and not case when %(from)s::time < %(until)s::time
    then local_t between %(from)s::time and %(until)s::time
    else local_t >= %(from)s::time or local_t <= %(until)s::time end)
from due
"""


@pytest.mark.grid
@pytest.mark.parametrize("zone", _ZONES)
@pytest.mark.parametrize("hours", _HOURS)
def test_quiet_hours_never_drop_or_hasten_a_message_in_any_zone(
    service: Connection, zone: str, hours: tuple[str, str]
) -> None:
    """A message waits only in quiet hours, until they end. If the clock skips their end, it waits an hour more."""
    found = service.execute(_SWEEP, {"zone": zone, "from": hours[0], "until": hours[1]}).fetchone()
    assert found == (0, 0, 0, 0, 0)


def test_no_quiet_hours_move_nothing(owner: Connection, service: Connection) -> None:
    answer = service.execute("select public.prebooking_quiet_until(%s, null, null, 'UTC')", [noon()]).fetchone()
    assert answer == (noon(),)
    add_channel(owner, quiet_from=time(0), quiet_until=time(23, 59))
    booked(owner)
    assert claim_rows(service, ONE) == []
    assert owner.execute("select due_at > %s from public.notifications", [noon()]).fetchone() == (True,)


# reminders


def remind(owner: Connection, hours: int | None = 4, **channel: Any) -> UUID:
    """Add a channel for reminders, and a place in a class that begins in two days; the limit is four hours before."""
    add_channel(owner, events=["reminder"], **channel)
    row = booked(owner)
    owner.execute("update public.venues set late_cancel_hours = %s where true", [hours])
    return row


def is_due(service: Connection, instant: datetime) -> bool:
    return bool(ask(service, "upkeep_notifications_due", instant))


def test_a_member_is_reminded_once_an_hour_before_the_limit(owner: Connection, service: Connection, at: At) -> None:
    row = remind(owner)
    due = 2 * DAY - 5 * HOUR
    assert not is_due(service, noon(due - 1))
    assert is_due(service, noon(due))
    at(due)
    (claimed,) = claim_rows(service, ONE)
    assert (claimed["event"], claimed["prebooking_id"]) == ("reminder", str(row))
    assert datetime.fromisoformat(claimed["cancel_until"]) == noon(due + HOUR)
    assert ask(service, "settle_notification_v1", claimed["id"], ONE, "sent", None)
    assert not is_due(service, noon(due + 60))
    assert claim_rows(service, ONE) == []


@pytest.mark.parametrize(
    ("instead", "hours"),
    [
        ("select 1", None),  # the venue has no limit
        ("update public.prebookings set given_back_at = now() where true", 4),
        ("update public.notification_channels set events = '{booked}' where true", 4),
        ("update public.notification_channels set user_email = null where true", 4),
        ("update public.notification_channels set user_email = 'ben@example.com' where true", 4),
        ("update public.prebookings set outcome = 'waitlisted' where true", 4),
        ("update public.prebookings set settled_at = settled_at + interval '44 hours' where true", 4),
    ],
)
def test_nobody_is_reminded_of_a_place_that_needs_no_reminder(
    owner: Connection, service: Connection, at: At, instead: str, hours: int | None
) -> None:
    remind(owner, hours)
    owner.execute("alter table public.prebookings disable trigger user")
    owner.execute(instead.encode())
    at(2 * DAY - 5 * HOUR)
    assert not is_due(service, noon(2 * DAY - 5 * HOUR))
    assert claim_rows(service, ONE) == []


def test_a_place_that_moved_up_from_the_waiting_list_is_reminded_of(
    owner: Connection, service: Connection, at: At
) -> None:
    row = remind(owner)
    owner.execute("alter table public.prebookings disable trigger user")
    owner.execute("update public.prebookings set outcome = 'waitlisted' where true")
    owner.execute(
        "insert into public.prebooking_places (prebooking_id, place, since, looked_at)"
        " values (%s, 'booked', now(), now())",
        [row],
    )
    at(2 * DAY - 5 * HOUR)
    assert [claimed["event"] for claimed in claim_rows(service, ONE)] == ["reminder"]


@pytest.mark.parametrize(
    ("quiet", "hour"),
    [
        (("10:00", "12:00"), 7.0),  # not then
        (("06:00", "07:30"), 7.5),  # they end half an hour before the limit
        (("06:30", "08:00"), 6.5),  # they end at the limit, so it is sent when they begin
        (("22:00", "09:00"), -2.0),  # the evening before
    ],
)
def test_a_reminder_that_quiet_hours_would_make_late_is_sent_before_them(
    service: Connection, quiet: tuple[str, str], hour: float
) -> None:
    """The limit is at 08:00."""
    midnight = noon(DAY).replace(hour=0)
    values = [midnight + timedelta(hours=8), *quiet]
    answer = service.execute("select public.prebooking_reminder_at(%s, %s::time, %s::time, 'UTC')", values).fetchone()
    assert answer == (midnight + timedelta(hours=hour),)


@pytest.mark.parametrize("given_back", [True, False])
def test_a_reminder_that_is_of_no_use_any_more_is_not_sent(
    owner: Connection, service: Connection, at: At, *, given_back: bool
) -> None:
    """Its receiver did not take it until the place was given back, or until the limit."""
    remind(owner)
    at(2 * DAY - 5 * HOUR)
    (claimed,) = claim_rows(service, ONE)
    assert ask(service, "settle_notification_v1", claimed["id"], ONE, "not_sent", "http_500")
    owner.execute("alter table public.prebookings disable trigger user")
    if given_back:
        owner.execute("update public.prebookings set given_back_at = now() where true")
    at(2 * DAY - 5 * HOUR + 60 if given_back else 2 * DAY - 4 * HOUR)
    assert claim_rows(service, ONE, kinds=KINDS) == []
    assert stored(owner) == []
