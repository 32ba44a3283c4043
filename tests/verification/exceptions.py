"""What exceptions show, to whoever logs them in full: their text, their attributes, and the whole traceback."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from uuid import uuid4

from prebooking.clock import Clock, Deadline, Reading
from prebooking.database.client import create_isolated_supabase
from prebooking.errors import SettingsError, StoreError
from prebooking.settings import Settings
from tests.support import peers
from tests.support.peers import Peer, Script
from tests.support.world import ENVIRONMENT
from tests.verification.configurations import BAD

_PATIENCE = 0.3  # seconds a call may take: what never answers is an exception too


def shown(exc: BaseException) -> str:
    """Return everything that an exception could show."""
    return "\n".join([str(exc), repr(exc), repr(exc.args), repr(vars(exc)), *traceback.format_exception(exc)])


def of_settings() -> Iterator[str]:
    """Return what is shown of every bad configuration."""
    for name, value in BAD:
        try:
            Settings.from_environment(ENVIRONMENT | {name: value})
        except SettingsError as exc:
            yield shown(exc)


def _every_time(script: Script) -> Script:
    """Return the script that plays this one after each request."""

    async def again(peer: Peer) -> None:
        number = 0
        while not peer.ended.is_set():
            number += 1
            await peer.request(number)
            await script(peer)

    return again


async def _of_answer(script: Script) -> str:
    clock = Clock()
    async with peers.serve(_every_time(script)) as server:
        settings = Settings.from_environment(ENVIRONMENT | {"SUPABASE_URL": server.url})
        async with create_isolated_supabase(settings, uuid4(), clock=clock) as database:
            until = Deadline(clock, Reading.of(clock), _PATIENCE)
            try:
                await database.call("a_function_v1", {}, _nothing, until=until)
            except StoreError as exc:
                return shown(exc)
    raise AssertionError("an answer of a hostile database was taken")


def _nothing(_: object) -> None:
    raise ValueError("canary: what was not expected")


def of_database(scripts: Iterable[Script]) -> list[str]:
    """Return what is shown of every hostile answer, one after the other: storms side by side would only take longer."""

    async def all_of_them() -> list[str]:
        return [await _of_answer(script) for script in scripts]

    return asyncio.run(all_of_them())
