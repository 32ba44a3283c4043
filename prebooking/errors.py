"""Every exception that this package raises on purpose.

PrebookingError
├── SettingsError          environment variables are missing or unfit; names each of them, shows no value
├── SendRefused            a call must not be sent any more; nothing was sent
├── BadBookingData         a prebooking's booking_data cannot be turned into a request
├── SealBroken             a stored session cannot be decrypted: another key, another member, or it was changed
├── VenueRefused           a venue refused a login or a request for its classes
├── BadInput               a command was typed wrongly; the message says what is accepted
├── CommandFailed          a command cannot be carried out; the message says what to do
└── StoreError             a database function did not do what was asked
    ├── StoreUnavailable   no usable answer after all tries: unreachable, timed out, overloaded
    ├── StoreBusy          another invocation is claiming; try again
    └── StoreRefused       a retry cannot help: not migrated, wrong key, wrong data
"""

from __future__ import annotations


class PrebookingError(Exception):
    """Base class of every exception that this package raises on purpose."""


class SettingsError(PrebookingError):
    """Environment variables are missing or unfit; ``problems`` has one message per variable, without its value."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))


class SendRefused(PrebookingError):
    """A call must not be sent: it is too late, too early, or the process was frozen. Nothing was sent."""


class BadBookingData(PrebookingError):
    """A prebooking's booking_data cannot be turned into a request; the message may be shown to its member."""


class SealBroken(PrebookingError):
    """A stored session cannot be decrypted: sealed with another key, for another member or venue, or changed since."""


class VenueRefused(PrebookingError):
    """A venue refused, or its answer cannot be read; the message is ours, and says what to do."""


class BadInput(PrebookingError):
    """A command was typed wrongly; the message is one sentence that says what is accepted."""


class CommandFailed(PrebookingError):
    """A command cannot be carried out; the message is one sentence that says what to do."""


class StoreError(PrebookingError):
    """A database function did not do what was asked; ``code`` is its error code, or a word for how the call failed."""

    def __init__(self, function: str, code: str) -> None:
        self.function, self.code = function, code
        super().__init__(f"{function}: {code}")


class StoreUnavailable(StoreError):
    """There was no usable answer after all tries."""


class StoreBusy(StoreError):
    """Another invocation holds the lock of the claims."""


class StoreRefused(StoreError):
    """The database refused, and a retry cannot change that."""
