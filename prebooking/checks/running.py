"""Checks of the running system: triggers, bell, locks and claims. ``prebooking status`` uses them too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from prebooking.checks.check import Check, Fine, Found, fault
from prebooking.checks.messages import MESSAGES
from prebooking.database.bell import BellState, find_bell_faults
from prebooking.database.overview import Health
from prebooking.local_time import format_duration, format_instant
from prebooking.settings import Settings

LATE_TICK = timedelta(seconds=90)  # the cron calls every minute: after a longer gap, a call is missing
SILENT_UPKEEP = timedelta(hours=26)  # Vercel's own cron calls it once a day, within an hour
LATE_UPKEEP = timedelta(minutes=3)  # the cron or the bell calls upkeep within a minute when something is due
LONGEST_RUN = timedelta(seconds=60)  # an older open run was cut off
SLOW_CLAIM = 500  # milliseconds: slower claims cost openings their first second, because claims run in turn
_SHOWN = 5  # members named in the report


def _ago(health: Health, instant: datetime) -> str:
    return f"{format_duration(health.now - instant)} ago"


def _look_at_trigger(health: Health) -> Iterator[Found]:
    alive = health.last_tick_at is not None and health.now - health.last_tick_at <= LATE_TICK
    if health.last_tick_at is None:
        yield fault("never")
    elif not alive and health.locks.claims_pid:
        yield fault("held_up", since=_ago(health, health.last_tick_at))
    elif not alive:
        yield fault("dead", since=_ago(health, health.last_tick_at), overdue=health.rows.overdue)
    elif health.rows.overdue:
        systems = ", ".join(f"{count} {provider}" for provider, count in sorted(health.overdue.items()))
        yield fault("overdue", overdue=health.rows.overdue, systems=systems)
    else:
        yield Fine(f"called {_ago(health, health.last_tick_at)}")


def _look_at_upkeep(health: Health) -> Iterator[Found]:
    called = _ago(health, health.sessions_at) if health.sessions_at else "never"
    if health.sessions_at and health.now - health.sessions_at <= LATE_UPKEEP:
        yield Fine(f"called {called}")
    elif not health.upkeep and health.sessions_at and health.now - health.sessions_at > SILENT_UPKEEP:
        yield fault("silent", since=called)
    elif not health.upkeep:
        yield Fine(f"nothing is due (called {called})")
    else:
        yield fault("dead" if health.sessions_at else "never", since=called, due=" and ".join(health.upkeep))


def _look_at_logins(health: Health) -> Iterator[Found]:
    yield from (fault("unreadable", sentence=sentence) for sentence in health.no_login.unreadable)
    for one in health.no_login[:_SHOWN]:
        opens = format_instant(one.opens, one.timezone)
        yield fault("none", member=one.user_email, venue=one.venue, opens=opens)
    if len(health.no_login) > _SHOWN:
        yield fault("more", more=len(health.no_login) - _SHOWN)
    if health.other_key:
        yield fault("other_key", rows=health.other_key)
    if not health.no_login and not health.no_login.unreadable and not health.other_key:
        yield Fine("there is one for every class that opens within a day and needs it")


def _look_at_data(health: Health) -> Iterator[Found]:
    if health.rows.bad_data:
        yield fault("unreadable", rows=health.rows.bad_data)
    else:
        yield Fine("every pending prebooking can be read")


def _look_at_trouble(health: Health) -> Iterator[Found]:
    for one in health.troubled:
        yield fault("since", venue=one.venue, since=format_instant(one.since, one.timezone))
    if not health.troubled:
        yield Fine("none between the function and the venues")


def _look_at_locks(health: Health) -> Iterator[Found]:
    locks = health.locks
    if locks.claims_pid:
        yield fault("claims", pid=locks.claims_pid)
    if locks.rows:
        ends = "; ".join(f"select pg_terminate_backend({pid})" for pid in locks.row_pids)
        yield fault("rows", rows=locks.rows, are="row is" if locks.rows == 1 else "rows are", ends=ends)
    if not locks.claims_pid and not locks.rows:
        yield Fine("no session of the database holds up claims")


def _look_at_claims(health: Health) -> Iterator[Found]:
    cost = health.claim_ms
    if cost.p50 is not None and cost.p50 > SLOW_CLAIM:
        yield fault("slow", p50=cost.p50, max=cost.max, runs=cost.runs)
    elif cost.p50 is not None:
        yield Fine(f"took {cost.p50} ms (median of the last {cost.runs}), {cost.max} ms at most")


def _look_at_bell(bell_and_lead: tuple[BellState, str]) -> Iterator[Found]:
    bell, lead = bell_and_lead
    faults = list(find_bell_faults(bell))
    if bell.on and not _leads_equal(lead, bell.lead_seconds):
        yield fault("lead", rings=f"{bell.lead_seconds:g}", lead=lead or "not set")
    yield from (fault("fault", what=what) for what in faults)
    if not bell.on:
        yield Fine("is off: the cron alone triggers")
    elif not faults and _leads_equal(lead, bell.lead_seconds):
        rang = f", rang {format_duration(bell.now - bell.triggered_at)} ago" if bell.triggered_at else ""
        yield Fine(f"is on, {bell.lead_seconds:g} s ahead, as LEAD_SECONDS says{rang}")


def _leads_equal(lead: str, seconds: float) -> bool:
    try:
        return float(lead or Settings.model_fields["lead_seconds"].default) == seconds
    except ValueError:  # reported by the check of the settings
        return True


def _bell(observations: Any) -> tuple[BellState, str] | None:
    return (observations.bell, observations.environment.get("LEAD_SECONDS", "").strip()) if observations.bell else None


_END = "end it in the SQL editor"
HEALTH_CHECKS: tuple[Check[Health], ...] = (
    Check(
        "trigger",
        lambda observations: observations.health,
        _look_at_trigger,
        {
            "never": "has never called the function: set it up (docs/deploy.md)",
            "dead": "called {since}, {overdue} overdue: the trigger is dead: look at the cron's log, and whether it has"
            " the function's address and CRON_SECRET",
            "held_up": "claimed last {since}, because a lock is held: see locks",
            "overdue": "calls, but {overdue} prebookings are overdue ({systems}): look at the other lines here, at the"
            " function's log, and whether it is set up for these venue systems",
        },
    ),
    Check(
        "upkeep",
        lambda observations: observations.health,
        _look_at_upkeep,
        {
            "never": "the trigger of /api/cron/upkeep has never called, and there is work for it ({due}): set it up"
            " (docs/deploy.md)",
            "silent": "no trigger of /api/cron/upkeep has called for more than a day ({since}), not even Vercel's daily"
            " cron: redeploy the function with vercel.json, and look at its log",
            "dead": "the trigger of /api/cron/upkeep called {since}, and there is work for it ({due}): look at the"
            " cron's log",
        },
    ),
    Check(
        "login",
        lambda observations: observations.health,
        _look_at_logins,
        {
            "none": "{member} has none at {venue}, where a class opens {opens}:"
            ' prebooking login "{venue}" --member {member}',
            "more": "{more} more members have none: prebooking list shows them",
            "other_key": "{rows} prebookings wait for a deployment with another SESSION_ENCRYPTION_KEY: set the key"
            " that has encrypted their logins, or log in again",
            "unreadable": "{sentence}",
        },
    ),
    Check(
        "data",
        lambda observations: observations.health,
        _look_at_data,
        {
            "unreadable": "{rows} prebookings cannot be read, so their venue will not get them: prebooking list names"
            " them: correct their class_id or day, or cancel them",
        },
    ),
    Check(
        "trouble",
        lambda observations: observations.health,
        _look_at_trouble,
        {
            "since": "the function could not reach {venue}, or was blocked there, {since}, and got no clear answer"
            " since: it tries again by itself; open the venue's page, and look at the function's log"
        },
        warnings=frozenset({"since"}),
    ),
    Check(
        "locks",
        lambda observations: observations.health,
        _look_at_locks,
        {
            "claims": "a forgotten session holds the lock of all claims, and nothing is booked until it ends: "
            + _END
            + ": select pg_terminate_backend({pid})",
            "rows": "{rows} {are} locked by another transaction, and passed over until it ends: " + _END + ": {ends}",
        },
    ),
    Check(
        "claims",
        lambda observations: observations.health,
        _look_at_claims,
        {
            "slow": "take {p50} ms (median of the last {runs}), {max} ms at most: look for a transaction that has"
            " been open for hours, and run `vacuum analyze prebookings` in the SQL editor"
        },
        warnings=frozenset({"slow"}),
    ),
    MESSAGES,
)
BELL: Check[tuple[BellState, str]] = Check(
    "bell",
    _bell,
    _look_at_bell,
    {
        "fault": "{what}",
        "lead": "rings {rings} s ahead, LEAD_SECONDS is {lead}: set it to {rings} and redeploy",
    },
)


def find_failures(health: Health) -> list[str]:
    """Return one message per failed check of the running system."""
    checks: tuple[Check[Any], ...] = HEALTH_CHECKS
    return [f"{found.name}: {found.message}" for check in checks for found in check.evaluate(health) if not found.ok]
