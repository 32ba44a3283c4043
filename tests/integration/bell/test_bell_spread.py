"""The model behind docs/scale.md, at a small size: every row is booked once, and none early."""

from __future__ import annotations

import pytest

from benchmarks.spread import CostModel, OpeningResult, OpeningSize, TimedDatabase, VirtualOpening
from tests.support.database import Database

_SIZE = OpeningSize(rows=100, venues=5)  # 20 per venue, as at 5,000 rows and 250 venues
_LAST = (20 - 1) * 0.05  # seconds after the opening, if nothing but the stagger takes time


def opening(database: Database, model: CostModel) -> OpeningResult:
    timed = TimedDatabase(database.connection, database.connect("authenticator"))
    return VirtualOpening(timed, _SIZE, model).run()


@pytest.mark.parametrize(
    ("model", "latest"),
    [
        (CostModel(booking=0.0, start=0.0, handshake=0.0, network=0.0), _LAST + 0.01),
        (CostModel(booking=0.004), _LAST + 0.5),
        (CostModel(booking=0.004, start=2.5), _LAST + 1.5),
    ],
    ids=["without costs", "with costs", "with a slow start"],
)
def test_a_spread_books_every_row_once_after_its_opening(database: Database, model: CostModel, latest: float) -> None:
    result = opening(database, model)
    assert result.wrong() == {"doubled": 0, "early": 0, "missing": 0}
    assert len(result.sent) == _SIZE.rows
    assert _LAST <= result.lateness()[-1] <= latest
