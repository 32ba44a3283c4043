"""What members and their app do to prebookings from outside: they cancel, book by hand and edit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from prebooking.local.venue import Arrival, State
from tests.doubles import EPOCH
from tests.proof.universe import Universe

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


def cancel(world: Universe, row: UUID, *, directly: bool = False) -> None:
    """Let a member cancel, through the function or by writing to the table."""
    world.set_database_clock()
    query, arguments = (_CANCEL, [row]) if directly else (_ASK_TO_CANCEL, [row, world.wishes[row].member])
    try:
        with world.connection.transaction():
            (answer,) = world.connection.execute(query, arguments).fetchone() or ("settled",)
    except psycopg.Error as exc:  # a trigger has refused it
        answer = exc.sqlstate
    world.say(f"{str(row)[:8]} is to be cancelled: {answer}")
    if answer == "cancelled":
        world.cancelled.setdefault(row, world.now())


def book_by_hand(world: Universe, row: UUID) -> None:
    """Let a member book in the venue's own app, if there is a place."""
    wish = world.wishes[row]
    if world.twin.place(wish.class_id) is State.BOOKED:
        about = (wish.member, wish.class_id, world.system.address(wish.venue))
        verdict = world.twin.book(Arrival(world.twin.now(), "POST", "", *about))
        world.say(f"{str(row)[:8]} is booked by hand: {verdict.state}")
        world.booked_by_hand |= {(wish.member, wish.class_id)} if verdict.booking_id else set()


def move_opening(world: Universe, row: UUID, seconds: float) -> None:
    """Let somebody write a later opening into a row that was not called yet, if the database takes it."""
    world.set_database_clock()
    try:
        with world.connection.transaction():
            moved = world.connection.execute(_MOVE, [timedelta(seconds=seconds), row]).fetchone()
    except psycopg.Error as exc:
        world.say(f"{str(row)[:8]} does not get another opening: {exc.sqlstate}")
        return
    if moved:
        world.keep_wish(replace(world.wishes[row], available_at=moved[0], made=world.now()))
        world.moved.add(row)
        world.say(f"{str(row)[:8]} opens {seconds:.0f} s later")


def edit(world: Universe, row: UUID, *, new_class: bool, new_member: bool) -> None:
    """Let an app write another class or another member into a pending row, if the database takes it."""
    old = world.wishes[row]
    if (old.member, old.class_id) in world.booked_by_hand:  # at some venues its place stands in the new one's way
        return
    world.set_database_clock()
    data: dict[str, Any] = {"class_id": old.class_id}
    if new_class:
        data = world.offer(old.venue, at=(old.available_at - EPOCH).total_seconds())
    new = replace(old, class_id=data["class_id"], made=world.now())
    if new_member:
        new = replace(new, member=f"{next(world.numbers)}-{row}@example.com", logged_in=world.now())
        world.system.join(world.connection, new.venue, new.member, old=timedelta(0))
    try:
        with world.connection.transaction():
            taken = world.connection.execute(_EDIT, [new.member, Jsonb(data), row]).fetchone()
    except psycopg.Error as exc:
        world.edits[False] += exc.sqlstate == "PT409"
        world.say(f"{str(row)[:8]} does not become another prebooking: {exc.sqlstate}")
        return
    if taken:
        world.keep_wish(new)
        world.edits[True] += 1
        world.say(f"{str(row)[:8]} is {new.class_id} for {new.member} from now on")
