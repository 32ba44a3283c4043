"""Every exception that the functions raise on purpose; the command line adds ``Impossible``.

PrebookingError
├── SettingsError          the environment does not say what is needed; names every variable, shows no value
├── SendRefused            right before the first byte: this call may not leave any more (nothing was sent)
├── BadBookingData         a prebooking that cannot be turned into a request at all
├── SealBroken             a stored session that cannot be opened: another key, another member's, or changed
├── VenueRefused           a venue has said no to something other than a booking: a login, a look at its classes
├── BadInput               what somebody has typed cannot be taken; says what can
└── StoreError             the database did not do what was asked
    ├── StoreUnavailable   no usable answer, after the retries: unreachable, timed out, overloaded
    ├── StoreBusy          another invocation is claiming; ask again
    └── StoreRefused       an answer that a retry cannot change: not migrated, wrong key, wrong data
"""

from __future__ import annotations


class PrebookingError(Exception):
    """The base of every exception raised here on purpose."""


class SettingsError(PrebookingError):
    """The environment does not say what is needed; ``problems`` has a sentence a variable, without its value."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))


class SendRefused(PrebookingError):
    """A call may not leave any more: too late, too early, or the process was frozen. Nothing was sent."""


class BadBookingData(PrebookingError):
    """The prebooking cannot be turned into a request; the message is fit for its member to read."""


class SealBroken(PrebookingError):
    """A stored session cannot be opened: sealed with another key, for another member or venue, or changed since."""


class VenueRefused(PrebookingError):
    """A venue has said no, or nothing that can be read; the message names the cure, in our own words."""


class BadInput(PrebookingError):
    """What somebody has typed cannot be taken; the message is a sentence for them, with the cure."""


class StoreError(PrebookingError):
    """The database did not do what was asked; ``code`` is its error code or a word for how the call ended."""

    def __init__(self, function: str, code: str) -> None:
        self.function, self.code = function, code
        super().__init__(f"{function}: {code}")


class StoreUnavailable(StoreError):
    """No usable answer, after the retries."""


class StoreBusy(StoreError):
    """Another invocation holds the lock of the claims."""


class StoreRefused(StoreError):
    """An answer that asking again cannot change."""
