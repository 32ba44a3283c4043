"""Checks that book nothing: address, connection, secret, bearer, methods, and the question about an unknown id."""

from __future__ import annotations

import asyncio

import httpx

from prebooking.addresses import is_loopback, public_address
from prebooking.bookers.places import CancelAnswer
from prebooking.cli.conformance import rules
from prebooking.cli.conformance.client import CERTIFICATE, TIMED_OUT, UNREACHABLE, EndpointAnswer, EndpointClient
from prebooking.cli.conformance.verdicts import Verdicts
from prebooking.model import FAILED, NAMED_REFUSALS, Kind

NO_CLASS = "prebooking-check-no-such-class"
HOLD = 0.8  # seconds for which a connection waits; the booking function lets it wait up to one
_DATABASE = "http://127.0.0.1"  # a database on this machine allows an endpoint on this machine
WRONG_BEARERS = {"a wrong bearer": "a-wrong-bearer-of-the-check", "no bearer": ""}
_REFUSED_SECRET = (401, 403, 407)


def check_address(url: str, verdicts: Verdicts) -> bool:
    """Return whether the secret may be sent to the address."""
    try:
        public_address(url, database=_DATABASE)
    except ValueError as exc:
        verdicts.fails(rules.ADDRESS, f"it {exc}")
        return url.startswith("https:")
    here = is_loopback(url)
    verdicts.holds(rules.ADDRESS, "on this machine: deployed, it must be https at a public name" if here else "https")
    return True


async def check_connection(endpoint: EndpointClient, verdicts: Verdicts) -> bool:
    """Ask about an unknown id. Return whether the endpoint answers as one, so that the other checks make sense."""
    answer = await endpoint.ask(endpoint.row(NO_CLASS))
    if answer.failure == TIMED_OUT:
        verdicts.fails(rules.ANSWER_TIME, f"the question had no answer within {endpoint.timeout:g} s")
        return False
    if answer.failure:
        verdicts.fails(rules.CONNECTION, _explain(answer.failure))
        return False
    verdicts.holds(rules.CONNECTION, f"answered in {answer.seconds * 1000:.0f} ms")
    if httpx.codes.is_redirect(answer.status):
        verdicts.fails(rules.REDIRECT, f"HTTP {answer.status}")
        return False
    verdicts.holds(rules.REDIRECT, f"HTTP {answer.status}")
    if answer.status in _REFUSED_SECRET:
        verdicts.fails(rules.SECRET, f"HTTP {answer.status}")
        return False
    verdicts.holds(rules.SECRET, f"HTTP {answer.status}")
    _check_unknown(endpoint, answer, verdicts)
    return True


def _check_unknown(endpoint: EndpointClient, answer: EndpointAnswer, verdicts: Verdicts) -> None:
    if answer.state is Kind.NOT_BOOKED:
        verdicts.holds(rules.QUESTION_UNKNOWN, answer.describe("not_booked"))
    elif not endpoint.counts(answer):
        verdicts.skips(rules.QUESTIONS, f"HTTP {answer.status}: it does not answer questions", optional=True)
    else:
        verdicts.fails(rules.QUESTION_UNKNOWN, answer.describe(answer.state))


def _explain(failure: str) -> str:
    known = {UNREACHABLE: "no connection within 2 s", CERTIFICATE: "the certificate is not valid for this name"}
    return known.get(failure, "the connection ended without an answer")


async def check_bearer(endpoint: EndpointClient, verdicts: Verdicts) -> None:
    """Call, ask and give back with a wrong bearer and without one, about a class and an id that do not exist."""
    row = endpoint.row(NO_CLASS)
    accepted = []
    for name, bearer in WRONG_BEARERS.items():
        if _is_accepted(await endpoint.book(row, bearer=bearer)):
            accepted.append(f"a POST with {name}")
        if (await endpoint.ask(row, bearer=bearer)).state is not Kind.CANNOT_TELL:
            accepted.append(f"a GET with {name}")
        if (await endpoint.give_back(row, bearer=bearer)).deletion is CancelAnswer.DONE:
            accepted.append(f"a DELETE with {name}")
    if accepted:
        verdicts.fails(rules.BEARER, f"accepted: {', '.join(accepted)}")
    else:
        verdicts.holds(rules.BEARER, "a wrong one is refused")


def _is_accepted(answer: EndpointAnswer) -> bool:
    """Return whether a call was looked at further than its bearer: it is booked, refused or too early."""
    return answer.booking.kind in FAILED | {Kind.BOOKED, Kind.WAITLISTED, Kind.ALREADY_BOOKED}


async def check_waiting_connection(endpoint: EndpointClient, verdicts: Verdicts) -> None:
    """Ask on a connection that has waited, as the connections of calls wait for their slot."""
    outcome = await endpoint.ask_on_waiting_connection(endpoint.row(NO_CLASS), lambda: asyncio.sleep(HOLD))
    if outcome.kind is Kind.NOT_SENT:
        verdicts.fails(rules.WAITING, f"the connection was closed within {HOLD:g} s")
    elif outcome.kind is Kind.UNSURE:
        verdicts.fails(rules.WAITING, "the call on it had no answer")
    else:
        verdicts.holds(rules.WAITING, f"answered after {HOLD:g} s")


async def check_other_method(endpoint: EndpointClient, verdicts: Verdicts) -> None:
    """Send the JSON of a booking with PUT."""
    answer = await endpoint.other_method(endpoint.row(NO_CLASS))
    kind = answer.booking.kind
    if httpx.codes.is_success(answer.status) or kind in NAMED_REFUSALS | {Kind.ALREADY_BOOKED, Kind.TOO_EARLY}:
        verdicts.fails(rules.METHODS, f"a PUT is answered like a call: {answer.describe(kind)}")
    else:
        verdicts.holds(rules.METHODS, f"HTTP {answer.status}" if answer.reply else answer.failure)
