"""Run one system in this process: ``python -m benchmarks.peers <name> <dsn> <url> <opens> <requests> <how>``."""

from __future__ import annotations

import asyncio
import importlib
import sys

from benchmarks.peers import Task


def main() -> None:
    name, dsn, url, opens, requests, how = sys.argv[1:]
    system = importlib.import_module(f"benchmarks.peers.{name}")
    asyncio.run(system.send_all(Task(dsn, url, float(opens), int(requests), how)))


if __name__ == "__main__":
    main()
