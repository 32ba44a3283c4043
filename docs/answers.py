"""The contract of a booking endpoint: what each status means, as the booker reads it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import timedelta

from docs import markdown
from docs.numbers import minutes
from prebooking.bookers.call import Reply
from prebooking.bookers.places import CancelAnswer
from prebooking.bookers.webhook.booker import classify
from prebooking.bookers.webhook.give_back import classify_deletion
from prebooking.cli.conformance.rules import RULES, EndpointRule
from prebooking.database.prebookings import BLOCKED_PAUSE
from prebooking.model import FAILED, Kind
from prebooking.run.attempt import EARLY_PAUSE, MAX_EARLY_RETRIES
from prebooking.run.rules import EARLY_TIME

REFUSED = 422  # a status whose meaning is the state in its body
# In the order of the table.
_MEANINGS = {
    Kind.BOOKED: 'booked; a JSON body may say `{"state": "waitlisted"}` and give a `"booking_id"` (a body that is not'
    " JSON is unclear)",
    Kind.ALREADY_BOOKED: "this prebooking was booked before",
    Kind.TOO_EARLY: f"too early: called again at most {MAX_EARLY_RETRIES} times, {EARLY_PAUSE * 1000:g} ms apart, then"
    f" once a minute for {minutes(EARLY_TIME)}; then it ends `too_early`",
    Kind.BLOCKED: "a fault of your endpoint, or its load: the venue is not called for"
    f" {minutes(timedelta(seconds=BLOCKED_PAUSE))}",
    Kind.REJECTED: 'refused; a body like `{"state": "full"}` says why: ',
    Kind.UNSURE: "unclear: you are asked, see below",
}

_CANCEL_MEANINGS = {
    CancelAnswer.DONE: "given back, or there was no place any more (a body that is not JSON is unclear)",
    CancelAnswer.LATE: "nothing was done, because the credit would be lost: with `--late` the command adds `&late=1`",
    CancelAnswer.UNABLE: "nothing was done: your endpoint cannot give places back",
    CancelAnswer.BLOCKED: "a fault of your endpoint, or its load: the command ends, and can be run again",
    CancelAnswer.UNCLEAR: "unclear: you are asked once",
}


def table() -> str:
    """Return the table of the meanings of a call's answer, by its status."""
    statuses = _statuses()
    statuses[Kind.UNSURE].append("no answer")
    named = markdown.code(kind for kind in Kind if kind in FAILED - {Kind.REJECTED} and _kind(REFUSED, kind) is kind)
    meanings = _MEANINGS | {Kind.REJECTED: _MEANINGS[Kind.REJECTED] + named}
    rows = [(", ".join(answers), meanings[kind]) for kind in _MEANINGS if (answers := statuses.pop(kind))]
    if statuses:
        raise ValueError(f"no text in docs/answers.py for {sorted(statuses)}")
    return markdown.table(("you answer", "it means"), rows)


def give_back_table() -> str:
    """Return the table of the meanings of an answer to a DELETE, by its status and the state in its body."""
    found = defaultdict[CancelAnswer, list[str]](list)
    for status in range(200, 600):
        plain = _cancel_answer(status)
        if plain is not CancelAnswer.UNCLEAR:
            found[plain].append(str(status))
            continue
        for state in ("not_booked", "late"):
            found[_cancel_answer(status, state)].append(f'{status} with `{{"state": "{state}"}}`')
    found[CancelAnswer.UNCLEAR] = ["anything else, no answer"]
    rows = [(", ".join(found.pop(answer)), meaning) for answer, meaning in _CANCEL_MEANINGS.items()]
    if found:
        raise ValueError(f"no text in docs/answers.py for {sorted(answer.name for answer in found)}")
    return markdown.table(("you answer", "it means"), rows)


def rules_table() -> str:
    """Return the rules that ``prebooking check-webhook`` checks, and the option that each needs."""
    rows = [(rule.name, rule.contract, _needs(rule)) for rule in RULES]
    return markdown.table(("check", "the contract", "needs"), rows)


def _needs(rule: EndpointRule) -> str:
    return f"`{rule.option}`" if rule.option else "" if rule.required else "not required"


def _cancel_answer(status: int, state: str | None = None) -> CancelAnswer:
    body = json.dumps({"state": state} if state else {}).encode()
    return classify_deletion(Reply(status, body), late=False)


def _kind(status: int, state: Kind | None = None) -> Kind:
    return classify(Reply(status, json.dumps({"state": state} if state else {}).encode())).kind


def _statuses() -> dict[Kind, list[str]]:
    """Return the statuses of each meaning. The most common meaning is "other 4xx", or "5xx" if it is the only one."""
    found = defaultdict[Kind, list[str]](list)
    for hundred in (2, 3, 4, 5):
        kinds = {status: _kind(status) for status in range(100 * hundred, 100 * hundred + 100)}
        [(most, count)] = Counter(kinds.values()).most_common(1)
        for status, kind in kinds.items():
            if kind is not most:
                found[kind].append(_with_state(status, kind))
        found[most].append(f"{hundred}xx" if count == len(kinds) else f"other {hundred}xx")
    return found


def _with_state(status: int, kind: Kind) -> str:
    """Return the status; if a state in the body names a refusal, only without it."""
    return (
        f"{status} without such a state"
        if kind is Kind.BLOCKED and _kind(status, Kind.FULL) is Kind.FULL
        else str(status)
    )
