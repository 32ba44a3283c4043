"""The scheduler's figures in the text format of Prometheus. They contain no member and no address.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx

from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.database.overview import Figures, Spread, Status
from prebooking.settings import DatabaseSettings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TRY_TIMEOUT = 8.0  # seconds for one try: counting the rows of a month may take some of them

Labels = dict[str, str]
Samples = Iterable[tuple[Labels, float | None]]  # None: there is no value


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. All are gauges, because the database counts a moving window."""

    name: str
    meaning: str
    samples: Callable[[Status], Samples]


async def read_metrics(
    settings: DatabaseSettings,
    *,
    instance_id: UUID,
    until: Deadline,
    clock: Clock,
    to_database: httpx.AsyncBaseTransport | None = None,
) -> str:
    """Return the figures of now. Raises a StoreError without a usable answer of the database."""
    async with create_isolated_supabase(
        settings, instance_id, clock=clock, timeout=TRY_TIMEOUT, transport=to_database
    ) as database:
        return render((await database.call("prebooking_status_v1", {}, Status.model_validate, until=until)).value)


def render(status: Status) -> str:
    """Return all metrics. A metric without a sample is left out."""
    return "".join(line for metric in METRICS for line in _lines(metric, status))


def _lines(metric: Metric, status: Status) -> Iterator[str]:
    samples: dict[str, float] = {}
    for labels, value in metric.samples(status):
        if value is not None:
            samples.setdefault(_format_labels(labels), value)  # two venues may have one name
    if samples:
        yield f"# HELP {metric.name} {metric.meaning}\n# TYPE {metric.name} gauge\n"
    yield from (f"{metric.name}{labels} {value!r}\n" for labels, value in samples.items())


def _format_labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _one(value: Callable[[Status], float | None]) -> Callable[[Status], Samples]:
    return lambda status: [({}, value(status))]


def _instant(value: Callable[[Status], datetime | None]) -> Callable[[Status], Samples]:
    return _one(lambda status: at.timestamp() if (at := value(status)) else None)


def _windows(samples: Callable[[Figures], Samples]) -> Callable[[Status], Samples]:
    """Return the samples of the last day and of the last month."""

    def both(status: Status) -> Samples:
        for window, figures in (("24h", status.day), ("30d", status.month)):
            yield from (({"window": window} | labels, value) for labels, value in samples(figures))

    return both


def _figure(value: Callable[[Figures], float]) -> Callable[[Status], Samples]:
    return _windows(lambda figures: [({}, value(figures))])


def _spread(spread: Callable[[Figures], Spread]) -> Callable[[Status], Samples]:
    def seconds(figures: Figures) -> Samples:
        values = spread(figures).model_dump(include={"p50", "p95", "max"})
        return [({"statistic": name}, None if ms is None else ms / 1000) for name, ms in values.items()]

    return _windows(seconds)


METRICS = (
    Metric(
        "prebooking_last_tick_timestamp_seconds",
        "When the trigger of the scheduler has called last.",
        _instant(lambda status: status.last_tick_at),
    ),
    Metric(
        "prebooking_last_upkeep_timestamp_seconds",
        "When a trigger of upkeep has called last.",
        _instant(lambda status: status.sessions_at),
    ),
    Metric(
        "prebooking_last_report_timestamp_seconds",
        "When upkeep has reported to the watchdog last.",
        _instant(lambda status: status.watchdog_at),
    ),
    Metric(
        "prebooking_upkeep_parts_late",
        "Parts of upkeep that were due three minutes ago already.",
        _one(lambda status: len(status.upkeep)),
    ),
    Metric(
        "prebooking_pending_rows",
        "Pending prebookings by state: all are pending, some of them are also due, overdue and so on.",
        lambda status: [({"state": name}, count) for name, count in status.rows.model_dump().items()],
    ),
    Metric(
        "prebooking_overdue_rows",
        "Overdue prebookings by venue system.",
        lambda status: [({"system": name}, count) for name, count in status.overdue.items()],
    ),
    Metric(
        "prebooking_next_opening_timestamp_seconds",
        "The next opening of a venue, if it is among the next five.",
        lambda status: [({"venue": one.venue}, one.available_at.timestamp()) for one in status.next_openings],
    ),
    Metric(
        "prebooking_next_opening_rows",
        "Prebookings of that opening.",
        lambda status: [({"venue": one.venue}, one.prebookings) for one in status.next_openings],
    ),
    Metric(
        "prebooking_troubled_since_timestamp_seconds",
        "Since when a venue blocks the function or cannot be reached. A healthy venue has no sample.",
        lambda status: [({"venue": one.venue}, one.since.timestamp()) for one in status.troubled],
    ),
    Metric(
        "prebooking_logins",
        "Logins that upkeep keeps alive or makes anew, because a class opens within a week.",
        _one(lambda status: status.logins),
    ),
    Metric(
        "prebooking_missing_logins",
        "Members without a login that is needed within a day.",
        _one(lambda status: len(status.no_login)),
    ),
    Metric(
        "prebooking_locked_rows",
        "Pending prebookings that another transaction has locked for more than a second.",
        _one(lambda status: status.locks.rows),
    ),
    Metric(
        "prebooking_claims_blocked",
        "1 if a forgotten session holds the lock of all claims, otherwise 0.",
        _one(lambda status: int(status.locks.claims_pid is not None)),
    ),
    Metric(
        "prebooking_waiting_messages",
        "Messages to members and to the operator that wait.",
        _one(lambda status: status.messages.waiting),
    ),
    Metric(
        "prebooking_dead_messages",
        "Messages that were given up in the last day.",
        _one(lambda status: sum(status.messages.dead.values())),
    ),
    Metric(
        "prebooking_failing_channels",
        "Channels that did not take their last message.",
        _one(lambda status: len(status.messages.failing)),
    ),
    Metric("prebooking_open_runs", "Runs without an end.", _one(lambda status: len(status.open_runs))),
    Metric("prebooking_runs", "Runs that had work.", _figure(lambda figures: figures.execution_ms.runs)),
    Metric("prebooking_cut_off_runs", "Runs that never ended.", _figure(lambda figures: figures.execution_ms.cut_off)),
    Metric("prebooking_run_duration_seconds", "Duration of the runs.", _spread(lambda figures: figures.execution_ms)),
    Metric("prebooking_completed_rows", "Completed prebookings.", _figure(lambda figures: figures.success.completed)),
    Metric(
        "prebooking_failed_rows",
        "Failed prebookings by outcome.",
        _windows(lambda figures: [({"outcome": name}, count) for name, count in figures.success.reasons.items()]),
    ),
    Metric(
        "prebooking_connection_errors",
        "Calls that could not be sent, or had no clear answer.",
        _figure(lambda figures: figures.connection_errors),
    ),
    Metric(
        "prebooking_overtaken_rows",
        "Prebookings that were called before one that was added earlier to the same opening.",
        _figure(lambda figures: figures.order.overtaken),
    ),
    Metric("prebooking_first_calls", "First calls at openings.", _figure(lambda figures: figures.lateness_ms.calls)),
    Metric(
        "prebooking_lateness_seconds",
        "From the opening to the first byte of the first call.",
        _spread(lambda figures: figures.lateness_ms),
    ),
)
