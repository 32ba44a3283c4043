"""Searches texts for canaries: secrets and marked values that must not appear, in plain text or encoded."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.support.database import Connection
from tests.verification.part import Result

MARK = "canary"  # in every address, cookie and text of the imitated venues and databases
SECRETS = ("CRON_SECRET", "SUPABASE_SERVICE_ROLE_KEY", "BOOKING_WEBHOOK_SECRET", "SESSION_ENCRYPTION_KEY")

# Columns that hold a member's address or prebooking, or that the operator fills in.
_ALLOWED = {
    ("prebookings", "user_email"),
    ("prebookings", "booking_data"),
    ("member_sessions", "user_email"),
    ("member_sessions", "sealed"),  # encrypted; the decrypted values are searched for everywhere else
    ("venues", "name"),
    ("venues", "host"),
}
_COLUMNS = """
select table_name::text, column_name::text from information_schema.columns
where table_schema = 'public' and data_type in ('text', 'jsonb', 'json', 'character varying', 'ARRAY', 'bytea')
"""


@dataclass(slots=True)
class Canaries:
    """Searches texts for the mark and for the values of secrets, and counts the texts."""

    environment: Mapping[str, str]
    others: dict[str, str] = field(default_factory=dict)  # further secret values, by name
    texts: int = 0
    hits: list[str] = field(default_factory=list)

    def search(self, where: str, texts: Iterable[str]) -> None:
        """Search the texts; ``where`` is their name in a complaint."""
        forms = [(name, form) for name, value in self._values() for form in _forms(value)]
        for text in texts:
            self.texts += 1
            lowered = text.lower()
            self.hits += [f"{name} in {where}: {text[:300]}" for name, form in forms if form.lower() in lowered]

    def search_columns(self, connection: Connection) -> None:
        """Search every text column of the database that may not hold such a value."""
        for table, column in connection.execute(_COLUMNS).fetchall():
            if (table, column) not in _ALLOWED:
                query = f"select {column}::text from public.{table} where {column} is not null"  # noqa: S608 - names from the catalog
                self.search(f"{table}.{column}", (text for (text,) in connection.execute(query.encode()).fetchall()))

    def result(self) -> Result:
        """Return the result for the table."""
        return Result("texts without a canary: logs at DEBUG, responses, exceptions, columns", self.texts, self.hits)

    def _values(self) -> Iterator[tuple[str, str]]:
        yield MARK, MARK
        yield from ((name, self.environment[name]) for name in SECRETS if name in self.environment)
        yield from self.others.items()


def _forms(value: str) -> set[str]:
    """Return the value as it is, URL-encoded, and in base64 at each of the three offsets in a longer text."""
    shifted = (base64.b64encode(b"\0" * shift + value.encode()).decode()[4:-4] for shift in range(3))
    return {value, quote(value, safe=""), *(text for text in shifted if len(text) > 5)}  # shorter texts match by chance
