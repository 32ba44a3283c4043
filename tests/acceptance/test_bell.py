"""The bell and a function in a separate process, on the real clock and without a cron."""

from __future__ import annotations

import time

from prebooking.local.bell import run_bell
from prebooking.local.stack import Stack
from tests.support.stacks import ends, opening

_LEAD = 3.0  # seconds
_PATIENCE = 20.0  # seconds
_PROMISED = 2000  # milliseconds: the first forty of a venue


def test_the_bell_alone_books_open_and_opening_classes(stack: Stack) -> None:
    with stack.function(LEAD_SECONDS=f"{_LEAD:g}") as function:
        function.ready()
        rows_open, rows_ahead = opening(stack, 3), opening(stack, 5, ahead=_LEAD + 1)
        with run_bell(stack.postgres.dsn(), url=function.url, secret=stack.environment["CRON_SECRET"]):
            assert stack.ledger.wait_for(lambda: len(stack.ledger.bookings()) == 8, seconds=_PATIENCE)
            give_up = time.monotonic() + _PATIENCE
            while ends(stack, rows_open + rows_ahead) != {("completed", "booked")}:
                assert time.monotonic() < give_up, "the outcomes were not written"
    query = "select lateness_ms from public.prebookings where id = any(%s) order by created_at"
    late = [ms for (ms,) in stack.connection.execute(query, [rows_ahead])]
    assert late == sorted(late)
    assert late[-1] <= _PROMISED
