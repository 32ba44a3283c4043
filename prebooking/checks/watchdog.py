"""The check of the watchdog, which notices from outside that everything has stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prebooking.checks.check import Check, Fine, Found, fault
from prebooking.checks.running import SILENT_UPKEEP
from prebooking.database.overview import Health
from prebooking.local_time import format_duration

_PAUSE = "a free Supabase project is paused after 7 days of low activity"


def format_report(health: Health) -> str:
    """Return when upkeep has last reported to the watchdog."""
    return f"{format_duration(health.now - health.watchdog_at)} ago" if health.watchdog_at else "never"


def _look_at_watchdog(health_and_setting: tuple[Health, bool]) -> Iterator[Found]:
    health, is_set = health_and_setting
    if health.watchdog_at and health.now - health.watchdog_at <= SILENT_UPKEEP:
        yield Fine(f"upkeep reported {format_report(health)}: it notices if all stops, as when {_PAUSE}")
    elif not is_set:
        yield fault("none", pause=_PAUSE)
    else:
        yield fault("silent", since=format_report(health))


def _watchdog(observations: Any) -> tuple[Health, bool] | None:
    is_set = bool(observations.environment.get("HEARTBEAT_URL", "").strip())
    return (observations.health, is_set) if observations.health else None


WATCHDOG: Check[tuple[Health, bool]] = Check(
    "watchdog",
    _watchdog,
    _look_at_watchdog,
    {
        "none": "HEARTBEAT_URL is not set: {pause}, and then nothing here can tell anybody: set it to the address of a"
        " check at healthchecks.io or a service like it (docs/operate.md)",
        "silent": "HEARTBEAT_URL is set here, but upkeep's last report was {since}: set it in the function's"
        " environment too, redeploy, and look whether upkeep is called",
    },
    warnings=frozenset({"none"}),
)
