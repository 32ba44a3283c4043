"""The upkeep that notices what is wrong also sends the alert."""

from __future__ import annotations

import json
from functools import partial

import httpx

from prebooking.local.virtual_world import call_function
from prebooking.settings import Settings
from prebooking.upkeep.run import UpkeepSummary, keep_up
from tests.support.boxes import Gym
from tests.support.doubles import EPOCH, VirtualClock
from tests.support.factories import add_prebooking, add_venue
from tests.support.messages import notification_settings
from tests.support.notifications import add_channel
from tests.support.world import ENVIRONMENT


class Receiver(httpx.AsyncBaseTransport):
    """Takes every message."""

    def __init__(self) -> None:
        self.messages = list[dict[str, str]]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.messages.append({**dict(request.headers), "url": str(request.url), "body": request.content.decode()})
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))


def test_an_alert_is_sent_by_the_upkeep_that_notices_its_cause(gym: Gym) -> None:
    add_channel(gym.connection, None, events=["alert"])
    venue = add_venue(gym.connection, name="Box Norte", troubled_since=EPOCH)
    add_prebooking(gym.connection, venue, available_at=EPOCH, user_email="canary@example.com")
    receiver = Receiver()

    async def invoke() -> UpkeepSummary:
        keeping = partial(keep_up, notifications=notification_settings())
        settings = Settings.from_environment(ENVIRONMENT)
        return await call_function(keeping, settings, VirtualClock(), gym.world.wire, receiver, guard=8)

    kept = gym.world.run(invoke())
    assert (kept.success, kept.parts["notifications"]["sent"]) == (True, 1)
    [message] = receiver.messages
    assert "Box Norte blocks the function or cannot be reached" in message["body"]
    assert "prebooking venue pause" in message["body"]
    assert "canary" not in json.dumps(message)
