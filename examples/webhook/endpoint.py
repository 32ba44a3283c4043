"""A booking endpoint for prebooking-scheduler, complete in one file: FastAPI, with SQLite as the ledger of bookings.

Copy it, and change the table of classes and ``DECIDE`` to the rules of your gym. The contract is in docs/webhook.md.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

SECRET, LEDGER = os.environ["BOOKING_WEBHOOK_SECRET"], os.environ.get("LEDGER", "ledger.db")
SCHEMA = """
create table if not exists classes (id text primary key, opens_at text, places integer, waiting_places integer);
create table if not exists bookings (number integer primary key, prebooking_id text not null unique,
    member text not null, class_id text not null references classes, state text not null);
create unique index if not exists one_place_per_member on bookings (member, class_id) where state <> 'given_back';
insert or ignore into classes values  -- opens_at is in UTC; a class without it is cancelled
    ('4711', '2026-01-01T08:00', 20, 0), ('full', '2026-01-01T08:00', 0, 0), ('waiting', '2026-01-01T08:00', 0, 20),
    ('early', '2099-01-01T08:00', 20, 0), ('cancelled', null, 20, 0), ('last', '2026-01-01T08:00', 1, 0);
"""
DECIDE = """
select case when opens_at is null then 'class_gone' when opens_at > :now then 'too_early'
    when exists (select from_class.number from bookings from_class where from_class.member = :member
        and from_class.class_id = classes.id and from_class.state <> 'given_back') then 'limit_reached'
    when (select count(*) from bookings b where b.class_id = classes.id and b.state = 'booked') < places then 'booked'
    when (select count(*) from bookings w where w.class_id = classes.id and w.state = 'waitlisted') < waiting_places
        then 'waitlisted' else 'full' end
from classes where id = :class_id
"""
FIND = """
select state, number as booking_id, class_id, (select count(*) from bookings before
    where before.class_id = mine.class_id and before.state = 'waitlisted' and before.number <= mine.number) as position
from bookings mine where prebooking_id = ?
"""
BOOK = "insert into bookings (prebooking_id, member, class_id, state) values (:id, :member, :class_id, :state)"
GIVE_BACK = "update bookings set state = 'given_back' where prebooking_id = ?"
PROMOTE = """update bookings set state = 'booked' where number =
    (select min(number) from bookings where class_id = ? and state = 'waitlisted')"""
STATUS = {"booked": 200, "waitlisted": 200, "too_early": 425, "given_back": 410}  # all others: 422, refused


class Call(BaseModel):
    """What is read of a call. Other fields are ignored, because later versions may send more."""

    user_email: str
    booking_data: dict[str, Any]


def check_bearer(authorization: Annotated[str, Header()] = "") -> None:
    """Refuse a call without the secret."""
    if not hmac.compare_digest(authorization.encode(), f"Bearer {SECRET}".encode()):
        raise HTTPException(401)


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Open the ledger for one transaction, while all others wait. It is stored as a whole at the end, or not at all."""
    with closing(sqlite3.connect(LEDGER, timeout=5, isolation_level=None)) as ledger:
        ledger.row_factory = sqlite3.Row
        ledger.execute("begin immediate")
        with ledger:
            yield ledger


def find(ledger: sqlite3.Connection, prebooking_id: UUID) -> dict[str, Any]:
    """Return the booking of a prebooking. A cancelled one stays, so that a delayed call cannot book it again."""
    return dict(ledger.execute(FIND, [str(prebooking_id)]).fetchone() or {"state": "not_booked"})


with closing(sqlite3.connect(LEDGER)) as new:
    new.executescript(SCHEMA)
app = FastAPI(openapi_url=None, dependencies=[Depends(check_bearer)])


@app.post("/book")
def book(call: Call, idempotency_key: Annotated[UUID, Header()]) -> JSONResponse:
    """Book once per Idempotency-Key. A repeated call gets the answer of the first one, from the ledger."""
    wanted = {"id": str(idempotency_key), "member": call.user_email, "class_id": str(call.booking_data.get("class_id"))}
    with transaction() as ledger:
        found = find(ledger, idempotency_key)
        if found["state"] == "not_booked":
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
            [state] = ledger.execute(DECIDE, wanted | {"now": now}).fetchone() or ["class_gone"]
            found = {"state": state}
            if STATUS.get(state) == 200:  # noqa: PLR2004 - an HTTP status
                ledger.execute(BOOK, wanted | found)
                found = find(ledger, idempotency_key)
    return JSONResponse(found, STATUS.get(found["state"], 422))


@app.get("/book")
def answer(prebooking_id: UUID) -> dict[str, Any]:
    """Answer the question, from the ledger: also after a kill between the commit and the answer to the call."""
    with transaction() as ledger:
        found = find(ledger, prebooking_id)
    return {"state": "not_booked"} if found["state"] == "given_back" else found


@app.delete("/book")
def give_back(prebooking_id: UUID) -> dict[str, str]:
    """Give a place back to the first member of the waiting list. A repeated call changes nothing."""
    with transaction() as ledger:
        found = find(ledger, prebooking_id)
        ledger.execute(GIVE_BACK, [str(prebooking_id)])
        if found["state"] == "booked":
            ledger.execute(PROMOTE, [found["class_id"]])
    return {"state": "not_booked" if found["state"] == "not_booked" else "given_back"}
