"""The venue twin: a simulated venue with classes that open at an instant, and a ledger of all calls and bookings.

It has no I/O, no protocol (see ``webhook`` and ``aimharder``) and no clock of its own. Without a protection it books
the same prebooking twice, so that a test notices a repeated call.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import product
from uuid import UUID

from prebooking.local.venue.ledger import Act, Arrival, Ledger, State
from prebooking.local.venue.members import Members
from prebooking.local.venue.page import Page
from prebooking.local.venue.plan import ANSWER, DROP, HANG, AnswerKind, CallPlan, TwinCall, TwinReply

__all__ = [
    "ANSWER",
    "DROP",
    "HANG",
    "Act",
    "AnswerKind",
    "Arrival",
    "BookingResult",
    "CallPlan",
    "Ledger",
    "Protection",
    "State",
    "TwinBox",
    "TwinCall",
    "TwinClass",
    "TwinReply",
    "VenueTwin",
]

_FIRST_BOOKING_ID = 106_000_000  # AimHarder numbers the bookings of all boxes together


class Protection(Enum):
    """How a venue prevents double bookings."""

    NONE = auto()  # it does not: a repeated call books a second place
    DUPLICATES = auto()  # a member gets one place per class, and one class per hour
    CAPACITY_FIRST = auto()  # like DUPLICATES, but a full class answers "full", also to its own members
    IDEMPOTENT = auto()  # a repeated Idempotency-Key gets the first answer again


@dataclass(frozen=True, slots=True)
class TwinClass:
    """A class with ``capacity`` places, which can be booked from ``opens_at`` on.

    A class on a schedule has a name, a ``day`` (YYYYMMDD) and a ``time`` (HH:MM) on the gym's local clock. ``box`` is
    the host of its box; if it is empty, every box shows the class. From ``late_from`` on, a place that is given back
    costs the member's credit.
    """

    opens_at: datetime
    capacity: int
    waiting_list: int = 0
    name: str = "WOD"
    day: str = ""
    time: str = "07:00"
    box: str = ""
    late_from: datetime | None = None

    def is_at_the_hour_of(self, other: TwinClass) -> bool:
        """Return whether both classes are at the same hour. A class without a day has no known hour."""
        return bool(self.day) and (self.day, self.time, self.box) == (other.day, other.time, other.box)


@dataclass(frozen=True, slots=True)
class TwinBox:
    """A gym with its own host."""

    host: str
    box_id: int
    name: str


@dataclass(frozen=True, slots=True)
class BookingResult:
    """The result of a booking call."""

    state: State
    booking_id: str | None = None


class VenueTwin:
    """A simulated venue.

    ``now`` returns the true time, which the ledger uses. The venue's own clock, which decides about openings, is
    ``skew`` ahead of it. ``plan`` returns the plan for a call that no script covers.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        secret: str,
        protection: Protection = Protection.NONE,
        skew: timedelta = timedelta(0),
        plan: Callable[[Arrival], CallPlan] = lambda _: CallPlan(),
    ) -> None:
        self.now, self.secret, self.protection, self.skew, self.plan = now, secret, protection, skew, plan
        self.can_tell = True  # False: a query for a booking is answered with 501
        self.can_give_back = True  # False: a DELETE is answered with 405
        self.boxes: dict[str, TwinBox] = {}
        self.classes: dict[str, TwinClass] = {}
        self.members = Members(now=lambda: self.now())  # noqa: PLW0108 - a test may give the twin another clock
        self.ledger = Ledger()
        self.page = Page()
        self._scripts: defaultdict[tuple[str, str, str], deque[CallPlan]] = defaultdict(deque)
        self._results: dict[str, BookingResult] = {}  # by prebooking id, for repeated Idempotency-Keys

    def open_box(self, host: str, *, box_id: int, name: str = "The Box") -> None:
        """Add a gym with a host like ``mybox.aimharder.com``."""
        self.boxes[host] = TwinBox(host, box_id, name)

    def open_class(
        self,
        class_id: str,
        *,
        opens_at: datetime,
        capacity: int,
        waiting_list: int = 0,
        late_from: datetime | None = None,
        **on_the_schedule: str,
    ) -> None:
        """Add a class, or replace the properties of an existing class, whose bookings are kept.

        ``on_the_schedule`` is its ``name``, ``day``, ``time`` and ``box``: see ``TwinClass``.
        """
        self.classes[class_id] = TwinClass(opens_at, capacity, waiting_list, late_from=late_from, **on_the_schedule)

    def join(self, email: str, password: str) -> None:
        """Add an account, or set the password of an existing account."""
        self.members.join(email, password)

    def expire(self, email: str) -> None:
        """End a member's sessions now. Each can still be refreshed once, unlike after ``members.log_out``."""
        self.members.expire(email)

    def script(self, who: UUID | str, *plans: CallPlan, method: str = "POST", path: str = "") -> None:
        """Set the plans of the next calls of a member (e-mail) or about a prebooking (id).

        Without a path they apply to booking calls, or, with another method than POST, to calls of the webhook protocol.
        """
        self._scripts[str(who), method, path].extend(plans)

    def arrive(self, arrival: Arrival) -> CallPlan:
        """Write a call to the ledger, and return its plan."""
        self.ledger.write(arrival)
        paths = ("", arrival.path) if arrival.books else (arrival.path,)
        for who, path in product((arrival.prebooking_id, arrival.member), paths):
            if script := self._scripts.get((who, arrival.method, path)):
                return script.popleft()
        return self.plan(arrival)

    def book(self, request: Arrival, *, join_waiting_list: bool = True) -> BookingResult:
        """Book a place, or return the reason for the refusal."""
        if self.protection is Protection.IDEMPOTENT and request.prebooking_id in self._results:
            return self._results[request.prebooking_id]
        result = self._decide(request, join_waiting_list=join_waiting_list)
        if request.prebooking_id and result.state is not State.TOO_EARLY:  # a call that was too early may be repeated
            self._results.setdefault(request.prebooking_id, result)
        return result

    def booking_of(self, prebooking_id: UUID | str) -> BookingResult:
        """Return the state and the number of a prebooking's booking, as the venue's pages show it."""
        acts = [act for act in self.shown() if act.prebooking_id == str(prebooking_id)]
        return BookingResult(acts[0].state, acts[0].booking_id) if acts else BookingResult(State.NOT_BOOKED)

    def shown(self) -> list[Act]:
        """Return the bookings that the venue's pages show. They may be behind the ledger."""
        return self.ledger.bookings(by=self.now() - timedelta(seconds=self.page.behind))

    def cancel(self, booking_id: str, member: str, *, late: bool = True) -> State:
        """Cancel a booking, and give its place to the next one on the waiting list.

        Returns cancelled; not_booked if the member has no booking with this number; or, without ``late``, too_late if
        the member would lose the credit.
        """
        found = [act for act in self.ledger.bookings() if (act.booking_id, act.member) == (booking_id, member)]
        if not found:
            return State.NOT_BOOKED
        if not late and self._is_late(found[0].class_id):
            return State.TOO_LATE
        self.ledger.write(replace(found[0], at=self.now(), state=State.CANCELLED))
        self._promote(found[0].class_id)
        return State.CANCELLED

    def position(self, booking_id: str) -> int | None:
        """Return the position of a booking on its waiting list, or None if it is not on one."""
        acts = [act for act in self.shown() if act.state is State.WAITLISTED]
        for own in (act for act in acts if act.booking_id == booking_id):
            return [act.booking_id for act in acts if act.class_id == own.class_id].index(booking_id) + 1
        return None

    def _is_late(self, class_id: str) -> bool:
        gym_class = self.classes.get(class_id)
        return gym_class is not None and gym_class.late_from is not None and self.now() >= gym_class.late_from

    def _promote(self, class_id: str) -> None:
        waiting = [act for act in self.ledger.bookings() if (act.class_id, act.state) == (class_id, State.WAITLISTED)]
        if waiting and class_id in self.classes and self.next_place(class_id) is State.BOOKED:
            self.ledger.write(replace(waiting[0], at=self.now(), state=State.BOOKED))

    def _decide(self, request: Arrival, *, join_waiting_list: bool) -> BookingResult:
        gym_class = self.classes.get(request.class_id)
        if gym_class is None:
            return BookingResult(State.CLASS_GONE)
        if self.now() + self.skew < gym_class.opens_at:
            return BookingResult(State.TOO_EARLY)
        place = self.next_place(request.class_id)
        looks_at_capacity_only = place is State.FULL and self.protection is Protection.CAPACITY_FIRST
        if (conflict := self._conflict(request, gym_class)) and not looks_at_capacity_only:
            return BookingResult(conflict)
        if place is State.WAITLISTED and not join_waiting_list:
            return BookingResult(State.NOT_BOOKED)
        return BookingResult(place) if place is State.FULL else self._add_booking(place, request)

    def next_place(self, class_id: str) -> State:
        """Return the state that the next booking of a class would get: booked, waitlisted or full."""
        gym_class = self.classes[class_id]
        taken = Counter(act.state for act in self.ledger.bookings() if act.class_id == class_id)
        if taken[State.BOOKED] < gym_class.capacity:
            return State.BOOKED
        return State.WAITLISTED if taken[State.WAITLISTED] < gym_class.waiting_list else State.FULL

    def _conflict(self, request: Arrival, gym_class: TwinClass) -> State | None:
        """Return how the member's other bookings forbid this one, or None."""
        if self.protection not in {Protection.DUPLICATES, Protection.CAPACITY_FIRST}:
            return None
        theirs = {act.class_id for act in self.ledger.bookings() if act.member == request.member}
        if request.class_id in theirs:
            return State.ALREADY_BOOKED
        at_that_hour = any(gym_class.is_at_the_hour_of(self.classes[class_id]) for class_id in theirs)
        return State.SAME_HOUR if at_that_hour else None

    def _add_booking(self, place: State, request: Arrival) -> BookingResult:
        booking_id = str(_FIRST_BOOKING_ID + len(self.ledger.entries))
        about = (request.prebooking_id, request.member, request.class_id, request.venue)
        self.ledger.write(Act(self.now(), place, booking_id, *about))
        return BookingResult(place, booking_id)
