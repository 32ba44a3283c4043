"""The bell's sleep in real time: all other tests replace it and move the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.support.database import Connection


@pytest.mark.parametrize("seconds", [0.02, -3600])
def test_a_sleep_ends_at_its_instant_or_at_once(owner: Connection, seconds: float) -> None:
    until = _now(owner, "+ make_interval(secs => %s)", seconds)
    before = _now(owner)
    owner.execute("select public.prebooking_bell_sleep(%s)", [until])
    assert max(until, before) <= _now(owner) < max(until, before) + timedelta(minutes=1)


def _now(owner: Connection, plus: str = "", *arguments: object) -> datetime:
    row = owner.execute(f"select clock_timestamp() {plus}".encode(), arguments).fetchone()
    assert row is not None
    instant: datetime = row[0]
    return instant
