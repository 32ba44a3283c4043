"""The database functions of upkeep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase


class UpkeepDue(BaseModel):
    """What is due now. ``no_login``: the number of prebookings that open within a day without a usable login."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    now: AwareDatetime
    no_login: int

    @property
    def parts(self) -> set[str]:
        """Return the names of the parts that are due."""
        return {name for name, is_due in (self.model_extra or {}).items() if is_due is True}


class UpkeepStore:
    """What upkeep asks and stores. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def due(self, *, providers: Iterable[str], keys: Iterable[str], until: Deadline) -> UpkeepDue:
        """Return what is due for these venue systems and keys. Stores the heartbeat and the warnings about logins."""
        params: dict[str, Any] = {"p_providers": list(providers), "p_keys": list(keys)}
        return (await self._database.call("upkeep_due_v1", params, UpkeepDue.model_validate, until=until)).value
