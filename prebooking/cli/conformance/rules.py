"""The rules of the contract that can be checked from outside. docs/webhook.md lists them from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointRule:
    """One rule. ``option``: the option that names the class it needs, other than --class-id."""

    name: str
    contract: str
    cure: str
    option: str = ""
    required: bool = True


ADDRESS = EndpointRule(
    "address",
    "The address is https at a public name.",
    "Give the endpoint a public name with a certificate, for example behind a reverse proxy.",
)
CONNECTION = EndpointRule(
    "connection",
    "A connection opens within 2 s, the certificate is valid, and each call is answered on it.",
    "Start the endpoint, and look at its address, its firewall and its certificate.",
)
REDIRECT = EndpointRule(
    "no redirect",
    "Nothing is redirected: a 3xx is unclear, and is not followed.",
    "Give the address to which the redirect points, often with https:// or without a slash at the end.",
)
ANSWER_TIME = EndpointRule(
    "answer time",
    "A call is answered within 2 s, because the last call of a run is cut off after 2 s.",
    "Book first and do slow work, such as mails, after the answer.",
)
SECRET = EndpointRule(
    "secret",
    "The bearer token BOOKING_WEBHOOK_SECRET is accepted.",
    "Set the same secret at the endpoint and here.",
)
BEARER = EndpointRule(
    "bearer",
    "Without the right bearer token, POST, GET and DELETE are answered with 401 or 403, and do nothing.",
    "Compare the Authorization header with the secret before anything else, for all methods.",
)
WAITING = EndpointRule(
    "waiting connection",
    "A connection may wait up to a second before its call is sent.",
    "Raise the time after which the server or the proxy closes an idle connection to at least 5 s.",
)
METHODS = EndpointRule(
    "other methods",
    "A method other than POST, GET and DELETE is refused.",
    "Answer 405 to other methods.",
    required=False,
)
QUESTION_UNKNOWN = EndpointRule(
    "question, unknown id",
    'A GET with an id that was never booked is answered with 200 and {"state": "not_booked"}.',
    "Answer the question from the ledger: without a row for the id the state is not_booked.",
)
BOOKING = EndpointRule(
    "booking",
    "A booking is answered with 200, 201 or 204; every 5xx is unclear.",
    "Answer 200 as soon as the booking is stored, and let nothing after it fail the call.",
)
READABLE = EndpointRule(
    "readable answers",
    "The body of a 200, 201 or 204 is empty, or a JSON object whose state is booked, waitlisted or left out.",
    "Answer JSON with one of these states, and keep pages of proxies, logins and frameworks away from the address.",
)
QUESTION_BOOKED = EndpointRule(
    "question, booked",
    "A GET with the id of a booking is answered with 200 and the state of the call: booked or waitlisted.",
    "Store the prebooking's id in the transaction of the booking, and answer from there, not from memory.",
)
SAME_KEY_AGAIN = EndpointRule(
    "same key again",
    "A second call with the same Idempotency-Key books nothing more, and is answered like the first or with 409.",
    "Make the Idempotency-Key a unique column of the ledger, and answer a repeated call from its row.",
)
SAME_KEY_AT_ONCE = EndpointRule(
    "same key at once",
    "Calls with the same Idempotency-Key at the same time make one booking.",
    "Look the key up and book in one transaction that locks, or insert the key first as a unique column.",
)
CUT_OFF = EndpointRule(
    "call cut off",
    "After a call that was cut off before its answer, the question and a repeated call agree on one booking.",
    "Store the booking and its id in one transaction, and answer only after it.",
)
UNKNOWN_FIELDS = EndpointRule(
    "unknown fields",
    "Fields of the JSON that the endpoint does not know are ignored.",
    "Read the fields that you need, and allow others, because later versions may send more.",
)
SAME_CLASS_AGAIN = EndpointRule(
    "same class again",
    "A second prebooking of a member for the same class gets a clear answer, and the first one stays.",
    "Change nothing about the first one, and answer 409, or 422 with a state such as limit_reached.",
)
REFUSED = EndpointRule(
    "refused",
    "A class that does not exist is refused, with a 4xx such as 422: not with 200, not with 404, not with a 5xx.",
    'Answer 422 with {"state": "class_gone"}, or with the state that says why.',
)
QUESTION_REFUSED = EndpointRule(
    "question, refused",
    'A GET with the id of a refused call is answered with 200 and {"state": "not_booked"}.',
    "Answer not_booked for every id that has no place.",
)
GIVING_BACK = EndpointRule(
    "giving back",
    "A DELETE that is answered with 200 or 204 has given the place back, and the question then says not_booked.",
    "Change the ledger before the answer, and let nothing cache the question. If the endpoint cannot give places back,"
    " answer 405.",
)
GIVING_BACK_AGAIN = EndpointRule(
    "giving back again",
    "A repeated DELETE changes nothing more, and is answered like the first one.",
    "Answer 200, or 404 with the state not_booked, if the place is gone.",
)
CALL_AFTER_GIVING_BACK = EndpointRule(
    "call after giving back",
    "A delayed call with the key of a place that was given back books nothing.",
    "Keep the row of a place that was given back, and answer a call with its key from there.",
    required=False,
)
GIVING_BACK_UNKNOWN = EndpointRule(
    "giving back, unknown id",
    'A DELETE with an id that was never booked is answered with 200, 204, or 404 with {"state": "not_booked"}.',
    "Answer 200, or 404 with the state not_booked, if there is no place.",
)
AFTER_GIVING_BACK = EndpointRule(
    "after giving back",
    "A class whose place was given back can be booked again by a new prebooking.",
    "Count only bookings that were not given back.",
)
FULL = EndpointRule(
    "full",
    'A full class is answered with {"state": "full"} and a 4xx such as 422, so that the next choice is called.',
    'Answer 422 with {"state": "full"}.',
    option="--full-class",
)
WAITLISTED = EndpointRule(
    "waiting list",
    'A place on a waiting list is answered with 200 and {"state": "waitlisted"}, and so is the question.',
    "Answer the state waitlisted to the call and to the question.",
    option="--waiting-class",
)
TOO_EARLY = EndpointRule(
    "too early",
    "Before the booking of a class opens, a call is answered with 425.",
    "Answer 425, because after any other 4xx the call is not repeated.",
    option="--early-class",
)
LAST_PLACE = EndpointRule(
    "last place",
    "Of two members who call for the last place at the same time, one gets it, also when the call is repeated.",
    "Count the places and book in one transaction that locks, after looking the Idempotency-Key up.",
    option="--last-place-class",
)

RULES = [rule for rule in list(globals().values()) if isinstance(rule, EndpointRule)]  # in the order of this file
QUESTIONS = (QUESTION_UNKNOWN, QUESTION_BOOKED, QUESTION_REFUSED)
BACK = (GIVING_BACK, GIVING_BACK_AGAIN, CALL_AFTER_GIVING_BACK, GIVING_BACK_UNKNOWN, AFTER_GIVING_BACK)
