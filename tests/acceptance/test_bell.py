"""The bell and a function in a separate process, on the real clock and without a cron."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from prebooking.local.bell import run_bell
from prebooking.local.box import add_box
from prebooking.local.stack import Stack
from tests.support.calls import prebooking
from tests.support.factories import add_prebooking
from tests.support.stacks import ends, opening

_LEAD = 3.0  # seconds
_TIMEOUT = 20.0  # seconds
_PROMISED = 2000  # milliseconds: the first forty of a venue


@pytest.fixture(scope="module", autouse=True)
def bell(stack: Stack) -> Iterator[None]:
    with stack.function(LEAD_SECONDS=f"{_LEAD:g}") as function:
        function.ready()
        with run_bell(stack.postgres.dsn(), url=function.url, secret=stack.environment["CRON_SECRET"]):
            yield


def test_the_bell_alone_calls_upkeep_when_it_is_due(stack: Stack) -> None:
    box = add_box(stack, "Granite", host="granite.aimharder.com", box_id=42)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    day = f"{tomorrow:%Y%m%d}"
    stack.twin.open_class(
        "7001", opens_at=tomorrow, capacity=9, name="WOD", day=day, time="18:00", box="granite.aimharder.com"
    )
    data = {"day": day, "starts_at": "18:00", "class_name": "WOD"}
    hour = timedelta(hours=1)
    row = add_prebooking(
        stack.connection, box, booking_data=data, available_at=datetime.now(UTC) + hour, expires_at=tomorrow + hour
    )
    # The bell asks once a minute, and may just have done so.
    stack.connection.execute("update public.prebooking_bell set upkeep_at = null where only_one")
    give_up = time.monotonic() + _TIMEOUT
    while prebooking(stack.connection, row)["class_unknown"]:
        assert time.monotonic() < give_up, "the class was not looked up"
    assert prebooking(stack.connection, row)["booking_data"]["class_id"] == "7001"


def test_the_bell_alone_books_open_and_opening_classes(stack: Stack) -> None:
    rows_open, rows_ahead = opening(stack, 3), opening(stack, 5, ahead=_LEAD + 1)
    assert stack.ledger.wait_for(lambda: len(stack.ledger.bookings()) == 8, seconds=_TIMEOUT)
    give_up = time.monotonic() + _TIMEOUT
    while ends(stack, rows_open + rows_ahead) != {("completed", "booked")}:
        assert time.monotonic() < give_up, "the outcomes were not written"
    query = "select lateness_ms from public.prebookings where id = any(%s) order by created_at"
    late = [ms for (ms,) in stack.connection.execute(query, [rows_ahead])]
    assert late == sorted(late)
    assert late[-1] <= _PROMISED
