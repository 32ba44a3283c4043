"""The upkeep that notices what is wrong also sends the alert."""

from __future__ import annotations

import json
from functools import partial

import httpx
import pytest

from prebooking.upkeep.run import keep_up
from tests.support.boxes import Gym
from tests.support.doubles import EPOCH
from tests.support.factories import add_prebooking, add_venue
from tests.support.messages import notification_settings
from tests.support.notifications import add_channel


def test_an_alert_is_sent_by_the_upkeep_that_notices_its_cause(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    add_channel(gym.connection, None, events=["alert"])
    venue = add_venue(gym.connection, name="Box Norte", troubled_since=EPOCH)
    add_prebooking(gym.connection, venue, available_at=EPOCH, user_email="canary@example.com")
    messages = list[dict[str, str]]()

    async def receive(request: httpx.Request) -> httpx.Response:
        messages.append({**dict(request.headers), "url": str(request.url), "body": request.content.decode()})
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    monkeypatch.setattr(gym.world.to_venues, "handle_async_request", receive)
    keeping = partial(keep_up, notifications=notification_settings())
    kept = gym.world.run(gym.world.call(keeping, guard=8))
    assert (kept.success, kept.parts["notifications"]["sent"]) == (True, 1)
    [message] = messages
    assert "Box Norte blocks the function or cannot be reached" in message["body"]
    assert "prebooking venue pause" in message["body"]
    assert "canary" not in json.dumps(message)
