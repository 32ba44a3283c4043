"""Changes of prebookings that do not come from the function: members and their app cancel, book and edit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from prebooking.local.venue.twin import Arrival, State
from tests.support.doubles import EPOCH
from tests.verification.simulation import Simulation

_GIVE_BACK = "select public.give_back_v1(%s, %s)"
_ASK_TO_CANCEL = "select public.cancel_prebooking_v1(%s, %s)"
_CANCEL = """
update public.prebookings set status = 'cancelled', settled_at = public.prebooking_clock()
where id = %s and status = 'pending' returning status
"""
_MOVE = """
update public.prebookings set available_at = available_at + %s
where id = %s and status = 'pending' and attempts = 0 returning available_at
"""
_EDIT = """
update public.prebookings set user_email = %s, booking_data = booking_data || %s
where id = %s and status = 'pending' returning id
"""


def give_back(sim: Simulation, row: UUID) -> None:
    """Give a row's place back at the venue, and record that, as the command does."""
    sim.set_database_clock()
    prebooking = sim.prebookings[row]
    address = sim.system.address(prebooking.venue)
    for act in sim.twin.ledger.bookings_of_member(prebooking.member, prebooking.class_id, venue=address):
        sim.twin.cancel(act.booking_id, act.member)
    answer = sim.connection.execute(_GIVE_BACK, [row, prebooking.member]).fetchone()
    sim.note(f"{str(row)[:8]} give back: {answer}")


def remove_give_back(sim: Simulation, row: UUID) -> None:
    """Remove the record that a place was given back, if the database accepts it."""
    try:
        with sim.connection.transaction():
            sim.connection.execute("update public.prebookings set given_back_at = null where id = %s", [row])
    except psycopg.Error as exc:
        sim.note(f"{str(row)[:8]} its give-back stays recorded: {exc.sqlstate}")


def cancel(sim: Simulation, row: UUID, *, directly: bool = False) -> None:
    """Cancel a prebooking with the database function, or by writing to the table."""
    sim.set_database_clock()
    query, arguments = (_CANCEL, [row]) if directly else (_ASK_TO_CANCEL, [row, sim.prebookings[row].member])
    try:
        with sim.connection.transaction():
            (answer,) = sim.connection.execute(query, arguments).fetchone() or ("settled",)
    except psycopg.Error as exc:  # refused by a trigger
        answer = exc.sqlstate
    sim.note(f"{str(row)[:8]} cancel: {answer}")
    if answer == "cancelled":
        sim.cancelled.setdefault(row, sim.now())


def book_by_hand(sim: Simulation, row: UUID) -> None:
    """Book the member of a row directly at the venue, if there is a place."""
    prebooking = sim.prebookings[row]
    if sim.twin.next_place(prebooking.class_id) is State.BOOKED:
        about = (prebooking.member, prebooking.class_id, sim.system.address(prebooking.venue))
        verdict = sim.twin.book(Arrival(sim.twin.now(), "POST", "", *about))
        sim.note(f"{str(row)[:8]} is booked by hand: {verdict.state}")
        sim.booked_by_hand |= {(prebooking.member, prebooking.class_id)} if verdict.booking_id else set()


def move_opening(sim: Simulation, row: UUID, seconds: float) -> None:
    """Write a later opening into a row that was not called yet, if the database accepts it."""
    sim.set_database_clock()
    try:
        with sim.connection.transaction():
            moved = sim.connection.execute(_MOVE, [timedelta(seconds=seconds), row]).fetchone()
    except psycopg.Error as exc:
        sim.note(f"{str(row)[:8]} other opening refused: {exc.sqlstate}")
        return
    if moved:
        sim.record_version(replace(sim.prebookings[row], available_at=moved[0], made=sim.now()))
        sim.moved.add(row)
        sim.note(f"{str(row)[:8]} opens {seconds:.0f} s later")


def edit(sim: Simulation, row: UUID, *, new_class: bool, new_member: bool) -> None:
    """Write another class or another member into a pending row, if the database accepts it."""
    old = sim.prebookings[row]
    if (old.member, old.class_id) in sim.booked_by_hand:  # at some venues its place prevents the new booking
        return
    sim.set_database_clock()
    data: dict[str, Any] = {"class_id": old.class_id}
    if new_class:
        data = sim.offer(old.venue, at=(old.available_at - EPOCH).total_seconds())
    new = replace(old, class_id=data["class_id"], made=sim.now())
    if new_member:
        new = replace(new, member=f"{next(sim.numbers)}-{row}@example.com", logged_in=sim.now())
        sim.system.join(sim.connection, new.venue, new.member, old=timedelta(0))
    try:
        with sim.connection.transaction():
            taken = sim.connection.execute(_EDIT, [new.member, Jsonb(data), row]).fetchone()
    except psycopg.Error as exc:
        sim.edits[False] += exc.sqlstate == "PT409"
        sim.note(f"{str(row)[:8]} edit refused: {exc.sqlstate}")
        return
    if taken:
        sim.record_version(new)
        sim.edits[True] += 1
        sim.note(f"{str(row)[:8]} is {new.class_id} for {new.member} now")
