"""The order of the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prebooking.cli.conformance import rules
from prebooking.cli.conformance.bookings import BookingChecks
from prebooking.cli.conformance.client import EndpointClient
from prebooking.cli.conformance.endings import check_giving_back, check_named_classes, check_refusal, clean_up
from prebooking.cli.conformance.transport import (
    check_address,
    check_bearer,
    check_connection,
    check_other_method,
    check_waiting_connection,
)
from prebooking.cli.conformance.verdicts import Verdicts
from prebooking.model import Prebooking

OPEN = "--class-id"
_STOPPED = "the checks before it have stopped the run"


@dataclass(frozen=True, slots=True)
class Conformance:
    """The verdicts, and the prebookings that may still be booked."""

    verdicts: Verdicts
    left: list[Prebooking]


async def check_endpoint(endpoint: EndpointClient, classes: Mapping[str, str]) -> Conformance:
    """Make all checks that are possible, and give back what was booked. ``classes``: their ids by option."""
    verdicts = Verdicts(_STOPPED)
    if endpoint.idempotent:
        verdicts.excuse((*rules.QUESTIONS, rules.CUT_OFF))
    for rule in rules.RULES:
        if rule.option and rule.option not in classes:
            verdicts.skips((rule,), f"name a class with {rule.option}", optional=True)
    try:
        await _check(endpoint, verdicts, classes)
    finally:
        left = await clean_up(endpoint, verdicts)
    return Conformance(verdicts, left)


async def _check(endpoint: EndpointClient, verdicts: Verdicts, classes: Mapping[str, str]) -> None:
    if not check_address(endpoint.url, verdicts) or not await check_connection(endpoint, verdicts):
        return
    await check_bearer(endpoint, verdicts)
    await check_waiting_connection(endpoint, verdicts)
    await check_other_method(endpoint, verdicts)
    await check_refusal(endpoint, verdicts)
    if class_id := classes.get(OPEN):
        checks = BookingChecks(endpoint, verdicts, class_id)
        await checks.run()
        await check_giving_back(checks)
    await check_named_classes(endpoint, verdicts, classes)
    verdicts.skips(rules.RULES, f"name an open class with {OPEN}" if OPEN not in classes else _STOPPED)
