"""Simulates members with channels, changes of their prebookings, and upkeep that sends messages about them."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch
from uuid import UUID

import httpx

from prebooking import channels
from prebooking.channels.settings import NotificationSettings
from prebooking.local import rest
from prebooking.upkeep.run import UpkeepSummary, keep_up
from tests.support.doubles import EPOCH
from tests.support.factories import add_prebooking, add_venue, insert_with_id
from tests.support.notifications import KINDS
from tests.support.world import ENVIRONMENT
from tests.verification.fault_plan import FaultPlan
from tests.verification.instance import Instance
from tests.verification.receivers import ScriptedChannel, SimReceiver
from tests.verification.sim_database import SimDatabase
from tests.verification.sim_world import SimWorld

T = TypeVar("T")

# Ids in the order of their creation, so that a seed is the same scenario every time.
_NUMBERED = """
create sequence testing.ids;
grant usage on schema testing to service_role;
grant usage on sequence testing.ids to service_role;
alter table public.notifications
  alter id set default ('00000000-0000-4000-8000-' || lpad(nextval('testing.ids')::text, 12, '0'))::uuid;
"""
CHANGES = {
    "booked": "status = 'completed', outcome = 'booked', settled_at = public.prebooking_clock()",
    "waitlisted": "status = 'completed', outcome = 'waitlisted', settled_at = public.prebooking_clock()",
    "failed": "status = 'failed', outcome = 'full', settled_at = public.prebooking_clock()",
    "cancelled": "status = 'cancelled', settled_at = public.prebooking_clock()",
    "warned": "warning = 'no_login: log in.'",
    "class_warned": "class_warning = 'class_gone: look.'",
    "given_back": "given_back_at = public.prebooking_clock()",
}
_ABOUT = {"warned": ("warned", "no_login"), "class_warned": ("warned", "class_gone")}
_PLACE = "insert into public.prebooking_places (prebooking_id, place, since, looked_at) values (%s, 'booked', %s, %s)"


@dataclass(frozen=True, slots=True)
class ExpectedMessage:
    """A message that a receiver has to get: which event of which row, on which channel."""

    row: UUID
    event: str
    about: str
    channel: UUID


@dataclass(frozen=True, slots=True)
class LeaseChange:
    """A message was leased by an instance, or its result was stored by it, or was refused."""

    at: float
    id: UUID
    by: str
    what: str  # leased, stored or refused


class OutboxSimulation(SimWorld):
    """Members, channels with their receivers, and instances of upkeep."""

    def __init__(self, sim_database: SimDatabase, rng: random.Random, faults: FaultPlan, *, faults_end: float) -> None:
        super().__init__(sim_database, rng, faults)
        self.faults_end = faults_end
        self.kinds = list(KINDS)
        self.channels: dict[UUID, tuple[str | None, list[str]]] = {}  # the member and the events of each that exists
        self.receivers: dict[UUID, SimReceiver] = {}
        self.expected: dict[ExpectedMessage, float] = {}  # the second of its event
        self.excused = set[ExpectedMessage]()  # its channel was removed, or its member forgotten
        self.leases = list[LeaseChange]()
        self._rows = 0
        self._scripted = {
            kind: ScriptedChannel(partial(self._receiver, kind), faults, rng, faults_end) for kind in self.kinds
        }
        self.connection.execute(_NUMBERED)
        self.venue = add_venue(self.connection, id=self.new_id())

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run a scenario, with scripted channels in the place of the real ones."""
        with (
            patch.object(channels, "kinds_set_up", lambda _: self.kinds),
            patch.object(channels, "open_channel", lambda kind, *_: self._scripted[kind]),
        ):
            return super().run(steps)

    # what happens

    def add_channel(self, member: str | None, kind: str, events: list[str], **receiver: Any) -> UUID:
        """Add a channel with its receiver."""
        number = len(self.receivers)
        address = {"webhook": "", "mail": f"{number}@b.example", "telegram": str(number)}.get(kind, f"t{number}")
        channel = {"id": self.new_id(), "user_email": member, "kind": kind, "address": address, "events": events}
        created = insert_with_id(self.connection, "notification_channels", channel)
        self.channels[created], self.receivers[created] = (member, events), SimReceiver(kind, address, **receiver)
        return created

    def add_row(self, member: str) -> UUID:
        """Add a pending prebooking of a member, with an opening of its own."""
        self._rows += 1
        return add_prebooking(
            self.connection,
            self.venue,
            id=self.new_id(),
            user_email=member,
            available_at=EPOCH + timedelta(minutes=self._rows),
            expires_at=EPOCH + timedelta(days=40),
        )

    def happen(self, member: str, row: UUID, what: str, *, rolled_back: bool = False) -> None:
        """Change a prebooking. If the transaction is rolled back, it has not happened."""
        self.set_database_clock()
        with self.connection.transaction(force_rollback=rolled_back):
            if what == "moved_up":
                self.connection.execute(_PLACE, [row, EPOCH, EPOCH])
            else:
                query = b"update public.prebookings set " + CHANGES[what].encode() + b" where id = %s"
                self.connection.execute(query, [row])
        self.note(f"{what}: {str(row)[:8]} of {member}{', rolled back' if rolled_back else ''}")
        event, about = _ABOUT.get(what, (what, ""))
        for channel, (owner, events) in self.channels.items():
            if owner in (member, None) and event in events and not rolled_back:
                self.expected.setdefault(ExpectedMessage(row, event, about, channel), self.now())

    def remove_channel(self, channel: UUID) -> None:
        """Remove a channel. Its waiting messages are not sent."""
        self.connection.execute("delete from public.notification_channels where id = %s", [channel])
        del self.channels[channel]
        self.excused |= {message for message in self.expected if message.channel == channel}
        self.note(f"{self.receivers[channel].kind} {self.receivers[channel].address} is removed")

    def forget(self, member: str, rows: set[UUID]) -> None:
        """Forget a member."""
        self.set_database_clock()
        self.connection.execute("select public.forget_member_v1(%s)", [member])
        self.channels = {channel: of for channel, of in self.channels.items() if of[0] != member}
        self.excused |= {message for message in self.expected if message.row in rows}
        self.note(f"{member} is forgotten")

    def invoke(self, instance: Instance) -> None:
        """Run upkeep once in an instance."""
        self.note(f"{instance.name}: starts")
        keeping = partial(keep_up, notifications=NotificationSettings.from_environment(ENVIRONMENT))

        def ends(kept: UpkeepSummary) -> None:
            self.note(f"{instance.name}: responds {kept.parts} {kept.failed}")

        self.start(instance, keeping, ends, self.new_id())

    async def drain(self) -> None:
        """Wait until every call and message that is under way has arrived."""
        await super().drain()
        while under_way := [task for one in self._scripted.values() for task in one.under_way]:
            await asyncio.gather(*under_way)

    # the database

    def next_at(self) -> float | None:
        """Return the second at which the next message is due; None if none waits."""
        query = """
            select min(greatest(n.next_at, case when c.kind <> all (%s) then n.due_at + interval '1 day' end))
            from public.notifications n left join public.notification_channels c on c.id = n.channel_id
            where n.status = 'waiting'"""
        [(instant,)] = self.connection.execute(query, [self.kinds]).fetchall()
        return None if instant is None else (instant - EPOCH).total_seconds()

    def execute(self, function: str, body: bytes) -> rest.RestReply:
        reply, arguments = super().execute(function, body), json.loads(body)
        if function == "claim_notifications_v1" and reply.status == httpx.codes.OK:
            for row in json.loads(reply.body):
                self._note_lease(row["id"], arguments["p_instance"], "leased")
        elif function == "settle_notification_v1":
            self._note_lease(
                arguments["p_id"], arguments["p_instance"], "stored" if reply.body == b"true" else "refused"
            )
        return reply

    def _note_lease(self, row: str, by: str, what: str) -> None:
        self.leases.append(LeaseChange(self.now(), UUID(row), by, what))

    def _receiver(self, kind: str, address: str) -> SimReceiver:
        return next(one for one in self.receivers.values() if (one.kind, one.address) == (kind, address))

    def _dead(self) -> int:
        query = "select count(*) from public.notifications where status = 'dead'"
        [(dead,)] = self.connection.execute(query).fetchall()
        return int(dead)

    @property
    def counts(self) -> Counter[str]:
        """Return what is counted for the table."""
        return Counter(
            seeds=1,
            expected=len(self.expected),
            dead=self._dead(),
            attempts=sum(one.attempts for one in self.receivers.values()),
            twice=sum(len(one.taken) - len({each.id for each in one.taken}) for one in self.receivers.values()),
            upkeeps=len(self.instances),
            killed=sum(one.killed for one in self.instances),
        )
