"""The bell's switch through a REST layer, as the operator's command uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from prebooking.database.bell import CANNOT, NO_ADDRESS, NOT_SCHEDULED, BellStore
from prebooking.errors import StoreRefused
from tests.support.bells import URL, Bell, add_rows
from tests.support.database import Connection, Rest
from tests.support.factories import noon
from tests.support.operators import deadline, open_client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(rest: Rest) -> AsyncIterator[BellStore]:
    async with open_client(rest) as supabase:
        yield BellStore(supabase)


@pytest.mark.usefixtures("stand_ins")
async def test_the_state_is_read(owner: Connection, store: BellStore) -> None:
    bell = Bell.switched_on(owner)
    add_rows(owner, 1, 1, opens=30)
    bell.minute()
    state = await store.state(until=deadline())
    assert state.model_dump(mode="json")["url"] == bell.status()["url"]
    assert (state.on, state.scheduled, state.lead_seconds, state.posts) == (True, True, 3, 1)
    assert (state.looked_at, state.triggered_at, state.now) == (noon(0), noon(27), noon(59.75))


@pytest.mark.usefixtures("stand_ins")
async def test_the_bell_is_switched_off_and_on(owner: Connection, store: BellStore) -> None:
    Bell(owner).on()
    assert "off" in await store.off(until=deadline())
    assert not (await store.state(until=deadline())).on
    assert "LEAD_SECONDS=3" in await store.on(URL, until=deadline())
    assert (await store.state(until=deadline())).url == URL


@pytest.mark.parametrize(
    ("url", "extensions", "code"), [(URL, False, CANNOT), (URL, True, NOT_SCHEDULED), ("http://x", True, NO_ADDRESS)]
)
async def test_refusals_have_codes(
    owner: Connection, store: BellStore, url: str, code: str, *, extensions: bool
) -> None:
    if extensions:
        Bell(owner)
    with pytest.raises(StoreRefused) as refused:
        await store.on(url, until=deadline())
    assert refused.value.code == code
    assert bool((await store.state(until=deadline())).missing) is not extensions
