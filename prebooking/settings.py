"""Settings from environment variables. One error names all invalid variables, and never shows a value."""

from __future__ import annotations

import base64
import hashlib
import json
import os.path
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from prebooking import systems
from prebooking.addresses import is_loopback, is_private, public_address, web_address
from prebooking.errors import SettingsError
from prebooking.systems import SYSTEMS

MAX_DURATION = 10.0  # seconds until the platform kills the function: maxDuration in vercel.json
BUFFER = 2.0  # seconds between the guard and MAX_DURATION: 1 for the last writes, 1 for the answer
LAST_START = 2.0  # seconds before the guard after which no call starts, because a venue needs time to answer
LONGEST_VENUE_DELAY = 15.0  # seconds after the guard until which a venue may still process a call
CLOCK_SKEW = 5.0  # seconds: the assumed largest difference between two clocks

_MISSING = "is missing: set it in the project's environment variables"
_PREVIEW = (
    "is not production: only the production deployment may run. For a preview with a database of its own, set"
    " RUN_OUTSIDE_PRODUCTION to true"
)
_QUOTES = frozenset("\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u2039\u203a\u00ab\u00bb")


def _secret(value: str) -> str:
    if len(value) < 16:  # noqa: PLR2004 - the message names the number
        raise ValueError("is too short: use at least 16 characters, for instance from `openssl rand -hex 32`")
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("has spaces, newlines or characters outside ASCII, which are not allowed in a header")
    return value


def _role(key: str) -> str | None:
    """Return the role in a legacy key (a JWT), without verifying it; None if the key is not a JWT."""
    try:
        payload = key.split(".")[1]
        role = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["role"]
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return str(role)


def _service_key(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("has spaces, newlines or characters outside ASCII: copy the key alone")
    if value.startswith("sb_publishable_") or _role(value) not in (None, "service_role"):
        raise ValueError("is a key for browsers, which cannot read any row: use the secret (service_role) key")
    return value


def session_key(value: str) -> bytes:
    """Decode a session key to its 32 bytes. Raises a ValueError that does not contain the value."""
    try:
        key = base64.b64decode(value.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:  # noqa: PLR2004 - the message names the number
        raise ValueError("is not 32 bytes in base64: make one with `openssl rand -base64 32`")
    return key


def key_id(key: bytes) -> str:
    """Return the id of a session key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]


def _session_key(value: SecretStr) -> SecretStr:
    session_key(value.get_secret_value())
    return value


Secret = Annotated[SecretStr, AfterValidator(lambda s: SecretStr(_secret(s.get_secret_value())))]
SessionKey = Annotated[SecretStr, AfterValidator(_session_key)]


class DatabaseSettings(BaseModel):
    """The address and the key of the database. Field names are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    supabase_url: Annotated[str, AfterValidator(web_address)] = Field(repr=False)
    supabase_service_role_key: Annotated[
        SecretStr, AfterValidator(lambda s: SecretStr(_service_key(s.get_secret_value())))
    ]
    run_outside_production: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and validate all variables; a blank variable counts as missing.

        Raises:
            SettingsError: with one message per missing or invalid variable.

        """
        given = {name: value for name in cls.model_fields if (value := environment.get(name.upper(), "")).strip()}
        if (newer_name := environment.get("SUPABASE_SECRET_KEY", "")).strip():
            given.setdefault("supabase_service_role_key", newer_name)
        problems = cls._missing(environment) | _certificates(environment)
        try:
            settings = cls.model_validate(given)
        except ValidationError as exc:
            raise SettingsError(_problems(exc) | problems) from None
        if problems:
            raise SettingsError(problems)
        return settings

    def check_deployment(self, environment: Mapping[str, str]) -> None:
        """Raise a SettingsError in a preview, which has the variables and the database of the production by default.

        ``VERCEL_ENV`` is production, preview or development, and is set only on Vercel:
        https://vercel.com/docs/environment-variables/system-environment-variables
        """
        if environment.get("VERCEL_ENV", "production") != "production" and not self.run_outside_production:
            raise SettingsError({"VERCEL_ENV": _PREVIEW})

    @classmethod
    def _missing(cls, environment: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG003 - Settings overrides it
        """Return one message per missing variable that is not a required field."""
        return {}

    @field_validator("*", mode="before")
    @classmethod
    def _without_quotes(cls, value: object) -> object:
        """Refuse a value in quotes, because the quotes would become part of it."""
        if isinstance(value, str) and len(text := value.strip()) > 1 and _QUOTES.issuperset((text[0], text[-1])):
            raise ValueError("is in quotes: set the value without them")
        return value

    @field_validator("supabase_url")
    @classmethod
    def _a_bare_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.path not in ("", "/") or "?" in value:
            raise ValueError("has a path: give the project's address alone, https://<project>.supabase.co")
        if parts.scheme == "http" and not is_private(parts.hostname or ""):
            raise ValueError("is http to a public host, which would send the key unencrypted: use https")
        return value.rstrip("/")


class AccountSettings(DatabaseSettings):
    """The settings needed to log members in and to keep their logins."""

    session_encryption_key: SessionKey | None = None
    session_encryption_key_previous: SessionKey | None = None
    aimharder_twin_url: Annotated[str, AfterValidator(web_address)] | None = Field(None, repr=False)

    @field_validator("aimharder_twin_url")
    @classmethod
    def _only_on_one_machine(cls, value: str, info: ValidationInfo) -> str:
        if not (is_loopback(info.data.get("supabase_url", "")) and is_loopback(value)):
            raise ValueError("is only for the local stack, where database and venue are on this machine: remove it")
        return value

    @property
    def session_keys(self) -> list[bytes]:
        """Return the keys that decrypt members' sessions. The first one also encrypts."""
        given = (self.session_encryption_key, self.session_encryption_key_previous)
        return [session_key(key.get_secret_value()) for key in given if key]


class VenueSettings(AccountSettings):
    """The settings needed to call venues."""

    _systems: tuple[str, ...] = PrivateAttr(())  # names of the venue systems that are set up
    _variables: dict[str, str] = PrivateAttr(default_factory=dict)  # variables of venue systems that are not fields

    booking_webhook_url: Annotated[str, AfterValidator(web_address)] | None = Field(None, repr=False)
    booking_webhook_secret: Secret | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and validate all variables, including those of the venue systems. Raises SettingsError."""
        settings = super().from_environment(environment)
        names = systems.set_up(environment)
        settings._systems = tuple(names)  # noqa: SLF001 - private attributes of this class
        own = {name for system in names for name in SYSTEMS[system].variables if name.lower() not in cls.model_fields}
        settings._variables = {name: environment[name].strip() for name in own}  # noqa: SLF001 - private attributes of this class
        return settings

    @field_validator("booking_webhook_url")
    @classmethod
    def _a_public_endpoint(cls, value: str, info: ValidationInfo) -> str:
        return public_address(value, database=info.data.get("supabase_url", ""))

    @property
    def systems(self) -> tuple[str, ...]:
        """Return the names of the venue systems that are set up."""
        return self._systems

    def variable(self, name: str) -> str:
        """Return a venue system's variable that is not a field; empty if it is not set."""
        return self._variables.get(name, "")


class Settings(VenueSettings):
    """All settings of the cron functions."""

    cron_secret: Secret
    cron_secret_previous: Secret | None = None
    execution_timeout_seconds: float = Field(8, ge=3, le=MAX_DURATION - BUFFER, allow_inf_nan=False)
    stagger_ms: int = Field(50, ge=10, le=1000)
    lead_seconds: float = Field(1, ge=0, le=5, allow_inf_nan=False)
    lease_seconds: float = Field(30, le=300, allow_inf_nan=False)

    @classmethod
    def _missing(cls, environment: Mapping[str, str]) -> dict[str, str]:
        """Return one message per variable that is missing for the venue systems."""
        return systems.problems(environment)

    @field_validator("lease_seconds")
    @classmethod
    def _outlives_every_call(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("execution_timeout_seconds", 0) + LONGEST_VENUE_DELAY + CLOCK_SKEW
        if value < least:
            raise ValueError(
                f"is too short: at least {least:g}, which is EXECUTION_TIMEOUT_SECONDS + {LONGEST_VENUE_DELAY:g} s in"
                f" which a slow venue may still process a call + {CLOCK_SKEW:g} s clock difference",
            )
        return value

    @property
    def cron_secrets(self) -> list[str]:
        """Return the accepted bearer secrets."""
        return [s.get_secret_value() for s in (self.cron_secret, self.cron_secret_previous) if s]


class WatchSettings(DatabaseSettings):
    """The settings of what watches from outside. The booking function does not read them, so they stop no booking."""

    heartbeat_url: Annotated[str, AfterValidator(web_address)] | None = Field(None, repr=False)
    metrics_secret: Secret | None = None
    status_secret: Secret | None = None

    @field_validator("heartbeat_url")
    @classmethod
    def _a_public_watchdog(cls, value: str, info: ValidationInfo) -> str:
        return public_address(value, database=info.data.get("supabase_url", ""))


def _certificates(environment: Mapping[str, str]) -> dict[str, str]:
    """Return one message per certificate variable that names a missing file or folder."""
    kinds = {"SSL_CERT_FILE": ("file", os.path.isfile), "SSL_CERT_DIR": ("folder", os.path.isdir)}
    return {
        name: f"names a {kind} that does not exist: correct it, or remove it"
        for name, (kind, is_there) in kinds.items()
        if (path := environment.get(name)) and not is_there(path)
    }


def _problems(exc: ValidationError) -> dict[str, str]:
    """Return one message per variable. Pydantic's own messages contain the limit, never the value."""
    return {
        str(error["loc"][0]).upper(): _sentence(error) for error in exc.errors(include_input=False, include_url=False)
    }


def _sentence(error: Any) -> str:
    if error["type"] == "missing":
        return _MISSING
    return str(error["msg"]).removeprefix("Value error, ")
