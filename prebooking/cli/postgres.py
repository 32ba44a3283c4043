"""The connection to the database itself, which only ``init`` needs. No message contains the address or the password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from prebooking.addresses import is_private
from prebooking.errors import BadInput, CommandFailed

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 15

_WHERE = "copy it from Connect in Supabase's dashboard (Session pooler)"
_ENCODE = "in a password write / as %2F, @ as %40, : as %3A, # as %23, ? as %3F and % as %25"
# A user, a password, a host (a name, IPv4, or IPv6 in brackets), a port, a database and options, without the characters
# that would end a part too early: a part of the password would then count as host, and be shown.
_ADDRESS = re.compile(
    r"postgres(?:ql)?://(?:[^\s:/?#@]+(?::(?P<password>[^\s:/?#@]*))?@)?"
    r"(?P<host>[\w.-]*|\[[0-9a-fA-F:.]+\])(?::\d+)?(?:/(?P<name>[\w%.-]*))?(?:\?(?P<options>[\w%=&./+-]*))?",
    re.ASCII,
)

# What libpq says when it cannot connect, and the cure. Its own text can contain the address.
_CURES = {
    "password authentication failed": "The database refuses the password: reset it in Supabase's dashboard, or correct"
    f" it; {_ENCODE}",
    "no password supplied": f"The address has no password: {_WHERE}, and put the password into it",
    "tenant or user not found": f"The pooler does not know this user: {_WHERE}; its region and its user"
    " postgres.<project> belong together",
    "name or service not known": f"The host of the address is not known: {_WHERE}",
    "translate host name": f"The host of the address is not known: {_WHERE}",
    "network is unreachable": "The host has only an IPv6 address, and this network has none: use the address of the"
    " Session pooler, from Connect in Supabase's dashboard",
    "timeout": "The database does not answer: look at the network, and whether the project is paused",
    "refused": "Nothing answers at this host and port: look at the address, and whether the project is paused",
    "does not support ssl": "The server does not encrypt the connection: add ?sslmode=disable if that is on purpose",
    "does not exist": "The database or the role of the address does not exist: correct it",
    "closed the connection": "The connection broke: run this again, and it continues where it was",
    "uri query parameter": "The address has an option that is not known: remove what follows the question mark",
    "too many": "The database has no free connection: try again in a minute",
}
_NOT_CONNECTED = ("28", "3D")  # SQLSTATEs of a refused connection; not every version of libpq reports them
_UNKNOWN = f"The database cannot be reached: look at the address ({_WHERE}) and at the network"


class DatabaseAddress:
    """The address of a database, with its password. ``name`` may be shown."""

    def __init__(self, value: str) -> None:
        """Check the address. Raises BadInput, whose message does not contain it."""
        self._value = value.strip()
        if "YOUR-PASSWORD" in self._value:
            raise BadInput("The address still has [YOUR-PASSWORD]: put the database's password in its place.")
        parts = _ADDRESS.fullmatch(self._value)
        if parts is None or re.search(r"%(?![0-9a-fA-F]{2})", self._value):
            raise BadInput(f"That is no address postgresql://USER:PASSWORD@HOST:PORT/DATABASE: {_WHERE}; {_ENCODE}.")
        shown = parts["host"] or parse_qs(parts["options"] or "").get("host", ["this machine"])[0]
        self._sslmode = "prefer" if is_private(parts["host"].strip("[]")) else "require"
        self.name = f"{parts['name'] or 'postgres'} at {shown}"

    def __repr__(self) -> str:
        return f"DatabaseAddress({self.name!r})"

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a connection that commits each statement. Every error of the database becomes a CommandFailed."""
        import psycopg  # noqa: PLC0415 - an eighth of the start of every command, and only ``init`` needs it
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415

        try:
            with psycopg.connect(
                self._value if "sslmode=" in self._value else make_conninfo(self._value, sslmode=self._sslmode),
                autocommit=True,
                prepare_threshold=None,  # a pooler in transaction mode supports no prepared statements
                connect_timeout=CONNECT_SECONDS,
                application_name="prebooking init",
            ) as connection:
                yield connection
        except psycopg.Error as exc:
            raise CommandFailed(_explain(exc)) from None


def _explain(exc: psycopg.Error) -> str:
    """Return one sentence with the cure. The SQLSTATE is shown, the server's text is not."""
    if exc.sqlstate and not exc.sqlstate.startswith(_NOT_CONNECTED):
        return f"{_REFUSALS.get(exc.sqlstate, _REFUSED)} (SQLSTATE {exc.sqlstate})."
    text = str(exc).lower()
    return f"{next((cure for part, cure in _CURES.items() if part in text), _UNKNOWN)}."


_REFUSED = "The database refused a migration, and nothing of it was applied: please report it"
_REFUSALS = {
    **dict.fromkeys(
        ("42P07", "42710", "42723", "42701", "42P06", "42725", "42P13", "42809"),
        "Something with the name of what this migration makes is there already, and nothing of it was applied: rename"
        " it if it is your own; if the migrations were run by hand, note them with"
        " `supabase migration repair --status applied`; or use an empty project",
    ),
    "55P03": "A run or another session holds a table, and nothing of this migration was applied: run this again",
    "40P01": "A run or another session holds a table, and nothing of this migration was applied: run this again",
    "23505": "Another program applied this migration at the same time: run this again",
    "42501": "The role may not do this: use the role postgres",
    "25006": "The database is read-only, perhaps because its disk is full: look at it in Supabase's dashboard",
    "53100": "The database's disk is full: enlarge it in Supabase's dashboard",
    "57014": "The database cancelled a statement that took too long: run this again when less goes on",
    **dict.fromkeys(
        ("57P01", "57P02", "57P03", "53300"), "The database is overloaded or restarting: run this again in a minute"
    ),
}
