"""The state of the scheduler in sentences with their cures, by the checks of ``prebooking doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from prebooking.checks.check import Check, Finding
from prebooking.checks.running import BELL, HEALTH_CHECKS, LONGEST_RUN
from prebooking.checks.watchdog import WATCHDOG
from prebooking.database.bell import BellState
from prebooking.database.overview import Health
from prebooking.local_time import format_duration

_RECENT = timedelta(days=1)
_SHOWN = 30  # problems: there is one per venue that is in trouble
_LENGTH = 300  # characters of a sentence
_instants = TypeAdapter(list[AwareDatetime]).validate_python


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the checks need of the function's settings."""

    lead: str
    has_watchdog: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, and what to do about it. ``level`` is "fail" if a person has to act, otherwise "warn"."""

    code: str
    level: str
    text: str
    cure: str

    @classmethod
    def of(cls, finding: Finding) -> Problem:
        """Return the problem of a finding. The cure stands after the first colon of its message."""
        text, _, cure = finding.message.partition(": ")
        level = "warn" if finding.ok else "fail"
        return cls(f"{finding.name}_{finding.way}", level, f"{finding.name}: {text}", cure)

    def as_json(self) -> dict[str, str]:
        """Return the problem for the answer."""
        return {"code": self.code, "level": self.level, "text": self.text[:_LENGTH], "cure": self.cure[:_LENGTH]}


def find_problems(answer: dict[str, Any], settings: PageSettings) -> list[Problem]:
    """Return the problems that the database's answer shows, failures first. What cannot be read is a problem too."""
    found = [_unreadable(section) for section in answer["failed"]]
    for section, find in (("health", _health_problems), ("bell", _bell_problems)):
        if section not in answer["failed"]:
            try:
                found += find(answer[section], settings)
            except ValidationError:
                found.append(_unreadable(section))
    if answer["outcomes"] and answer["outcomes"]["backlog"]:
        found.append(_BACKLOG)
    return sorted(found, key=lambda problem: problem.level != "fail")[:_SHOWN]


def _health_problems(answer: dict[str, Any], settings: PageSettings) -> Iterator[Problem]:
    health = Health.model_validate(answer)
    checks: tuple[Check[Any], ...] = HEALTH_CHECKS
    findings = [finding for check in checks for finding in check.evaluate(health)]
    findings += WATCHDOG.evaluate((health, settings.has_watchdog))
    yield from _of(findings)
    runs = [opened for opened in _instants(answer["open_runs"]) if LONGEST_RUN < health.now - opened <= _RECENT]
    if runs:
        since = format_duration(health.now - runs[-1])
        text = f"runs: {len(runs)} were cut off before their end in the last day, the last one {since} ago"
        yield Problem("runs_cut_off", "warn", text, "look at the function's log")


def _bell_problems(answer: dict[str, Any], settings: PageSettings) -> Iterator[Problem]:
    return _of(BELL.evaluate((BellState.model_validate(answer), settings.lead)))


def _of(findings: Iterator[Finding] | list[Finding]) -> Iterator[Problem]:
    yield from (Problem.of(finding) for finding in findings if finding.way)


def _unreadable(section: str) -> Problem:
    return Problem(
        "unreadable",
        "fail",
        f"page: the part {section!r} cannot be read",
        "run `prebooking doctor`, and look whether the database has all migrations",
    )


_BACKLOG = Problem(
    "page_backlog",
    "warn",
    "page: many settled prebookings are not added up yet, so the figures are too low",
    "upkeep adds them up each time it is called: look whether it is",
)
