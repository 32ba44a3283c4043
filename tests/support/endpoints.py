"""Booking endpoints of operators: the example, and the example with a fault, on a real server."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import uvicorn

EXAMPLE = Path(__file__).parents[2] / "examples" / "webhook" / "endpoint.py"
SECRET = "the-secret-of-the-endpoint"


class EndpointServer(uvicorn.Server):
    """A server in a thread of its own, which stops without waiting for calls that hang."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def serve_on(self, listener: socket.socket) -> None:
        """Serve until ``should_exit``. Called in the server's thread."""
        asyncio.run(self.serve([listener]))


@contextmanager
def serve_app(app: Any) -> Iterator[str]:
    """Yield the address of an app that is served on this machine."""
    server = EndpointServer(app)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        thread = threading.Thread(target=server.serve_on, args=[listener], daemon=True)
        thread.start()
        assert server.listening.wait(10)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


def changed_source(changes: Mapping[str, str]) -> str:
    """Return the example's source with each text replaced. Every text is in it once."""
    source = EXAMPLE.read_text()
    for old, new in changes.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


@contextmanager
def serve_example(
    folder: Path, environment: pytest.MonkeyPatch, changes: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield the address at which the example books, after these changes to its source.

    The changed source can wait for the event ``released``, which is set at the end.
    """
    environment.setenv("BOOKING_WEBHOOK_SECRET", SECRET)
    environment.setenv("LEDGER", str(folder / "ledger.db"))
    path = folder / "endpoint.py"
    path.write_text(changed_source(changes or {}))
    released = threading.Event()
    spec = spec_from_file_location("endpoint_of_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    module.released, module.threading = released, threading
    environment.setitem(sys.modules, spec.name, module)  # pydantic looks its annotations up there
    spec.loader.exec_module(module)
    with serve_app(module.app) as address:
        try:
            yield f"{address}/book"
        finally:
            released.set()
