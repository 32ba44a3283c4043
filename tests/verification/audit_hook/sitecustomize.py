"""Python imports this module first in a watched process.

It sets all loggers to DEBUG. With an audit hook, which no library can avoid, it notes in a file every address that the
process connects to or looks up.
"""

from __future__ import annotations

import json
import logging
import os
import sys

_CONNECTING = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}


def _note_connections(path: str) -> None:
    notes = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CONNECTING:
            about = arguments[:2] if event == "socket.getaddrinfo" else arguments[1]
            os.write(notes, json.dumps([event, about], default=str).encode() + b"\n")

    sys.addaudithook(note)


if path := os.environ.get("CONNECTIONS_NOTED_IN"):
    _note_connections(path)
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(name)s: %(message)s")
    for loud in ("httpx", "httpcore", "h2", "hpack", "asyncio", "postgrest", "supabase"):
        logging.getLogger(loud).setLevel(logging.DEBUG)
