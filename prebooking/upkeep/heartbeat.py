"""Reports each upkeep to a watchdog outside, at HEARTBEAT_URL, which notices when the reports stop or are bad."""

from __future__ import annotations

import os

import httpx

from prebooking.bookers.call import HEADERS, ask
from prebooking.clock import Deadline
from prebooking.database.upkeep import UpkeepStore
from prebooking.errors import SettingsError, StoreError
from prebooking.http import isolated_client
from prebooking.settings import WatchSettings
from prebooking.upkeep.part import UpkeepContext

TIMEOUT = 2.0  # seconds for the report
AFTER_GUARD = 1.5  # seconds after the guard until which a report may take


class Heartbeat:
    """The report of one upkeep. Nothing that goes wrong here changes the upkeep's answer."""

    def __init__(self, context: UpkeepContext, guard: Deadline) -> None:
        self._context, self._guard = context, guard
        self._url: str | None = None
        self._mine = self._database_answers = False

    async def claim(self) -> None:
        """Find out whether this upkeep reports in this minute. If the database does not answer, it reports that."""
        self._url = self._read_address()
        if self._url:
            store = UpkeepStore(self._context.database)
            try:
                self._mine = await store.claim_heartbeat(self._context.instance_id, until=self._guard)
                self._database_answers = True
            except StoreError as exc:
                self._mine = True
                self._context.log_failure("heartbeat", exc)

    def _read_address(self) -> str | None:
        """Return the address, or None if it is not set or invalid."""
        if not os.environ.get("HEARTBEAT_URL", "").strip():
            return None
        try:
            return WatchSettings.from_environment(os.environ).heartbeat_url
        except SettingsError as exc:
            self._context.log_failure("heartbeat", exc)
            return None

    async def report(self, *, good: bool) -> None:
        """Call the address, with ``/fail`` after a bad upkeep."""
        if not self._mine:
            return
        try:
            status = await self._call(good=good and self._database_answers)
        except Exception as exc:  # noqa: BLE001 - the watchdog must not prevent the upkeep's answer
            self._context.log.unexpected("unexpected", exc, part="heartbeat")
        else:
            if status is None or not httpx.codes.is_success(status):
                self._context.log.warning("heartbeat_not_taken", status=status)

    async def _call(self, *, good: bool) -> int | None:
        """Return the status of the answer; None without an answer."""
        address = httpx.URL(self._url or "")
        if not good:
            address = address.copy_with(path=f"{address.path.rstrip('/')}/fail")
        timeout = min(TIMEOUT, self._guard.later(AFTER_GUARD).remaining())
        async with isolated_client(headers=HEADERS, transport=self._context.to_watchdog) as client:
            reply = await ask(client, client.build_request("GET", address), timeout=timeout)
        return reply.status if reply else None
