"""The bell in the database, as an operator sees and switches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from prebooking.clock import Deadline
from prebooking.supabase import IsolatedSupabase

T = TypeVar("T")

CANNOT = "P0001"  # the code of a refusal because something is missing; the state says what, with its cure
NO_ADDRESS = "22023"  # ... because the address is not the function's
NOT_SCHEDULED = "42501"  # ... because nobody who may has ever scheduled it: that takes the SQL editor, once


class BellState(BaseModel):
    """How the bell stands, by the database's clock. ``looked_at`` is over a minute old when pg_cron does not run it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    on: bool
    url: str | None
    lead_seconds: float  # the function's LEAD_SECONDS has to be the same
    scheduled: bool
    missing: list[str]  # what it needs and has not, each with its cure
    now: AwareDatetime
    looked_at: AwareDatetime | None
    rung_at: AwareDatetime | None
    posts: int | None  # invocations it called then
    answer: int | None = Field(description="the last call's HTTP status, if the function answered within a second")
    queue_open: bool  # the roles of the REST API could read a request, secret and all, while it waits to be sent


_sentence = TypeAdapter(str).validate_python


class BellStore:
    """The bell's switch. Every method raises a StoreError when there is no usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def on(self, url: str, *, until: Deadline) -> str:
        """Let it ring for the function at this address, and return what is left to do.

        Raises:
            StoreRefused: with the code ``CANNOT``, ``NO_ADDRESS`` or ``NOT_SCHEDULED``.

        """
        return await self._ask("prebooking_bell_on", _sentence, until, p_url=url)

    async def off(self, *, until: Deadline) -> str:
        """Let it ring no more."""
        return await self._ask("prebooking_bell_off", _sentence, until)

    async def state(self, *, until: Deadline) -> BellState:
        """Return how it stands."""
        return await self._ask("prebooking_bell_status_v1", BellState.model_validate, until)

    async def _ask(self, function: str, read: Callable[[Any], T], until: Deadline, **params: str) -> T:
        return (await self._database.call(function, params, read, until=until)).value
