"""A scripted server ends with its block, whatever its connections are doing."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support import peers
from tests.support.peers import Peer

pytestmark = pytest.mark.anyio

MORE_THAN_ANY_BUFFER = b"x" * 2**26


async def test_a_server_with_an_unread_answer_ends_with_its_block() -> None:
    speaking = asyncio.Event()

    async def say(peer: Peer) -> None:
        speaking.set()
        await peer.say(MORE_THAN_ANY_BUFFER)

    with socket.socket() as deaf:  # stays open until after the block
        async with asyncio.timeout(10), peers.serve(say) as server:
            deaf.connect(("127.0.0.1", server.port))
            await speaking.wait()
