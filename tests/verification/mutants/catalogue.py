"""All mutants, in the order in which they are tried."""

from __future__ import annotations

from tests.verification.mutants.mutant import Mutant
from tests.verification.mutants.of_alerts import OF_ALERTS
from tests.verification.mutants.of_attempts import OF_ATTEMPTS
from tests.verification.mutants.of_automatic_logins import OF_AUTOMATIC_LOGINS
from tests.verification.mutants.of_bookers import OF_BOOKERS
from tests.verification.mutants.of_channels import OF_CHANNELS
from tests.verification.mutants.of_choices import OF_CHOICES
from tests.verification.mutants.of_details import OF_DETAILS
from tests.verification.mutants.of_installing import OF_INSTALLING
from tests.verification.mutants.of_logins import OF_LOGINS
from tests.verification.mutants.of_notifications import OF_NOTIFICATIONS
from tests.verification.mutants.of_operators import OF_OPERATION
from tests.verification.mutants.of_places import OF_PLACES
from tests.verification.mutants.of_repeats import OF_REPEATS
from tests.verification.mutants.of_rows import OF_ROWS
from tests.verification.mutants.of_runs import OF_RUNS
from tests.verification.mutants.of_settling import OF_ENDS
from tests.verification.mutants.of_texts import OF_TEXTS
from tests.verification.mutants.of_the_claim import OF_CLAIMS
from tests.verification.mutants.of_the_page import OF_THE_PAGE
from tests.verification.mutants.of_upkeep import OF_UPKEEP
from tests.verification.mutants.of_waiting import OF_WAITING

MUTANTS: list[Mutant] = [
    *OF_ATTEMPTS,
    *OF_ROWS,
    *OF_RUNS,
    *OF_WAITING,
    *OF_BOOKERS,
    *OF_CLAIMS,
    *OF_CHOICES,
    *OF_ENDS,
    *OF_LOGINS,
    *OF_AUTOMATIC_LOGINS,
    *OF_OPERATION,
    *OF_INSTALLING,
    *OF_DETAILS,
    *OF_UPKEEP,
    *OF_PLACES,
    *OF_NOTIFICATIONS,
    *OF_REPEATS,
    *OF_CHANNELS,
    *OF_ALERTS,
    *OF_THE_PAGE,
    *OF_TEXTS,
]
