"""Canaries: values that must come out nowhere, and the search for them, also in what they become on the way."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.support.database import Connection
from tests.verification.part import Result

MARK = "canary"  # in every address, cookie and text of a venue or database that is made up for the battery
SECRETS = ("CRON_SECRET", "SUPABASE_SERVICE_ROLE_KEY", "BOOKING_WEBHOOK_SECRET", "SESSION_ENCRYPTION_KEY")

# Where a member's address and wish rightly stand, and what the operator himself has written.
_RIGHTLY_THERE = {
    ("prebookings", "user_email"),
    ("prebookings", "booking_data"),
    ("member_sessions", "user_email"),
    ("member_sessions", "sealed"),  # which nobody can read; but what is in it is searched for as it was
    ("venues", "name"),
    ("venues", "host"),
}
_COLUMNS = """
select table_name::text, column_name::text from information_schema.columns
where table_schema = 'public' and data_type in ('text', 'jsonb', 'json', 'character varying', 'ARRAY', 'bytea')
"""


@dataclass(slots=True)
class Canaries:
    """Looks for the values of secrets, and for the mark, and counts what it has looked through."""

    environment: Mapping[str, str]
    others: dict[str, str] = field(default_factory=dict)  # what must not come out either, by names
    texts: int = 0
    hits: list[str] = field(default_factory=list)

    def search(self, where: str, texts: Iterable[str]) -> None:
        """Look through the texts; ``where`` says what they are."""
        forms = [(name, form) for name, value in self._values() for form in _forms(value)]
        for text in texts:
            self.texts += 1
            lowered = text.lower()
            self.hits += [f"{name} in {where}: {text[:300]}" for name, form in forms if form.lower() in lowered]

    def search_columns(self, connection: Connection) -> None:
        """Look through every column of text in the database, but for those whose purpose it is to hold such a value."""
        for table, column in connection.execute(_COLUMNS).fetchall():
            if (table, column) not in _RIGHTLY_THERE:
                query = f"select {column}::text from public.{table} where {column} is not null"  # noqa: S608 - names from the catalog
                self.search(f"{table}.{column}", (text for (text,) in connection.execute(query.encode()).fetchall()))

    def result(self) -> Result:
        """Return the line of the table."""
        return Result("texts without a canary: logs at DEBUG, answers, exceptions, columns", self.texts, self.hits)

    def _values(self) -> Iterator[tuple[str, str]]:
        yield MARK, MARK
        yield from ((name, self.environment[name]) for name in SECRETS if name in self.environment)
        yield from self.others.items()


def _forms(value: str) -> set[str]:
    """Return the value as it stands, in an address, and in base64, wherever in a longer text it begins."""
    shifted = (base64.b64encode(b"\0" * shift + value.encode()).decode()[4:-4] for shift in range(3))
    return {value, quote(value, safe=""), *(text for text in shifted if len(text) > 5)}  # shorter is chance
