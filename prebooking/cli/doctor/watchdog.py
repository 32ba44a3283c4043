"""The check of the watchdog, which notices from outside that everything has stopped."""

from __future__ import annotations

from collections.abc import Iterator

from prebooking.cli.dates import format_duration
from prebooking.cli.doctor.check import Check, Fine, Found, fault
from prebooking.cli.doctor.observations import Observations
from prebooking.cli.doctor.running import SILENT_UPKEEP
from prebooking.database.overview import Health

_PAUSE = "a free Supabase project is paused after 7 days of low activity"


def format_report(health: Health) -> str:
    """Return when upkeep has last reported to the watchdog."""
    return f"{format_duration(health.now - health.watchdog_at)} ago" if health.watchdog_at else "never"


def _look_at_watchdog(observations: Observations) -> Iterator[Found]:
    health, is_set = observations.health, bool(observations.environment.get("HEARTBEAT_URL", "").strip())
    if health is None:
        return
    if health.watchdog_at and health.now - health.watchdog_at <= SILENT_UPKEEP:
        yield Fine(f"upkeep reported {format_report(health)}: it notices if all stops, as when {_PAUSE}")
    elif not is_set:
        yield fault("none", pause=_PAUSE)
    else:
        yield fault("silent", since=format_report(health))


WATCHDOG: Check[Observations] = Check(
    "watchdog",
    lambda observations: observations,
    _look_at_watchdog,
    {
        "none": "HEARTBEAT_URL is not set: {pause}, and then nothing here can tell anybody: set it to the address of a"
        " check at healthchecks.io or a service like it (docs/operate.md)",
        "silent": "HEARTBEAT_URL is set here, but upkeep's last report was {since}: set it in the function's"
        " environment too, redeploy, and look whether upkeep is called",
    },
    warnings=frozenset({"none"}),
)
