"""I12: compares the receivers' ledgers with the events that happened and with the database's answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from tests.verification.outbox import ExpectedMessage, LeaseChange, OutboxSimulation
from tests.verification.receivers import MADE_UP

_LEASE = 60.0  # seconds
_ROUND = 130.0  # seconds in which a message is sent: two calls of upkeep, and the time of the second one
_ROWS = "select prebooking_id, event, about, channel_id, id, status, attempts, unsure from public.notifications"


class OutboxTrace:
    """What a scenario has left."""

    def __init__(self, sim: OutboxSimulation, *, quiet_from: float) -> None:
        self.sim, self.quiet_from = sim, quiet_from
        self.rows: dict[ExpectedMessage, tuple[UUID, str, int, bool]] = {}
        for row, event, about, channel, *rest in sim.connection.execute(_ROWS).fetchall():
            values: Any = tuple(rest)
            self.rows[ExpectedMessage(row, event, about, channel)] = values
        self.ids = {values[0]: message for message, values in self.rows.items()}


def sent_once(trace: OutboxTrace) -> Iterator[str]:
    """A receiver that compares ids has at most one message per event; Telegram gets an id twice, with a note."""
    for channel, receiver in trace.sim.receivers.items():
        ids = {delivery.id for delivery in receiver.taken}
        of_event = Counter(trace.ids[one] for one in ids if one in trace.ids)
        yield from (f"{message} was sent with {n} ids" for message, n in of_event.items() if n > 1)
        if not receiver.compares_ids:
            for one, n in Counter(delivery.id for delivery in receiver.taken).items():
                again = [delivery.unsure for delivery in receiver.taken if delivery.id == one]
                if n > 2 or again.count(False) > 1:
                    yield f"{channel}: {one} was sent {n} times, with notes: {again}"


def none_is_lost(trace: OutboxTrace) -> Iterator[str]:
    """Every message was sent, or is shown as dead because its receiver took nothing for a day."""
    for message in set(trace.sim.expected) - trace.sim.excused:
        receiver = trace.sim.receivers[message.channel]
        row, status, attempts, unsure = trace.rows.get(message, (None, "missing", 0, False))
        if status == "dead":
            is_fair = receiver.is_lost or receiver.kind not in trace.sim.kinds
        elif status == "sent":
            twice_unsure = not receiver.compares_ids and unsure and attempts > 1
            is_fair = twice_unsure or any(delivery.id == row for delivery in receiver.taken)
        else:
            is_fair = False
        if not is_fair:
            outage = f"{receiver.down} {receiver.when_down}"
            yield f"{message} is {status} after {attempts} attempts, and its receiver: {outage}"


def only_what_happened(trace: OutboxTrace) -> Iterator[str]:
    """No receiver gets another message, nor one about another member."""
    yield from (f"{message} is stored" for message in trace.rows if message not in trace.sim.expected)
    for channel, receiver in trace.sim.receivers.items():
        for delivery in receiver.taken:
            message = trace.ids.get(delivery.id)
            if message and message.channel != channel:
                yield f"{channel} has the message of {message.channel}"


def _by_message(trace: OutboxTrace) -> dict[UUID, list[LeaseChange]]:
    changes = defaultdict[UUID, list[LeaseChange]](list)
    for change in trace.sim.leases:
        changes[change.id].append(change)
    return changes


def one_upkeep_per_message(trace: OutboxTrace) -> Iterator[str]:
    """A message is leased by another upkeep only after a result, or a minute after the last lease."""
    for message, changes in _by_message(trace).items():
        holder: LeaseChange | None = None
        for change in changes:
            if change.what == "stored":
                holder = None
            elif change.what == "leased":
                if holder and holder.by != change.by and change.at < holder.at + _LEASE:
                    yield f"{message} is leased at {change.at:.3f}, and another upkeep has leased it at {holder.at:.3f}"
                holder = holder if holder and holder.by == change.by else change


def results_are_stored(trace: OutboxTrace) -> Iterator[str]:
    """A result within the lease is stored, and the result of an upkeep that lost the message is refused."""
    for message, changes in _by_message(trace).items():
        holder: LeaseChange | None = None
        for change in changes:
            if change.what == "leased":
                holder = holder if holder and holder.by == change.by else change
            elif not holder or message not in trace.ids:
                continue
            elif change.by == holder.by and change.what == "refused" and change.at < holder.at + _LEASE:
                yield f"the result of {message} at {change.at:.3f} is refused, leased at {holder.at:.3f}"
            elif change.by != holder.by and change.what == "stored":
                yield f"a result of {message} is stored at {change.at:.3f} by an upkeep that had lost it"


def no_receiver_delays_another(trace: OutboxTrace) -> Iterator[str]:
    """After the faults of the process, a receiver that works gets its message within two calls of upkeep."""
    messages = Counter(message.channel for message in trace.sim.expected)
    for message, happened in trace.sim.expected.items():
        receiver = trace.sim.receivers[message.channel]
        if happened < trace.quiet_from or not receiver.never_fails or message in trace.sim.excused:
            continue
        if messages[message.channel] > 5:  # messages on one channel wait for each other
            continue
        row = trace.rows[message][0] if message in trace.rows else None
        first = min((delivery.at for delivery in receiver.taken if delivery.id == row), default=None)
        if receiver.kind in trace.sim.kinds and (first is None or first > happened + _ROUND):
            yield f"{message} happened at {happened:.0f}, and was sent at {first}"


def nothing_unexpected(trace: OutboxTrace) -> Iterator[str]:
    """The only exceptions are those of the script."""
    yield from (each for each in trace.sim.unexpected if each != f"ValueError: {MADE_UP}")


I12: dict[str, Callable[[OutboxTrace], Iterator[str]]] = {
    "I12 sent once": sent_once,
    "I12 none is lost": none_is_lost,
    "I12 nothing else is sent": only_what_happened,
    "I12 one upkeep per message": one_upkeep_per_message,
    "I12 the result of the holder counts": results_are_stored,
    "I12 no receiver delays another": no_receiver_delays_another,
    "no unexpected exception in upkeep": nothing_unexpected,
}
