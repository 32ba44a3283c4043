"""Sentences for the operator's page. The database sends codes."""

from __future__ import annotations

from typing import Any

from prebooking.model import SENTENCES

_OUTCOMES = {kind.value: sentence for kind, sentence in SENTENCES.items()}
# Problems of a coming prebooking that it has no warning about yet.
_PROBLEMS = {
    "paused": "The venue is paused at the opening: prebooking venue resume",
    "no_login": "There is no login for this member: prebooking login",
    "session_expired": "The venue refused the login: prebooking login",
    "class_unknown": "The class is not in the venue's timetable yet: upkeep looks again until booking opens",
}
_IN_DOUBT = {
    "called": "A run is at work on it.",
    "lease": "The venue is asked when the lease of the call has ended.",
    "paused": "The venue is paused, so it is not asked now.",
    "waits": "The venue gave no clear answer: it is asked again.",
    "next_run": "The next run asks the venue.",
}
_LOGINS = {
    "none": "There is no login: prebooking login",
    "over": "The venue refused the login: prebooking login",
    "remembered": "The member is logged in again shortly before the opening.",
    "kept": "Upkeep keeps the login alive.",
}
_NEEDS_A_PERSON = ("none", "over")


def describe_outcome(outcome: str) -> str:
    """Return the sentence about an outcome of a failed prebooking."""
    return _OUTCOMES.get(outcome, outcome)


def describe_problem(code: str, warning: str | None) -> str:
    """Return the sentence about a coming prebooking, from its warning if it has one."""
    start, _, sentence = (warning or "").partition(": ")
    return sentence if start == code and sentence else _PROBLEMS.get(code, code)


def describe_doubt(doing: str) -> str:
    """Return what is done about a prebooking in doubt."""
    return _IN_DOUBT.get(doing, doing)


def describe_login(login: dict[str, Any]) -> tuple[str, str]:
    """Return the sentence about a login, and its level: ok, warn or fail."""
    state = login["state"]
    level = "ok" if state not in _NEEDS_A_PERSON else "fail" if login["soon"] else "warn"
    return _LOGINS.get(state, state), level
