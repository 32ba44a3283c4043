"""The summary of one invocation: counts and codes of its rows, without personal data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from prebooking.database.prebookings import Claim
from prebooking.model import COMPLETED, Attempt, Kind, RowResult, Summary
from prebooking.run.evidence import has_unclear_call, status_of

ERRORS_SHOWN = 10  # keeps the answer short: cron-job.org treats an answer over 8 KiB as a failure
STATUSES = ("completed", "failed", "released", "unsure", "lost")
_PERCENTILES = (("p50", 50), ("p95", 95), ("max", 100))  # by nearest rank, so each is the lateness of one row
_HELD_UP = (Kind.CANNOT_TELL, Kind.MISSING, Kind.NOT_READY)


class NoClaim(StrEnum):
    """Why a run could not claim. The value is the summary's message."""

    BUSY = "Another run holds the lock of the claims"
    NO_TIME = "No time was left to claim: the function started too late, or its clock is wrong"


# The messages when no run has claimed for longer than MAX_TIME_WITHOUT_CLAIM: the operator has to act.
_NOBODY_CLAIMS = {
    NoClaim.BUSY: "No run can claim: a database session holds the lock of the claims. `prebooking doctor` shows which",
    NoClaim.NO_TIME: "No run can claim: the function starts too late every time, or its clock is wrong",
}


@dataclass(slots=True)
class Report:
    """The data for the summary of a run, collected during the run.

    Attributes:
        finish_failed: finish_run failed, so unsent rows stay leased.

    """

    instance_id: UUID
    results: dict[UUID, RowResult] = field(default_factory=dict)
    expired: int = 0
    unknown: int = 0
    locked: int = 0
    no_login: int = 0
    timed_out: bool = False
    no_claim: NoClaim | None = None
    finish_failed: bool = False
    failed: bool = False

    @property
    def settled(self) -> int:
        """Return the number of rows whose settlement was answered: settled now, or no longer held by this run."""
        return sum(result.settled is not None for result in self.results.values())

    def note(self, claim: Claim) -> None:
        """Store a claim's counts of rows that were ended or skipped."""
        self.expired, self.unknown = claim.expired, claim.unknown
        self.locked, self.no_login = claim.locked, claim.no_login

    def summary(self, *, now: datetime, execution_time: float) -> Summary:
        """Return the summary; ``execution_time`` in seconds."""
        statuses = Counter(self._status(result) for result in self.results.values())
        statuses["failed"] += self.expired + self.unknown
        return Summary(
            success=not self.failed,
            message=self._message(statuses.total()),
            instance_id=self.instance_id,
            execution_time_ms=round(execution_time * 1000),
            timestamp=now,
            timed_out=self.timed_out or self.no_claim is NoClaim.NO_TIME,
            details={"total": statuses.total(), **{status: statuses[status] for status in STATUSES}},
            lateness_ms=self._lateness(),
            outcomes=self._outcomes(),
            errors=self._errors(),
        )

    def _message(self, total: int) -> str:
        if self.failed and self.no_claim:
            return _NOBODY_CLAIMS[self.no_claim]
        if self.failed:
            return "Part of the run failed: see the log"
        return "; ".join([self._work(total), *self._waiting()])

    def _work(self, total: int) -> str:
        held_up = sum(kind in _HELD_UP for result in self.results.values() if (kind := _kind(result)))
        if not total:
            return self.no_claim or "No prebookings ready"
        done = total - held_up
        work = f"Processed {done} prebooking{'s' * (done != 1)}"
        return f"{work}, {held_up} without progress" if held_up else work

    def _waiting(self) -> list[str]:
        """Return one phrase per reason for which due rows were skipped."""
        sentences = {
            "locked by another transaction": self.locked,
            "without a login that this deployment can decrypt": self.no_login,
        }
        return [f"{n} due row{'s' * (n != 1)} {why}" for why, n in sentences.items() if n]

    def _status(self, result: RowResult) -> str:
        status = status_of(result)
        return "unsure" if status == "released" and self.finish_failed else status

    def _outcomes(self) -> dict[str, int]:
        kinds = Counter(str(kind) for result in self.results.values() if (kind := _kind(result)))
        kinds.update({Kind.EXPIRED.value: self.expired, Kind.UNKNOWN.value: self.unknown})
        return dict(sorted((+kinds).items()))

    def _lateness(self) -> dict[str, int | None]:
        """Return percentiles of the lateness of first calls, in ms after the opening (or the creation, if later)."""
        late = sorted(
            round((result.fired_at - max(result.row.available_at, result.row.created_at)).total_seconds() * 1000)
            for result in self.results.values()
            if isinstance(result, Attempt) and result.fired_at
        )
        return {name: late[-(-len(late) * percent // 100) - 1] if late else None for name, percent in _PERCENTILES}

    def _errors(self) -> list[dict[str, str]]:
        wrong = [
            (result, kind) for result in self.results.values() if (kind := _kind(result)) and kind not in COMPLETED
        ]
        return [{"id": str(result.id), "outcome": kind.value} for result, kind in wrong[:ERRORS_SHOWN]]


def _kind(result: RowResult) -> Kind | None:
    """Return the row's outcome: "unsure" if a clear answer could not be written, as the next run queries again."""
    if result.outcome is None:
        return None
    return Kind.UNSURE if has_unclear_call(result) else result.outcome.kind
