"""``prebooking doctor``: check the whole setup, and print one line per finding with its cure."""

from __future__ import annotations

from typing import Any

import typer

from prebooking.checks.check import Check, Finding
from prebooking.checks.running import BELL, HEALTH_CHECKS
from prebooking.checks.watchdog import WATCHDOG
from prebooking.cli.doctor.gather import gather
from prebooking.cli.doctor.setup import SETUP
from prebooking.cli.doctor.venues import VENUES
from prebooking.cli.environment import environment
from prebooking.cli.options import AsJson
from prebooking.cli.runner import FAILED, run_command
from prebooking.cli.terminal import say, show_json

CHECKS: tuple[Check[Any], ...] = (*SETUP, *HEALTH_CHECKS, BELL, WATCHDOG, *VENUES)


def doctor(*, as_json: AsJson = False) -> None:
    """Check the setup, the database, the triggers, the venues and the logins."""
    run_command(_doctor(as_json=as_json))


async def _doctor(*, as_json: bool) -> None:
    observations = await gather(environment())
    findings = [finding for check in CHECKS for finding in check.findings(observations)]
    if as_json:
        show_json([_as_json(finding) for finding in findings])
    else:
        say(*(f"{finding.mark:<4} {finding.name}: {finding.message}" for finding in findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


def _as_json(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "ok": finding.ok, "message": finding.message, "way": finding.way}
