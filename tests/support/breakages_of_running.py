"""What breaks triggers, locks, claims and the bell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from psycopg.types.json import Jsonb

from prebooking.local.bell import SECRET_NAME, STAND_INS
from tests.support.bells import URL
from tests.support.breakages import SECRET, HealthySystem, add_member, breaks
from tests.support.factories import add_prebooking
from tests.support.notifications import add_channel
from tests.support.terminal import ANA

_THREE_HOURS_AGO = "update prebooking_heartbeat set last_tick_at = now() - interval '3 hours'"


def _in_five_hours(system: HealthySystem) -> object:
    [(opens,)] = system.terminal.rows("select now() + interval '5 hours'")
    return opens


@breaks("trigger", "never", "has never called the function: set it up")
def _(system: HealthySystem) -> None:
    system.sql("delete from prebooking_heartbeat")


@breaks("trigger", "dead", "called 3 h ago, 1 overdue: the trigger is dead: look at the cron's log")
def _(system: HealthySystem) -> None:
    system.overdue()
    system.sql(_THREE_HOURS_AGO)


@breaks("trigger", "dead", "0 overdue: the trigger is dead", variant="nothing is due yet")
def _(system: HealthySystem) -> None:
    system.sql(_THREE_HOURS_AGO)


@breaks("trigger", "overdue", "calls, but 1 prebookings are overdue (1 aimharder): look at the other lines here")
def _(system: HealthySystem) -> None:
    system.overdue()


@breaks("trigger", "held_up", "because a lock is held: see locks")
def _(system: HealthySystem) -> None:
    system.sql(_THREE_HOURS_AGO)
    system.transaction("select public.prebooking_lock()")


_OLD_LOGINS = "update member_sessions set refreshed_at = now() - interval '29 minutes'"


@breaks("upkeep", "never", "upkeep has never called, and there is work for it (classes and logins): set it up")
def _(system: HealthySystem) -> None:
    system.sql("update prebooking_heartbeat set sessions_at = null")
    system.sql(_OLD_LOGINS)


@breaks("upkeep", "dead", "called 2 h ago, and there is work for it (classes and logins): look at the cron's log")
def _(system: HealthySystem) -> None:
    system.sql("update prebooking_heartbeat set sessions_at = now() - interval '2 hours'")
    system.sql(_OLD_LOGINS)


@breaks("upkeep", "silent", "has called for more than a day (1 d 3 h ago), not even Vercel's daily cron")
def _(system: HealthySystem) -> None:
    system.sql("update prebookings set status = 'cancelled', settled_at = now()")
    system.sql("update prebooking_heartbeat set sessions_at = now() - interval '27 hours'")


@breaks("watchdog", "none", "a free Supabase project is paused after 7 days of low activity, and then nothing here")
def _(system: HealthySystem) -> None:
    system.sql("update prebooking_heartbeat set watchdog_at = null")


_HEARTBEAT = "https://hc.example.com/0a1b2c3d"


@breaks("watchdog", "silent", "upkeep's last report was never: set it in the function's environment too")
def _(system: HealthySystem) -> None:
    system.sql("update prebooking_heartbeat set watchdog_at = null")
    system.set(HEARTBEAT_URL=_HEARTBEAT)


@breaks("watchdog", "silent", "upkeep's last report was 3 d ago", variant="three days ago")
def _(system: HealthySystem) -> None:
    system.sql("update prebooking_heartbeat set watchdog_at = now() - interval '3 days'")
    system.set(HEARTBEAT_URL=_HEARTBEAT)


_FAILING = "ben@example.com"


def _failing_channel(system: HealthySystem, failed_at: str) -> None:
    channel = add_channel(system.terminal.connection, _FAILING)
    system.sql(
        "update notification_channels set failed_at = %s::text::timestamptz, failure = 'refused' where id = %s",
        failed_at,
        channel,
    )


@breaks("messages", "dead", "2 were given up in the last day (1 gone, 1 no_answer): look at the failing channels in")
def _(system: HealthySystem) -> None:
    for failure in ("gone", "no_answer"):
        system.sql(
            "insert into notifications (event, about, channel_id, due_at, next_at, status, settled_at, failure)"
            " values ('alert', '', gen_random_uuid(), now(), now(), 'dead', now(), %s)",
            failure,
        )


@breaks(
    "messages", "failing", f"the ntfy channel of {_FAILING} did not take its last message 2 h ago (refused): correct"
)
def _(system: HealthySystem) -> None:
    _failing_channel(system, f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%d %H:%M:%S+00}")


@breaks("messages", "unreadable", f"{_FAILING} cannot be read: correct failed_at in the database")
def _(system: HealthySystem) -> None:
    system.allow_any_instant()
    _failing_channel(system, "4714-11-24 00:00+00 BC")


@breaks("login", "none", 'prebooking login "Box Centro" --member ben@example.com')
def _(system: HealthySystem) -> None:
    add_member(system, "Ben@example.com")


@breaks("login", "more", "2 more members have none")
def _(system: HealthySystem) -> None:
    for number in range(7):
        add_member(system, f"member{number}@example.com")


@breaks("login", "other_key", "1 prebookings wait for a deployment with another SESSION_ENCRYPTION_KEY")
def _(system: HealthySystem) -> None:
    system.sql("update prebookings set warning = 'other_key: sealed with another key.'")


@breaks("login", "unreadable", "ben@example.com Box Centro cannot be read: correct opens in the database")
def _(system: HealthySystem) -> None:
    system.allow_any_instant()
    row = add_member(system, "ben@example.com")
    system.sql("update prebookings set available_at = '4714-11-24 00:00+00 BC' where id = %s", row)


@breaks("data", "unreadable", "1 prebookings cannot be read, so their venue will not get them: prebooking list")
def _(system: HealthySystem) -> None:
    data = {"class_id": "4711", "day": "11 January 2030"}
    add_prebooking(
        system.terminal.connection, system.box(), user_email=ANA, booking_data=data, available_at=_in_five_hours(system)
    )


@breaks("trouble", "since", "the function could not reach Box Centro, or was blocked there, ")
def _(system: HealthySystem) -> None:
    system.sql("update venues set troubled_since = now() - interval '2 hours'")


@breaks("locks", "claims", "nothing is booked until it ends: end it in the SQL editor: select pg_terminate_backend(")
def _(system: HealthySystem) -> None:
    system.transaction("select public.prebooking_lock()")


@breaks("locks", "rows", "1 row is locked by another transaction, and passed over until it ends")
def _(system: HealthySystem) -> None:
    system.sql("update prebookings set available_at = now() - interval '5 seconds'")
    system.transaction("select 1 from prebookings for no key update")


@breaks("locks", "rows", "2 rows are locked by another transaction", variant="changed and not committed")
def _(system: HealthySystem) -> None:
    system.sql("update prebookings set available_at = now() - interval '5 seconds'")
    add_prebooking(system.terminal.connection, system.box(), user_email=ANA)
    system.transaction("update prebookings set warning = 'a warning'")


@breaks("claims", "slow", "take 900 ms (median of the last 5), 900 ms at most")
def _(system: HealthySystem) -> None:
    system.sql(
        "insert into prebooking_runs (instance_id, opened_at, closed_at, claim_ms)"
        " select gen_random_uuid(), now(), now(), 900 from generate_series(1, 5)"
    )


def _ring(system: HealthySystem, changes: str) -> None:
    """Switch the bell on, as if pg_cron had just run it; service_role may read pg_net's tables, as on Supabase."""
    system.sql(STAND_INS)
    system.sql("grant usage on schema net to service_role; grant select on all tables in schema net to service_role")
    system.terminal.connection.execute("select vault.create_secret(%s, %s)", [SECRET, SECRET_NAME])
    system.terminal.connection.execute("select public.prebooking_bell_on(%s)", [URL])
    system.sql("update prebooking_bell set switched_at = now() - interval '1 day', looked_at = now()")
    system.sql(changes)
    system.set(LEAD_SECONDS="3")


@breaks("bell", "lead", "rings 3 s ahead, LEAD_SECONDS is 2: set it to 3 and redeploy")
def _(system: HealthySystem) -> None:
    _ring(system, "select 1")
    system.set(LEAD_SECONDS="2")


@breaks("bell", "fault", "Deployment Protection", variant="the function is behind a page, and nothing ticks")
def _(system: HealthySystem) -> None:
    _ring(
        system, "update prebooking_bell set triggered_at = now() - interval '2 minutes', posts = 1, request_ids = '{7}'"
    )
    system.sql(_THREE_HOURS_AGO)
    system.sql(
        "insert into net._http_response (id, status_code, content_type, content, timed_out)"
        " values (7, 401, 'text/html; charset=utf-8', '<html>Authentication Required</html>', false)"
    )


@breaks("bell", "fault", "1 requests wait in pg_net's queue since", variant="pg_net's worker is dead")
def _(system: HealthySystem) -> None:
    _ring(system, "select net.http_post('https://app.example.com/')")
    system.sql("update prebooking_bell set queue_head = 1, queue_head_at = now() - interval '2 minutes'")


@breaks("bell", "fault", "pg_cron has not run it since", variant="pg_cron does not run it")
def _(system: HealthySystem) -> None:
    _ring(system, "update prebooking_bell set looked_at = now() - interval '1 hour'")


_RUN = {"at": "2026-11-23T12:00:00Z", "ended": "2026-11-23T12:00:20Z", "message": "ERROR: no"}


@breaks("bell", "fault", "its last run failed (ERROR: no)", variant="its last run failed")
def _(system: HealthySystem) -> None:
    _ring(system, "select 1")
    system.sql("update prebooking_bell set runs = %s", Jsonb([_RUN | {"state": "failed"}]))


@breaks("bell", "fault", "cut off by a statement_timeout", variant="its runs are cut off")
def _(system: HealthySystem) -> None:
    _ring(system, "select 1")
    system.sql("update prebooking_bell set runs = %s", Jsonb([_RUN | {"state": "cut"}]))


@breaks("bell", "fault", "not in Vault", variant="the secret is gone")
def _(system: HealthySystem) -> None:
    _ring(system, "delete from vault.secrets")
    system.sql("grant usage on schema vault to service_role; grant select on vault.decrypted_secrets to service_role")
