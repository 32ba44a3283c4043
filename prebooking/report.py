"""What one invocation answers: counts and codes of everything that went through its hands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from prebooking.model import COMPLETED, Attempt, Ending, Kind, Summary

ERRORS_SHOWN = 10  # the cron takes an answer over 8 KiB for a failure


@dataclass(slots=True)
class Report:
    """What is noted on the way through a run."""

    instance_id: UUID
    endings: dict[UUID, Ending] = field(default_factory=dict)
    expired: int = 0
    unknown: int = 0
    timed_out: bool = False
    busy: bool = False
    broken: bool = False

    def summary(self, *, now: datetime, execution_time: float) -> Summary:
        """Sum it up; ``execution_time`` in seconds."""
        fates = Counter(_fate(ending) for ending in self.endings.values())
        fates["failed"] += self.expired + self.unknown
        return Summary(
            success=not self.broken,
            message=self._message(fates.total()),
            instance_id=self.instance_id,
            execution_time_ms=round(execution_time * 1000),
            timestamp=now,
            timed_out=self.timed_out,
            details={"total": fates.total(), **{fate: fates[fate] for fate in _FATES}},
            lateness_ms=self._lateness(),
            outcomes=self._outcomes(),
            errors=self._errors(),
        )

    def _message(self, total: int) -> str:
        if self.broken:
            return "The run did not do all of its work: see the log"
        if self.busy and not total:
            return "Another run is claiming"
        if not total:
            return "No prebookings ready"
        return f"Processed {total} prebooking{'s' if total > 1 else ''}"

    def _outcomes(self) -> dict[str, int]:
        kinds = Counter(str(kind) for ending in self.endings.values() if (kind := _kind(ending)))
        kinds.update({Kind.EXPIRED.value: self.expired, Kind.UNKNOWN.value: self.unknown})
        return dict(sorted((+kinds).items()))

    def _lateness(self) -> dict[str, int | None]:
        late = sorted(
            round((ending.fired_at - ending.row.available_at).total_seconds() * 1000)
            for ending in self.endings.values()
            if isinstance(ending, Attempt) and ending.fired_at
        )
        return {name: late[-(-len(late) * percent // 100) - 1] if late else None for name, percent in _PERCENTILES}

    def _errors(self) -> list[dict[str, str]]:
        wrong = [
            (ending, kind) for ending in self.endings.values() if (kind := _kind(ending)) and kind not in COMPLETED
        ]
        return [{"id": str(ending.id), "outcome": kind.value} for ending, kind in wrong[:ERRORS_SHOWN]]


_PERCENTILES = (("p50", 50), ("p95", 95), ("max", 100))  # by nearest rank: each is one row's lateness
_CLEAR = (Kind.TOO_EARLY, Kind.LOGGED_OUT, Kind.BLOCKED)  # what need not be written down to be true
_FATES = ("completed", "failed", "released", "unsure", "lost")


def _kind(ending: Ending) -> Kind | None:
    """Return how it stands: a clear answer that could not be written down is in doubt for whoever comes next."""
    if ending.outcome is None:
        return None
    unwritten = ending.settled is None and ending.calls
    return Kind.UNSURE if unwritten and ending.outcome.kind not in _CLEAR else ending.outcome.kind


def _fate(ending: Ending) -> str:
    if ending.settled is False:
        return "lost"
    kind = _kind(ending)
    if ending.settled:
        return "completed" if kind in COMPLETED else "failed"
    return "unsure" if kind in (Kind.UNSURE, Kind.BLOCKED) else "released"
