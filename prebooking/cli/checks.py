"""What the doctor looks at on this machine and in the database: each finding is one line, with the cure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from prebooking.bell import BellState
from prebooking.clock import Clock, Reading
from prebooking.errors import SettingsError
from prebooking.operator import Facts
from prebooking.settings import CLOCK_SKEW, Settings, session_key

RANDOM_BITS = 50  # a secret below that is a repetition; it cannot tell a passphrase from what a generator made
RANDOM_BYTES = 16  # different bytes in a key of 32: a random one has about thirty

# Every function of the database that the two functions of the cron and the command line call.
FUNCTIONS = (
    "claim_due_prebookings_v1",
    "complete_prebooking_v1",
    "fail_prebooking_v1",
    "release_prebookings_v1",
    "finish_run_v1",
    "cancel_prebooking_v1",
    "save_session_v1",
    "session_key_ids_v1",
    "warn_about_logins_v1",
    "warn_about_session_v1",
    "lease_session_v1",
    "claim_sessions_v1",
    "add_venue_v1",
    "list_venues_v1",
    "enable_venue_v1",
    "set_venue_box_v1",
    "list_sessions_v1",
    "add_prebooking_v1",
    "list_prebookings_v1",
    "prebooking_figures_v1",
    "prebooking_status_v1",
    "preview_claim_v1",
    "prebooking_doctor_v1",
    "prebooking_local_instant",
    "prebooking_bell_status_v1",
    "prebooking_bell_on",
    "prebooking_bell_off",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, whether it is well, and what there is to say of it."""

    name: str
    ok: bool
    said: str


def look_at_settings(environment: Mapping[str, str]) -> Iterator[Check]:
    """Say of each variable that is missing or unfit what is wrong."""
    try:
        Settings.from_environment(environment)
    except SettingsError as exc:
        for name, problem in exc.problems.items():
            yield Check("settings", ok=False, said=f"{name} {problem}")
    else:
        yield Check("settings", ok=True, said="complete, as the function needs them")


def look_at_secrets(environment: Mapping[str, str]) -> Iterator[Check]:
    """Say which secrets can be guessed, as far as their look tells, and which are one and the same."""
    names = ("CRON_SECRET", "CRON_SECRET_PREVIOUS", "BOOKING_WEBHOOK_SECRET")
    given = {name: environment[name] for name in names if environment.get(name, "").strip()}
    weak = [name for name, secret in given.items() if _bits(secret) < RANDOM_BITS]
    for name in weak:
        yield Check("secrets", ok=False, said=f"{name} repeats itself: make one with `openssl rand -hex 32`")
    if len(set(given.values())) < len(given):
        yield Check("secrets", ok=False, said=f"{' and '.join(given)} are not all different: give each one of its own")
    keys = ("SESSION_ENCRYPTION_KEY", "SESSION_ENCRYPTION_KEY_PREVIOUS")
    soft = [name for name in keys if _is_soft(environment.get(name, ""))]
    for name in soft:
        yield Check("secrets", ok=False, said=f"{name} is not random: make one with `openssl rand -base64 32`")
    if not weak and not soft and len(set(given.values())) == len(given):
        yield Check("secrets", ok=True, said="look random, and differ")


def look_at_database(facts: Facts) -> Iterator[Check]:
    """Say whether it is migrated to this version, and whether this key may do what is needed."""
    missing = [name for name in FUNCTIONS if name not in facts.functions]
    forbidden = [name for name, may in facts.functions.items() if not may]
    if missing:
        yield Check("migrations", ok=False, said=f"functions that are missing: {len(missing)}: run `supabase db push`")
    else:
        yield Check("migrations", ok=True, said=f"all {len(FUNCTIONS)} functions are there")
    if forbidden or facts.role != "service_role":
        said = f"the key is of the role {facts.role}, which may not do all: use the project's secret key"
        yield Check("role", ok=False, said=said)
    else:
        yield Check("role", ok=True, said="service_role, and it may execute them all")


def look_at_clock(whose: str, at: datetime, asked: Reading, clock: Clock, *, grain: timedelta) -> Check:
    """Compare a clock that was read between ``asked`` and now with ours; ``grain`` is how coarse it tells the time."""
    waited = timedelta(seconds=asked.elapsed(clock))
    middle = asked.wall + waited / 2
    off = abs((at + grain / 2 - middle).total_seconds())
    unsure = (waited / 2 + grain / 2).total_seconds()
    if off - unsure > CLOCK_SKEW:
        return Check(whose, ok=False, said=f"differs from ours by {off:.0f} s: let this machine's clock be set (NTP)")
    return Check(whose, ok=True, said=f"differs from ours by {off:.1f} s, give or take {unsure:.1f} s")


def look_at_bell(bell: BellState, environment: Mapping[str, str]) -> Check:
    """Say whether the bell, if it is on, has what it needs and the lead that the function has."""
    lead = environment.get("LEAD_SECONDS", "").strip() or "0"
    if not bell.on:
        return Check("bell", ok=True, said="is off: the cron alone triggers")
    if bell.missing:
        return Check("bell", ok=False, said=f"needs {'; '.join(bell.missing)}")
    if lead not in (f"{bell.lead_seconds:g}", f"{bell.lead_seconds:.1f}"):
        said = (
            f"rings {bell.lead_seconds:g} s ahead, LEAD_SECONDS is {lead}: set it to {bell.lead_seconds:g} and redeploy"
        )
        return Check("bell", ok=False, said=said)
    return Check("bell", ok=True, said=f"is on, {bell.lead_seconds:g} s ahead, as LEAD_SECONDS says")


def _bits(secret: str) -> float:
    """Return how much a secret's characters surprise, in bits (Shannon)."""
    counts = Counter(secret).values()
    return -sum(count * math.log2(count / len(secret)) for count in counts)


def _is_soft(text: str) -> bool:
    try:
        return bool(text.strip()) and len(set(session_key(text))) < RANDOM_BYTES
    except ValueError:
        return False  # the settings' own finding
