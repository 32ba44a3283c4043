"""Collects everything that a log of an exception can show: text, attributes and traceback."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from uuid import uuid4

from prebooking.clock import Clock, Deadline
from prebooking.database.client import create_isolated_supabase
from prebooking.errors import SettingsError, StoreError
from prebooking.settings import Settings
from tests.support import peers
from tests.support.peers import Peer, Script
from tests.support.world import ENVIRONMENT
from tests.verification.configurations import BAD

_TIMEOUT = 0.3  # seconds: a missing response is an exception too


def shown(exc: BaseException) -> str:
    """Return everything that an exception can show."""
    return "\n".join([str(exc), repr(exc), repr(exc.args), repr(vars(exc)), *traceback.format_exception(exc)])


def of_settings() -> Iterator[str]:
    """Return what the exceptions of all bad configurations show."""
    for name, value in BAD:
        try:
            Settings.from_environment(ENVIRONMENT | {name: value})
        except SettingsError as exc:
            yield shown(exc)


def _every_time(script: Script) -> Script:
    """Return a script that runs this one after each request."""

    async def repeated(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            await script(peer)

    return repeated


async def _of_response(script: Script) -> str:
    clock = Clock()
    async with peers.serve(_every_time(script)) as server:
        settings = Settings.from_environment(ENVIRONMENT | {"SUPABASE_URL": server.url})
        async with create_isolated_supabase(settings, uuid4(), clock=clock) as database:
            until = Deadline.within(clock, _TIMEOUT)
            try:
                await database.call("a_function_v1", {}, _nothing, until=until)
            except StoreError as exc:
                return shown(exc)
    raise AssertionError("a response of a hostile database was accepted")


def _nothing(_: object) -> None:
    raise ValueError("canary: an unexpected value")


def of_database(scripts: Iterable[Script]) -> list[str]:
    """Return what the exceptions of all hostile responses show; one runs after the other, which is faster."""

    async def run_all() -> list[str]:
        return [await _of_response(script) for script in scripts]

    return asyncio.run(run_all())
