"""Every exception that this package raises on purpose.

PrebookingError
├── SettingsError          environment variables are missing or invalid; names each of them, shows no value
├── SendRefused            a call must not be sent any more; nothing was sent
├── BadBookingData         a prebooking's booking_data cannot be turned into a request
├── SealBroken             a stored session cannot be decrypted: wrong key, wrong member, or changed data
├── VenueRefused           a venue refused a login, or its answer cannot be read; ``why`` names the cause
├── BadInput               invalid arguments of a command; the message says what is valid
├── CommandFailed          a command cannot be carried out; the message says what to do
└── StoreError             a database function did not do what was asked
    ├── StoreUnavailable   no usable answer after all tries: unreachable, timed out, overloaded
    ├── StoreBusy          another invocation is claiming; try again
    └── StoreRefused       a retry cannot help: not migrated, wrong key, wrong data
"""

from __future__ import annotations

from enum import StrEnum

# The error codes of a function, a table or a column that the database lacks.
NOT_MIGRATED = ("PGRST202", "PGRST203", "PGRST204", "PGRST205", "42883", "42P01", "42703")


class PrebookingError(Exception):
    """Base class of every exception that this package raises on purpose."""


class SettingsError(PrebookingError):
    """Environment variables are missing or invalid. ``problems`` has one message per variable, without its value."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))


class SendRefused(PrebookingError):
    """A call must not be sent: too early, too late (also after a freeze), or the venue is stopped. Nothing was sent."""


class BadBookingData(PrebookingError):
    """A prebooking's booking_data cannot be turned into a request; the message may be shown to its member."""


class SealBroken(PrebookingError):
    """A stored session cannot be decrypted: encrypted with another key, for another member or venue, or changed."""


class LoginRefusal(StrEnum):
    """Why a login failed."""

    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a name
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    BLOCKED = "blocked"  # the venue refuses this address
    NO_ANSWER = "no_answer"
    UNREADABLE = "unreadable"  # the answer is not one that we know


class VenueRefused(PrebookingError):
    """A venue refused a login, or its answer cannot be parsed. The message is our own and says what to do."""

    def __init__(self, message: str, why: LoginRefusal) -> None:
        self.why = why
        super().__init__(message)


class BadInput(PrebookingError):
    """A command was typed wrongly; the message is one sentence that says what is accepted."""


class CommandFailed(PrebookingError):
    """A command cannot be carried out; the message is one sentence that says what to do."""


class StoreError(PrebookingError):
    """A database function did not do what was asked; ``code`` is the error code, or names the kind of failure."""

    def __init__(self, function: str, code: str) -> None:
        self.function, self.code = function, code
        super().__init__(f"{function}: {code}")


class StoreUnavailable(StoreError):
    """There was no usable answer after all tries."""


class StoreBusy(StoreError):
    """Another invocation holds the lock of the claims."""


class StoreRefused(StoreError):
    """The database refused, and a retry cannot change that."""
