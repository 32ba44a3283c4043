"""Rows without progress are rarely written, because an old snapshot keeps every row version from vacuum."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from itertools import pairwise

import pytest

from tests.support.database import Connection
from tests.support.factories import add_venue
from tests.support.floods import KEY, MEMBERS, Flood, blocked, in_doubt, locked, no_login, out_of_reach, times_out
from tests.support.world import World

VENUES = 12  # 480 rows
MINUTES = 10
IN_A_RUN = 10  # held back rows per venue
COUNT_WRITES = b"""
create table testing.writes (n bigint);
insert into testing.writes values (0);
grant update, select on testing.writes to service_role;
create function testing.count_write() returns trigger language plpgsql as $$
begin
  update testing.writes set n = n + 1;
  return null;
end $$;
create trigger count_writes after update on public.prebookings for each row execute function testing.count_write();
"""


@pytest.mark.parametrize(
    ("flood", "most"),
    [
        (in_doubt, 200),
        (out_of_reach, 120),
        (times_out, 120),
        (blocked, 120),
        (no_login, 0),
        (locked, 0),
    ],
)
def test_rows_without_progress_are_rarely_written(world: World, flood: Flood, most: int) -> None:
    """``most`` row versions are written per minute, after the first; 960 if all rows were claimed and released."""
    world.connection.execute(COUNT_WRITES)
    with ExitStack() as until:
        flood(world, [add_venue(world.connection) for _ in range(VENUES)], until)

        async def scenario() -> list[int]:
            counts = [await _minute(world) for _ in range(1 + MINUTES)]
            return [after - before for before, after in pairwise(counts)]

        per_minute = world.run(scenario())
    assert sum(per_minute) / MINUTES <= most
    assert max(per_minute) <= 2 * VENUES * IN_A_RUN < 2 * VENUES * MEMBERS


async def _minute(world: World) -> int:
    await world.invoke(SESSION_ENCRYPTION_KEY=KEY)
    await asyncio.sleep(60 - asyncio.get_running_loop().time() % 60)
    return _writes(world.connection)


def _writes(connection: Connection) -> int:
    row = connection.execute("select n from testing.writes").fetchone()
    assert row is not None
    return int(row[0])
