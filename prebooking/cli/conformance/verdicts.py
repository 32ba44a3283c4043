"""What the check has found: one verdict per rule."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from prebooking.cli.conformance.rules import RULES, EndpointRule


class RuleResult(StrEnum):
    """Whether an endpoint keeps a rule."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    NOT_TRIED = "not tried"


class Verdicts:
    """The verdict of each rule, with what was seen. The first failure of a rule stays, and the first reason."""

    def __init__(self, not_tried: str) -> None:
        self._found = dict.fromkeys(RULES, (RuleResult.NOT_TRIED, not_tried))
        self._explained: set[EndpointRule] = set()
        self._optional = {rule for rule in RULES if rule.option or not rule.required}

    def holds(self, rule: EndpointRule, seen: str) -> None:
        """Note that a rule holds, unless it has failed before."""
        if not self.failed(rule):
            self._found[rule] = (RuleResult.HOLDS, seen)

    def fails(self, rule: EndpointRule, seen: str) -> None:
        """Note that a rule does not hold."""
        if not self.failed(rule):
            self._found[rule] = (RuleResult.DOES_NOT_HOLD, seen)

    def skips(self, rules: Iterable[EndpointRule], why: str, *, optional: bool = False) -> None:
        """Note why rules without a verdict could not be tried. ``optional``: the contract allows that."""
        for rule in rules:
            if self._found[rule][0] is RuleResult.NOT_TRIED and rule not in self._explained:
                self._found[rule] = (RuleResult.NOT_TRIED, why)
                self._explained.add(rule)
                self._optional |= {rule} if optional else set()

    def excuse(self, rules: Iterable[EndpointRule]) -> None:
        """Make rules optional."""
        self._optional |= {*rules}

    def require(self, rule: EndpointRule) -> None:
        """Make a rule required, because its class was named."""
        self._optional.discard(rule)

    def failed(self, rule: EndpointRule) -> bool:
        """Return whether a rule does not hold."""
        return self._found[rule][0] is RuleResult.DOES_NOT_HOLD

    def held(self, rule: EndpointRule) -> bool:
        """Return whether a rule holds."""
        return self._found[rule][0] is RuleResult.HOLDS

    def kept(self) -> bool:
        """Return whether every required rule holds."""
        return all(self.held(rule) or rule in self._optional for rule in RULES)

    def as_json(self) -> list[dict[str, Any]]:
        """Return one object per rule."""
        return [
            {
                "check": rule.name,
                "result": result.replace(" ", "_"),
                "required": rule not in self._optional,
                "seen": seen,
                "contract": rule.contract,
                "cure": rule.cure if result is RuleResult.DOES_NOT_HOLD else None,
            }
            for rule, (result, seen) in self._found.items()
        ]
