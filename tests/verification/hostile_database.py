"""Checks all error codes and invalid responses of a database, to the claim and to the settling of a row."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from random import Random
from typing import Any
from uuid import uuid4

from anyio.from_thread import start_blocking_portal

from prebooking.local.function import Function
from tests.support import peers
from tests.support.peers import Peer, Script, answers
from tests.support.world import ENVIRONMENT
from tests.verification import exceptions
from tests.verification.canaries import MARK, Canaries
from tests.verification.harness import GUARD, ports
from tests.verification.hostile_replies import MEBIBYTE, UNSURE, ok, says
from tests.verification.part import Part, Result, Share
from tests.verification.watch import Memory, Watch, watching

# Bytes: a response of up to 16 MiB is bytes, text and objects at once, and others are read besides.
MEMORY = 128 * MEBIBYTE
IN_TIME = GUARD + 5.0  # seconds: the guard, a second for the last writes, and four because the machine is busy
_AT_ONCE = 6  # triggers
_ROUNDS = 4
_CLAIM, _COMPLETE, _FINISH = "claim_due_prebookings_v1", "complete_prebooking_v1", "finish_run_v1"
_CLAIMS_SINCE = "claims_since_v1"
_BOOKED = ok(b'{"state": "booked"}', status="201 Created")


class Handling(Enum):
    """How the function handles an error."""

    FINAL = auto()  # called once, because a retry cannot change it
    AGAIN = auto()  # retried while there is time
    BUSY = auto()  # another invocation is claiming: no failure, and no time for a retry with this guard


# Codes of PostgREST and SQLSTATEs, with their HTTP status.
CODES: dict[str, tuple[int, Handling]] = {
    "42501": (403, Handling.FINAL),  # no right: a key of the wrong role
    "42703": (400, Handling.FINAL),  # no such column
    "22P02": (400, Handling.FINAL),  # no uuid
    "23514": (400, Handling.FINAL),  # a check; PostgREST shows the whole row
    "25006": (405, Handling.FINAL),  # read-only
    "PT409": (409, Handling.FINAL),  # raised on purpose: a terminal row
    "PGRST202": (404, Handling.FINAL),  # no such function: not migrated
    "PGRST205": (404, Handling.FINAL),  # no such table
    "PGRST301": (401, Handling.FINAL),  # a bad token
    "PGRST303": (401, Handling.FINAL),  # an expired one
    "57014": (500, Handling.AGAIN),  # out of time
    "40001": (500, Handling.AGAIN),  # a conflict
    "53300": (503, Handling.AGAIN),  # out of connections
    "57P01": (503, Handling.AGAIN),  # shutting down
    "PGRST001": (503, Handling.AGAIN),  # PostgREST has lost the database
    "PGRST003": (504, Handling.AGAIN),  # PostgREST has no connection free
    "55P03": (500, Handling.BUSY),  # the lock is taken
}


def refusal(code: str) -> Script:
    """Return the script of an error of PostgREST with a member's data in every text."""
    status, _ = CODES[code]
    leak = f"Failing row contains ({MARK}@example.com, {ENVIRONMENT['BOOKING_WEBHOOK_SECRET']})."
    body = json.dumps({"code": code, "message": leak, "details": leak, "hint": leak}).encode()
    return says(
        ok(body, "Content-Type: application/json", f"Proxy-Status: PostgREST; error={code}", status=f"{status} X")
    )


@dataclass(slots=True)
class HostileCase:
    """One hostile response to one invocation, either to its claim or to the settling of its row."""

    name: str
    claim: Script | None = None
    settle: Script | None = None
    code: str | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)  # functions and their arguments

    def reply(self, function: str, arguments: Any) -> Script:
        """Return the response to a call."""
        self.calls.append((function, arguments))
        if function == _CLAIM:
            first = self.count(_CLAIM) == 1
            return self.claim or says(ok(json.dumps(_claim(rows=first)).encode(), "Content-Type: application/json"))
        if function == _COMPLETE and self.settle:
            return self.settle
        if function == _CLAIMS_SINCE:
            now = datetime.now(UTC).isoformat()
            recent = json.dumps({"now": now, "last_claim_at": now}).encode()
            return says(ok(recent, "Content-Type: application/json"))
        finished = json.dumps({"released": 0, "locked": 0}).encode()
        return says(ok(finished if function == _FINISH else b"true", "Content-Type: application/json"))

    @property
    def was_reached(self) -> bool:
        """Return whether the hostile call was made: endless responses to others may have left no time for it."""
        return self.count(_COMPLETE if self.settle else _CLAIM) > 0

    def fresh(self) -> HostileCase:
        """Return the same case without calls."""
        return replace(self, calls=[])

    def count(self, function: str) -> int:
        return sum(name == function for name, _ in self.calls)


def _claim(*, rows: bool) -> dict[str, Any]:
    """Return the response of the real function to a claim, with one row or none."""
    now = datetime.now(UTC)
    venue = {"id": str(uuid4()), "name": "Box", "provider": "webhook", "host": None, "provider_box_id": None}
    row = {
        "id": str(uuid4()),
        "user_email": f"{MARK}@example.com",
        "booking_data": "{}",
        "available_at": (now - timedelta(seconds=1)).isoformat(),
        "expires_at": (now + timedelta(hours=1)).isoformat(),
        "created_at": now.isoformat(),
        "maybe_sent": False,
        "venue": venue | {"timezone": "Europe/Madrid", "idempotent": False, "opening_rule": None},
        "session": None,
    }
    return {
        "now": now.isoformat(),
        "expired": 0,
        "unknown": 0,
        "locked": 0,
        "no_login": 0,
        "rows": [row] if rows else [],
    }


CASES = [
    *[HostileCase(f"{code} to the claim", claim=refusal(code), code=code) for code in CODES],
    *[HostileCase(f"{code} to the settling", settle=refusal(code), code=code) for code in CODES],
    *[HostileCase(f"{name}, to the claim", claim=script) for name, script in UNSURE.items()],
    *[HostileCase(f"{name}, to the settling", settle=script) for name, script in UNSURE.items() if name != "a number"],
]


@dataclass(slots=True)
class HostileDatabase:
    """Assigns the next case to each new invocation."""

    waiting: deque[HostileCase] = field(default_factory=deque)
    by_instance: dict[str, HostileCase] = field(default_factory=dict)

    def case(self, instance: str) -> HostileCase:
        if instance not in self.by_instance:
            self.by_instance[instance] = self.waiting.popleft()
        return self.by_instance[instance]


@asynccontextmanager
async def served(hostile: HostileDatabase) -> AsyncIterator[str]:
    """Serve its responses on this machine until the end of the block."""

    async def script(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            head, _, body = peers.requests(bytes(peer.received))[number - 1].partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            instance = next(line.split(": ")[1] for line in lines if line.lower().startswith("x-instance-id"))
            await hostile.case(instance).reply(lines[0].split(" ")[1].rpartition("/")[2], json.loads(body))(peer)

    async with peers.serve(script) as server:
        yield server.url


def _handled(case: HostileCase, status: int, log: list[dict[str, Any]]) -> Iterator[str]:
    """Return how an error was handled wrongly."""
    handling = CODES[case.code][1] if case.code else Handling.AGAIN
    busy = handling is Handling.BUSY and case.claim is not None
    if status != (200 if busy else 500):
        yield f"{case.name}: HTTP {status}"
    if case.code and not busy and case.code not in {line.get("code") for line in log}:
        yield f"{case.name}: the code is not in the log"
    tries = case.count(_CLAIM if case.claim else _COMPLETE)
    if case.code and case.claim and (handling is Handling.AGAIN) != (tries > 1):
        yield f"{case.name}: called {tries} times"
    notes = [given["p_sent"] for name, given in case.calls if name == _FINISH and case.settle]
    if any([note["verdict"] for note in sent] != ["unsure"] for sent in notes):
        yield f"{case.name}: a row that was sent is released"


def _run_cases(function: Function, watch: Watch, hostile: HostileDatabase, cases: list[HostileCase]) -> Iterator[str]:
    """Invoke the function once per case, several at a time; return what is wrong."""

    def trigger(_: HostileCase) -> tuple[str, int, float]:
        started = time.monotonic()
        answer = function.trigger()
        watch.log.append(f"response: {answer.text}")
        return answer.json()["instance_id"], answer.status_code, time.monotonic() - started

    hostile.waiting.extend(cases)
    with ThreadPoolExecutor(_AT_ONCE) as callers:
        responses = list(callers.map(trigger, cases))
    lines = [json.loads(line) for line in watch.log if line.startswith("{")]
    for instance, status, took in responses:
        case = hostile.by_instance[instance]
        if case.was_reached:
            yield from _handled(case, status, [line for line in lines if line.get("instance_id") == instance])
        if took > IN_TIME:
            yield f"{case.name}: response after {took:.1f} s"


def _run_all_cases(
    function: Function, watch: Watch, hostile: HostileDatabase, cases: list[HostileCase]
) -> Iterator[str]:
    """Run all cases, and again those that were not reached because of endless responses to others."""
    for _ in range(_ROUNDS):
        yield from _run_cases(function, watch, hostile, cases)
        cases = [case.fresh() for case in cases if not case.was_reached]
    yield from (f"{case.name}: was never reached" for case in cases)


def hostilities(cases: Iterable[HostileCase]) -> Iterator[Result]:
    """Run the cases against one watched process."""
    cases, hostile, canaries = [case.fresh() for case in cases], HostileDatabase(), Canaries(ENVIRONMENT)
    Random(6).shuffle(cases)  # noqa: S311 - spreads the endless responses
    cases.sort(key=lambda case: case.code is None)  # endless responses would disturb the count of tries
    with watching() as watch, start_blocking_portal() as portal:
        database = portal.wrap_async_context_manager(served(hostile))
        venue = portal.wrap_async_context_manager(peers.serve(answers(_BOOKED)))
        with database as url, venue as server:
            urls = {"SUPABASE_URL": url, "BOOKING_WEBHOOK_URL": server.url}
            guard = {"EXECUTION_TIMEOUT_SECONDS": f"{GUARD}", "LEASE_SECONDS": f"{GUARD + 20}"}
            with watch.function(ENVIRONMENT | urls | guard) as function:
                memory = Memory(function.ready().process.pid) if Memory.can_be_measured() else None
                found = list(_run_all_cases(function, watch, hostile, cases))
                grown = memory.grown() if memory else 0
            found += [f"memory grew by {grown / MEBIBYTE:.0f} MiB"] if grown > MEMORY else []
        others = {address for address in watch.connections() if address[1] not in set(ports(urls.values()))}
        found += [f"the function has connected to {host}:{port}" for host, port in others]
        canaries.search("the log and the responses", watch.log)
    shown = exceptions.of_database(case.claim for case in cases if case.claim)
    canaries.search("the database client's exceptions", shown)
    codes = sum(case.code is not None for case in cases)
    yield Result(f"hostile responses of a database, {codes} of them error codes{Memory.note()}", len(cases), found)
    yield canaries.result()


def _run(share: Share) -> Iterator[Result]:
    yield from hostilities(CASES[:: 6 if share.size.sample else 1])


PART = Part("a hostile database", _run)
