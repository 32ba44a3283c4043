"""When each call of one venue may be sent: in order, one per stagger, and none before its row's opening."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import suppress
from operator import attrgetter
from typing import Self

from prebooking.clock import Clock, DatabaseTime, Deadline
from prebooking.model import Prebooking

CONNECT_LEAD = 0.6  # seconds before its slot at which a call connects; it then waits for the slot
MAX_CONNECTED = 4  # most calls of a venue that connect, or are connected and wait for their slots, at the same time


class Slot:
    """The slot of one row's call: granted when the call may connect, ended shortly after its first byte was sent.

    It is a context manager: if a call is not sent, leaving the block ends its slot, so that the next call can be sent.
    """

    def __init__(self, queue: SlotQueue, row: Prebooking) -> None:
        self.order = row.order
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._queue, self._row = queue, row

    def __lt__(self, other: Slot) -> bool:
        """Return whether this slot is earlier in the queue."""
        return self.order < other.order

    @property
    def opens_at(self) -> float:
        """Return the row's opening on the monotonic clock, calculated from the readings so far."""
        return self._queue.time.monotonic_at(self._row.available_at)

    async def __aenter__(self) -> Self:
        """Wait until the call may connect."""
        await self.granted
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the slot, even if nothing was sent."""
        self.end()

    async def wait(self) -> None:
        """Wait until the first byte may be sent.

        That is after the opening, after all earlier slots, and one stagger after the venue's previous first byte.
        It does not wait for earlier slots whose opening is still in the future: due calls are sent before held ones.
        """
        await self._wait_for_opening()
        while (ahead := self._queue.slot_before(self)) is not None:
            await ahead.ended.wait()
        self._queue.sending = self
        await self._wait_for_stagger()
        await self._wait_for_opening()  # again, because the database's clock may have been set back meanwhile

    async def _wait_for_opening(self) -> None:
        """Wait until the row's opening."""
        await self._queue.time.sleep_until(self._row.available_at)

    async def _wait_for_stagger(self) -> None:
        """Wait until one stagger after the venue's previous first byte."""
        await self._queue.clock.sleep_until(self._queue.sent_at + self._queue.stagger)

    def sent(self) -> None:
        """Record that the first byte is sent now. The stagger of the next slot starts."""
        self._queue.sent_at = self._queue.clock.monotonic()
        # Not at once: otherwise the next request would be built first, which would delay these bytes by 1 to 2 ms.
        asyncio.get_running_loop().call_later(self._queue.stagger / 10, self.end)

    def end(self) -> None:
        """End the slot, so that the next call can be sent."""
        self.ended.set()
        if self._queue.sending is self:
            self._queue.sending = None
        self._queue.remove(self)


class SlotQueue:
    """Decides when each call of one venue may be sent. It makes no call.

    Attributes:
        sent_at: when the venue's most recent first byte was sent, on the monotonic clock.
        all_granted: set while every slot is granted or cancelled.
        closed: no further slot is granted.
        sending: the slot whose first byte is sent next, until that slot has ended.

    """

    def __init__(self, *, clock: Clock, time: DatabaseTime, stagger: float) -> None:
        self.clock, self.time, self.stagger = clock, time, stagger
        self.sent_at = float("-inf")
        self.all_granted = asyncio.Event()
        self.all_granted.set()
        self._waiting: list[Slot] = []  # a heap
        self._granted: set[Slot] = set()  # granted slots that have not ended
        self._changed = asyncio.Event()
        time.on_tightened(self._changed.set)
        self.closed = False
        self.sending: Slot | None = None

    def add(self, row: Prebooking) -> Slot:
        """Add a slot to the queue in the row's order. If the queue is closed, the slot is cancelled."""
        slot = Slot(self, row)
        if self.closed:
            slot.granted.cancel()
        else:
            heapq.heappush(self._waiting, slot)
            self.all_granted.clear()
            self._changed.set()
        return slot

    def remove(self, slot: Slot) -> None:
        """Remove a slot that has ended."""
        self._granted.discard(slot)
        self._changed.set()

    def slot_before(self, slot: Slot) -> Slot | None:
        """Return a slot to wait for: the one in ``sending``, or the first earlier one whose opening has passed."""
        if self.sending is not None:
            return None if self.sending is slot else self.sending
        now = self.clock.monotonic()
        return min((other for other in self._granted if other < slot and other.opens_at <= now), default=None)

    def close(self) -> None:
        """Cancel the slots that are not granted. Calls with a granted slot are refused before their first byte."""
        self.closed = True
        for slot in self._waiting:
            slot.granted.cancel()
        self._waiting.clear()
        self.all_granted.set()

    def planned_seconds(self) -> float:
        """Return the seconds until all queued calls are sent, if the venue is fast and their openings have passed."""
        return len(self._waiting) * self.stagger

    async def grant(self, *, until: Deadline) -> None:
        """Grant slots in order until it is too late to start a call, then close the queue."""
        while not until.passed() and not self.closed:
            self._changed.clear()
            self._grant_ready()
            await self._wait_for_change(until)
        self.close()

    def _grant_ready(self) -> None:
        """Grant every slot whose call may connect now."""
        while self._waiting:
            slot = self._waiting[0]
            ahead = len(self._granted_before(slot))
            is_early = self._connects_at(slot) > self.clock.monotonic() or ahead * self.stagger > CONNECT_LEAD
            if ahead >= MAX_CONNECTED or is_early:
                return
            heapq.heappop(self._waiting)
            self._granted.add(slot)
            slot.granted.set_result(None)
        self.all_granted.set()

    def _granted_before(self, slot: Slot) -> list[Slot]:
        return sorted((other for other in self._granted if other.order < slot.order), key=attrgetter("order"))

    def _connects_at(self, slot: Slot) -> float:
        """Return when the slot's call should connect, if every earlier call is sent as early as possible."""
        planned = self.sent_at
        for ahead in self._granted_before(slot):
            planned = max(planned + self.stagger, ahead.opens_at)
        return max(planned + self.stagger, slot.opens_at) - CONNECT_LEAD

    async def _wait_for_change(self, until: Deadline) -> None:
        """Wait until a slot is added or ends, the clock is read, the next call may connect, or ``until``."""
        seconds = until.remaining()
        if self._waiting and (early := self._connects_at(self._waiting[0]) - self.clock.monotonic()) > 0:
            seconds = min(seconds, early)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.001)):  # a smaller timeout could be rounded to 0: a busy loop
                await self._changed.wait()
