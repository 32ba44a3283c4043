"""The versions that a database knows: its own, and that of the function which calls it."""

from __future__ import annotations

from pydantic import AwareDatetime

from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase
from prebooking.database.overview import DatabaseModel


class Versions(DatabaseModel):
    """See ``prebooking_version_v1``."""

    migration: str | None  # the last applied one; None: unknown
    function: str | None  # of the deployment whose upkeep called last; None: none has
    called_at: AwareDatetime | None


class VersionStore:
    """Reads the versions."""

    def __init__(self, database: IsolatedSupabase) -> None:
        self._database = database

    async def read(self, *, until: Deadline) -> Versions:
        """Return the versions. Raises StoreError, also if the database is older than this question."""
        answer = await self._database.call("prebooking_version_v1", {}, Versions.model_validate, until=until)
        return answer.value
