"""The prebookings in the database. Each method calls one database function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from prebooking.clock import Clock, DatabaseTime, Deadline, Reading
from prebooking.database.client import LOCK_WAIT, IsolatedSupabase, read_bool
from prebooking.errors import StoreBusy
from prebooking.model import COMPLETED, Outcome, Prebooking, RowNote, RowResult

Cancellation = Literal["cancelled", "being_booked", "settled", "not_found"]

BLOCKED_PAUSE = 300.0  # seconds without calls to a venue that blocks us
UNREACHABLE_PAUSE = 60.0  # seconds without calls to a venue that cannot be reached

_BUSY_PAUSE = 0.1  # seconds before a claim that did not get the lock is repeated
_LOCKED_PAUSE = 0.1  # seconds before finish_run is repeated because another transaction has locked some rows ...
_LOCKED_TRIES = 5  # ... and the number of tries


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim: the rows that this invocation holds, and the database's time."""

    rows: tuple[Prebooking, ...]
    unreadable: tuple[UUID, ...]  # also held and never sent, but Python cannot parse them
    held: int  # all rows held, including unreadable rows in doubt, which only end when they expire
    expired: int  # unsent rows that this invocation's claims have ended because the class has begun
    unknown: int  # rows in doubt that they have ended for the same reason
    locked: int  # due rows that were skipped because another transaction has locked them
    no_login: int  # due rows that were skipped because this deployment cannot decrypt their member's login
    time: DatabaseTime
    tries: int

    @property
    def needs_finish(self) -> bool:
        """Return whether finish_run is needed. A try without an answer counts, because it may still be executed."""
        return bool(self.held or self.expired or self.unknown) or self.tries > 1


class Finished(BaseModel):
    """The number of rows that finish_run released, and that it skipped because they are locked elsewhere."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    released: int
    locked: int


class LastClaim(BaseModel):
    """The database's time, and the time of the last claim of any run (None if there was none)."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    now: AwareDatetime
    last_claim_at: AwareDatetime | None


class _ClaimAnswer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    now: AwareDatetime
    expired: int
    unknown: int
    locked: int
    no_login: int
    rows: list[dict[str, Any]]


_count = TypeAdapter(int).validate_python
_settled = TypeAdapter(list[bool | None]).validate_python
_cancellation = TypeAdapter[Cancellation](Cancellation).validate_python


class PrebookingStore:
    """The prebookings, for one invocation. Every method can raise a StoreError."""

    def __init__(self, database: IsolatedSupabase, *, instance_id: UUID, clock: Clock, by_hand: bool = False) -> None:
        self.instance_id = instance_id
        self._database, self._clock, self._by_hand = database, clock, by_hand

    async def claim_due(
        self,
        *,
        providers: Iterable[str],
        limit: int,
        fire_within: Deadline,
        stagger: float,
        lead: float,
        lease: float,
        turn: float,
        keys: Iterable[str] | None = None,
    ) -> Claim:
        """Lease the oldest due rows that can be called before ``fire_within``. Durations are in seconds.

        ``keys``: ids of this deployment's keys; rows whose login needs another key are skipped. None: no check.

        A repeated claim returns the rows still held, and new ones. While another invocation holds the lock, the
        claim is repeated. StoreBusy is raised when there is no time left for that.
        """
        fixed = {"p_providers": list(providers), "p_limit": limit, "p_stagger_ms": _ms(stagger)}
        fixed |= {"p_lead_ms": _ms(lead), "p_lease_ms": _ms(lease), "p_turn_ms": _ms(turn), "p_by_hand": self._by_hand}
        fixed |= {"p_keys": None if keys is None else list(keys)}
        tries = 0
        while True:
            asked = Reading.of(self._clock)
            try:
                params = self._with_instance(fixed | {"p_fire_within_ms": _ms(fire_within.remaining())})
                answer = await self._database.call(
                    "claim_due_prebookings_v1", params, _ClaimAnswer.model_validate, until=fire_within
                )
            except StoreBusy:
                if fire_within.remaining() <= _BUSY_PAUSE + LOCK_WAIT:
                    raise
                tries += 1
                await self._clock.sleep(_BUSY_PAUSE)
            else:
                time = DatabaseTime(self._clock, answer.value.now, asked, Reading.of(self._clock))
                return _claim(answer.value, time, tries + answer.tries)

    async def settle(self, result: RowResult, outcome: Outcome, *, until: Deadline) -> bool:
        """Write a final outcome if this run still holds the row. Return False, and change nothing, if it does not."""
        function = "complete_prebooking_v1" if outcome.kind in COMPLETED else "fail_prebooking_v1"
        params = self._with_instance({f"p_{name}": value for name, value in _settlement(result, outcome).items()})
        return (await self._database.call(function, params, read_bool, until=until)).value

    async def settle_many(self, results: Sequence[tuple[RowResult, Outcome]], *, until: Deadline) -> list[bool | None]:
        """Write the final outcomes of several rows in one call.

        Return for each row what ``settle`` would, or None if it was not written and has to be settled alone.
        """

        def read(answer: Any) -> list[bool | None]:
            settled = _settled(answer)
            if len(settled) != len(results):
                raise ValueError("one answer per row is expected")
            return settled

        params = self._with_instance({"p_results": [_settlement(result, outcome) for result, outcome in results]})
        return (await self._database.call("settle_prebookings_v1", params, read, until=until)).value

    async def release(
        self, row_ids: Sequence[UUID], *, blocked_venue: UUID, until: Deadline, pause: float = BLOCKED_PAUSE
    ) -> int:
        """Release unsent rows and pause their venue for ``pause`` seconds. Return the number of released rows."""
        params = {"p_ids": [str(row_id) for row_id in row_ids], "p_blocked_venue": str(blocked_venue)}
        params = self._with_instance(params | {"p_pause_seconds": round(pause)})
        return (await self._database.call("release_prebookings_v1", params, _count, until=until)).value

    async def finish_run(self, sent: Iterable[RowNote], summary: Mapping[str, Any], *, until: Deadline) -> Finished:
        """End the run: store the verdicts in ``sent``, and release every held row that cannot be at the venue.

        If another transaction has locked rows, repeat this a few times while there is time.
        """
        params = self._with_instance({"p_sent": [_sent(row) for row in sent], "p_summary": dict(summary)})
        for _ in range(_LOCKED_TRIES):
            answer = await self._database.call("finish_run_v1", params, Finished.model_validate, until=until)
            if not answer.value.locked or until.remaining() <= 2 * _LOCKED_PAUSE:
                break
            await self._clock.sleep(_LOCKED_PAUSE)
        return answer.value

    async def last_claim(self, *, until: Deadline) -> LastClaim:
        """Return the time of the last claim. It needs no lock, so it answers while claims are blocked."""
        return (await self._database.call("claims_since_v1", {}, LastClaim.model_validate, until=until)).value

    async def cancel(self, row_id: UUID, user_email: str, *, until: Deadline) -> Cancellation:
        """Cancel a member's prebooking, unless its request may already be at the venue."""
        params = {"p_id": str(row_id), "p_user_email": user_email}
        return (await self._database.call("cancel_prebooking_v1", params, _cancellation, until=until)).value

    def _with_instance(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"p_instance": str(self.instance_id), **params}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _settlement(result: RowResult, outcome: Outcome) -> dict[str, Any]:
    detail = {"booking_id": outcome.booking_id} if outcome.kind in COMPLETED else {"error_message": outcome.sentence}
    return {
        "id": str(result.id),
        "outcome": outcome.kind.value,
        "attempts": result.calls,
        "fired_at": _instant(result.fired_at),
        "answered_at": _instant(result.answered_at),
        **detail,
    }


def _sent(row: RowNote) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "attempts": row.attempts,
        "fired_at": _instant(row.fired_at),
        "verdict": row.verdict.value,
        "unclear": row.unclear,
        "if_not_booked": row.if_not_booked.value if row.if_not_booked else None,
    }


def _claim(answer: _ClaimAnswer, time: DatabaseTime, tries: int) -> Claim:
    rows, unreadable = [], []
    for raw in answer.rows:
        try:
            rows.append(Prebooking.model_validate(raw))
        except ValidationError:
            if not raw["maybe_sent"]:
                unreadable.append(UUID(raw["id"]))
    return Claim(
        rows=tuple(rows),
        unreadable=tuple(unreadable),
        held=len(answer.rows),
        expired=answer.expired,
        unknown=answer.unknown,
        locked=answer.locked,
        no_login=answer.no_login,
        time=time,
        tries=tries,
    )
