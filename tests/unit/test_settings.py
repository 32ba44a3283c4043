"""Valid and invalid environment variables; no value is ever shown."""

from __future__ import annotations

import base64
import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from prebooking.errors import SettingsError
from prebooking.settings import (
    BUFFER,
    CLOCK_SKEW,
    LAST_START,
    LONGEST_VENUE_DELAY,
    MAX_DURATION,
    Settings,
    WatchSettings,
)
from tests.support.world import ENVIRONMENT as LOCAL

ENVIRONMENT = LOCAL | {
    "SUPABASE_URL": "https://project.supabase.co",
    "BOOKING_WEBHOOK_URL": "https://book.example.com/prebookings",
}
SECRETS = ["CRON_SECRET", "SUPABASE_SERVICE_ROLE_KEY", "BOOKING_WEBHOOK_SECRET"]
CANARY = "canary0123456789"
KEY = base64.b64encode(bytes(range(32))).decode()


def read(**environment: str) -> Settings:
    return Settings.from_environment(ENVIRONMENT | environment)


def problems(**environment: str) -> dict[str, str]:
    """Return one message per invalid variable."""
    try:
        read(**environment)
    except SettingsError as exc:
        return exc.problems
    return {}


def shown(exc: SettingsError) -> str:
    """Return everything that a log could show of an exception."""
    return "\n".join([str(exc), repr(exc), repr(exc.args), repr(exc.problems), *traceback.format_exception(exc)])


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.signature"


def test_a_missing_variable_has_its_default() -> None:
    settings = read()
    assert (settings.execution_timeout_seconds, settings.lease_seconds) == (8, 30)
    assert (settings.stagger_ms, settings.lead_seconds, settings.cron_secret_previous) == (50, 1, None)


def test_variables_are_read() -> None:
    numbers = {"EXECUTION_TIMEOUT_SECONDS": "5.5", "STAGGER_MS": "80", "LEAD_SECONDS": "3", "LEASE_SECONDS": "60"}
    settings = read(**numbers, SUPABASE_URL="https://project.supabase.co/", CRON_SECRET_PREVIOUS="the-secret-before-it")
    assert (settings.execution_timeout_seconds, settings.stagger_ms) == (5.5, 80)
    assert (settings.lead_seconds, settings.lease_seconds) == (3, 60)
    assert settings.supabase_url == "https://project.supabase.co"
    assert settings.booking_webhook_url == "https://book.example.com/prebookings"
    assert settings.supabase_service_role_key.get_secret_value() == "sb_secret_of_the_tests"
    assert settings.booking_webhook_secret is not None
    assert settings.booking_webhook_secret.get_secret_value() == "the-secret-of-the-venue"
    assert settings.cron_secrets == ["the-secret-of-the-cron", "the-secret-before-it"]


def test_an_empty_environment_names_exactly_the_required_variables() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({})
    assert set(caught.value.problems) == set(ENVIRONMENT)
    assert all("is missing" in problem for problem in caught.value.problems.values())


@pytest.mark.parametrize("blank", ["", " ", "\t\n "])
@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_blank_variable_counts_as_missing(name: str, blank: str) -> None:
    [(named, sentence)] = problems(**{name: blank}).items()
    assert (named, sentence.startswith("is missing: set it in the project's environment variables")) == (name, True)


def test_a_deployment_for_one_venue_system_needs_only_its_variables() -> None:
    neither = dict.fromkeys(("BOOKING_WEBHOOK_URL", "BOOKING_WEBHOOK_SECRET"), "")
    assert problems(**neither, SESSION_ENCRYPTION_KEY=KEY) == {}
    assert set(problems(BOOKING_WEBHOOK_SECRET="", SESSION_ENCRYPTION_KEY=KEY)) == {"BOOKING_WEBHOOK_SECRET"}
    assert set(problems(**neither)) == set(neither)


@pytest.mark.parametrize("name", ["SESSION_ENCRYPTION_KEY", "SESSION_ENCRYPTION_KEY_PREVIOUS"])
@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_session_key_has_32_bytes(name: str, size: int) -> None:
    unfit = base64.b64encode(bytes(size)).decode() or f"?{KEY}"
    assert problems(**{name: unfit}) == {name: "is not 32 bytes in base64: make one with `openssl rand -base64 32`"}


@pytest.mark.parametrize("database", ["https://project.supabase.co", "http://10.0.0.7:8000"])
def test_the_aimharder_twin_is_only_for_the_local_stack(database: str) -> None:
    local = {"SUPABASE_URL": "http://127.0.0.1:54321", "AIMHARDER_TWIN_URL": "http://127.0.0.1:9"}
    assert problems(**local) == {}
    assert set(problems(**local | {"SUPABASE_URL": database})) == {"AIMHARDER_TWIN_URL"}
    assert set(problems(**local | {"AIMHARDER_TWIN_URL": "http://evil.example"})) == {"AIMHARDER_TWIN_URL"}


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields if name.upper() not in ENVIRONMENT])
def test_a_blank_variable_gets_its_default(name: str) -> None:
    assert read(**{name: "  "}) == read()


def test_all_invalid_variables_are_named_at_once() -> None:
    unfit = {
        "CRON_SECRET": "short",
        "CRON_SECRET_PREVIOUS": "short too",
        "SUPABASE_URL": "postgres://project",
        "SUPABASE_SERVICE_ROLE_KEY": "sb_publishable_key",
        "BOOKING_WEBHOOK_URL": "http://book.example.com",
        "EXECUTION_TIMEOUT_SECONDS": "9",
        "STAGGER_MS": "5",
        "LEAD_SECONDS": "6",
        "LEASE_SECONDS": "5",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(unfit)
    assert set(caught.value.problems) == {*unfit, "BOOKING_WEBHOOK_SECRET"}
    assert all(f"{name}: {problem}" in str(caught.value) for name, problem in caught.value.problems.items())


def test_the_secret_key_can_have_its_newer_name() -> None:
    environment = ENVIRONMENT | {"SUPABASE_SERVICE_ROLE_KEY": " ", "SUPABASE_SECRET_KEY": "sb_secret_by_its_new_name"}
    settings = Settings.from_environment(environment)
    assert settings.supabase_service_role_key == SecretStr("sb_secret_by_its_new_name")


def test_the_first_name_of_the_secret_key_takes_precedence() -> None:
    assert read(SUPABASE_SECRET_KEY="sb_secret_other").supabase_service_role_key == SecretStr("sb_secret_of_the_tests")


@pytest.mark.parametrize("name", ["CRON_SECRET", "CRON_SECRET_PREVIOUS", "BOOKING_WEBHOOK_SECRET"])
@pytest.mark.parametrize(
    "secret",
    ["x" * 15, "x" * 20 + "\n", " " + "x" * 20, "x" * 20 + " ", "two words of one secret", "ñ" * 20, "x" * 20 + "\x00"],
)
def test_a_short_or_unprintable_secret_is_refused(name: str, secret: str) -> None:
    assert list(problems(**{name: secret})) == [name]


def test_an_invalid_setting_of_a_watcher_stops_no_booking() -> None:
    unfit = {"METRICS_SECRET": "x" * 15, "HEARTBEAT_URL": "http://hc.example.com/check"}
    assert problems(**unfit) == {}
    with pytest.raises(SettingsError) as caught:
        WatchSettings.from_environment(ENVIRONMENT | unfit)
    assert set(caught.value.problems) == set(unfit)


@pytest.mark.parametrize("secret", ["x" * 16, "!#$%&'*+-.^_`|~:/=,;?@[]{}", "x" * 100])
def test_a_printable_secret_of_sixteen_characters_is_accepted(secret: str) -> None:
    assert problems(CRON_SECRET=secret, BOOKING_WEBHOOK_SECRET=secret) == {}


@pytest.mark.parametrize(
    "key",
    [
        "sb_publishable_0123456789",
        jwt(role="anon"),
        jwt(role="authenticated"),
        jwt(role=None),
        jwt(role=["service_role"]),
        "sb_secret_with a space",
        "sb_secret_and_newline\n",
        "sb_secret_ñ",
        '"sb_secret_quoted" ',
    ],
)
def test_a_browser_key_or_an_unprintable_key_is_refused(key: str) -> None:
    assert list(problems(SUPABASE_SERVICE_ROLE_KEY=key)) == ["SUPABASE_SERVICE_ROLE_KEY"]


@pytest.mark.parametrize("key", ["sb_secret_0123-4567_89", jwt(role="service_role"), jwt(ref="a project"), "a.b.c"])
def test_a_key_of_an_unknown_kind_is_accepted(key: str) -> None:
    assert problems(SUPABASE_SERVICE_ROLE_KEY=key) == {}


NUMBERS = [
    *[("EXECUTION_TIMEOUT_SECONDS", value) for value in ["2.9", "8.001", "0", "-8", "1e9", "-inf"]],
    *[("STAGGER_MS", value) for value in ["9", "1001", "0", "-50", "50.5", "5e1", "9" * 5000]],
    *[("LEAD_SECONDS", value) for value in ["-0.1", "5.1", "-inf"]],
    *[("LEASE_SECONDS", value) for value in ["27.9", "301", "0", "-30", "-inf"]],
    *[
        (name, value)
        for name in ["EXECUTION_TIMEOUT_SECONDS", "STAGGER_MS", "LEAD_SECONDS", "LEASE_SECONDS"]
        for value in ["nan", "inf", "eight", "8,0", "8 s", "0x8", "٨", "true", "None", "[8]"]
    ],
]


@pytest.mark.parametrize(("name", "value"), NUMBERS, ids=[f"{name}={value[:9]}" for name, value in NUMBERS])
def test_a_number_out_of_range_or_a_word_is_refused(name: str, value: str) -> None:
    assert list(problems(**{name: value})) == [name]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("EXECUTION_TIMEOUT_SECONDS", "3", "8"),
        ("STAGGER_MS", "10", "1000"),
        ("LEAD_SECONDS", "0", "5"),
        ("LEASE_SECONDS", "28", "300"),
    ],
)
def test_the_limits_of_a_range_are_accepted(name: str, least: str, most: str) -> None:
    assert problems(**{name: least}) == problems(**{name: most}) == {}


def test_max_duration_covers_the_guard_and_its_buffer() -> None:
    vercel = json.loads((Path(__file__).parents[2] / "vercel.json").read_text())
    assert {function["maxDuration"] for function in vercel["functions"].values()} == {MAX_DURATION}
    assert problems(EXECUTION_TIMEOUT_SECONDS=f"{MAX_DURATION - BUFFER}") == {}
    refused = problems(EXECUTION_TIMEOUT_SECONDS=f"{MAX_DURATION - BUFFER + 0.01}")
    assert refused == {"EXECUTION_TIMEOUT_SECONDS": "Input should be less than or equal to 8"}


def test_the_shortest_guard_still_leaves_time_to_start_a_call() -> None:
    assert read(EXECUTION_TIMEOUT_SECONDS="3").execution_timeout_seconds > LAST_START


@pytest.mark.parametrize("guard", ["3", "5", "8"])
def test_a_lease_must_outlast_the_guard_the_slowest_venue_and_clock_skew(guard: str) -> None:
    least = float(guard) + LONGEST_VENUE_DELAY + CLOCK_SKEW
    assert problems(EXECUTION_TIMEOUT_SECONDS=guard, LEASE_SECONDS=f"{least}") == {}
    refused = problems(EXECUTION_TIMEOUT_SECONDS=guard, LEASE_SECONDS=f"{least - 0.1}")
    assert list(refused) == ["LEASE_SECONDS"]
    assert f"at least {least:g}" in refused["LEASE_SECONDS"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().stagger_ms = 1  # type: ignore[misc]


UNFIT = {
    "CRON_SECRET": f"{CANARY} ",
    "CRON_SECRET_PREVIOUS": f"{CANARY}\n",
    "SUPABASE_URL": f"ftp://{CANARY}.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": f"sb_publishable_{CANARY}",
    "BOOKING_WEBHOOK_URL": f"http://u:{CANARY}@book.example.com",
    "BOOKING_WEBHOOK_SECRET": f"ñ{CANARY}",
    "EXECUTION_TIMEOUT_SECONDS": CANARY,
    "STAGGER_MS": CANARY,
    "LEAD_SECONDS": CANARY,
    "LEASE_SECONDS": CANARY,
}


@pytest.mark.parametrize("name", sorted(UNFIT))
def test_the_value_of_an_invalid_variable_is_never_shown(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: UNFIT[name]})
    assert list(caught.value.problems) == [name]
    assert "canary" not in shown(caught.value)


def test_several_invalid_variables_show_no_value() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(UNFIT)
    assert set(caught.value.problems) == set(UNFIT)
    assert "canary" not in shown(caught.value)


def test_a_valid_address_is_not_in_the_repr() -> None:
    settings = read(
        SUPABASE_URL=f"https://{CANARY}.supabase.co", BOOKING_WEBHOOK_URL=f"https://a.example/?key={CANARY}"
    )
    assert "canary" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("name", [*SECRETS, "CRON_SECRET_PREVIOUS"])
def test_a_valid_secret_is_never_shown(name: str) -> None:
    settings = read(**{name: CANARY})
    assert "canary" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_environment_of_the_tests_is_valid() -> None:
    assert Settings.from_environment(LOCAL).supabase_url == LOCAL["SUPABASE_URL"]


QUOTED = "is in quotes: set the value without them"


@pytest.mark.parametrize(
    "quotes", ['""', "''", "``", "\u201c\u201d", "\u201e\u201c", "\u2018\u2019", "\u00ab\u00bb", "\u201d\u201d", "\"'"]
)
@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_quotes_round_a_value_are_refused_by_name(name: str, quotes: str) -> None:
    value = ENVIRONMENT.get(name) or {"CRON_SECRET_PREVIOUS": "the-secret-before-it"}.get(name, KEY)
    assert problems(**{name: f" {quotes[0]}{value}{quotes[1]}\n"})[name] == QUOTED


def test_quotes_round_nothing_are_refused_by_name() -> None:
    assert problems(LEAD_SECONDS='""') == {"LEAD_SECONDS": QUOTED}


def test_quotes_round_the_newer_name_of_the_key_are_refused_too() -> None:
    unset = {"SUPABASE_SERVICE_ROLE_KEY": "", "SUPABASE_SECRET_KEY": '"sb_secret_of_the_tests"'}
    assert problems(**unset) == {"SUPABASE_SERVICE_ROLE_KEY": QUOTED}


@pytest.mark.parametrize("secret", ['"the-secret-of-the-cron', "the-secret's-of-the-cron", "the-secret-of-the-cron`"])
def test_a_secret_may_hold_a_quote(secret: str) -> None:
    assert problems(CRON_SECRET=secret) == {}


def test_missing_certificates_are_named_with_the_other_problems(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert problems(SSL_CERT_FILE=missing, SSL_CERT_DIR=missing, STAGGER_MS="5").keys() == {
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "STAGGER_MS",
    }
    assert problems(SSL_CERT_FILE=missing) == {
        "SSL_CERT_FILE": "names a file that does not exist: correct it, or remove it"
    }
    assert set(problems(SSL_CERT_FILE=str(tmp_path))) == {"SSL_CERT_FILE"}, "a folder is no file"


def test_existing_certificates_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "authorities.pem").touch()
    assert problems(SSL_CERT_FILE=str(tmp_path / "authorities.pem"), SSL_CERT_DIR=str(tmp_path)) == {}
    assert problems(SSL_CERT_FILE="", SSL_CERT_DIR="") == {}
