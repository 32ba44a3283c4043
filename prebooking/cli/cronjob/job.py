"""The job of each function: what cron-job.org should have, and how a job that it has differs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

PATHS = {"scheduler": "/api/cron/prebooking_scheduler", "upkeep": "/api/cron/upkeep"}
_TITLE = re.compile(r"prebooking (scheduler|upkeep) at \S+")

POST = 1  # RequestMethod
TIMEOUT = 15  # seconds: longer than the function may run; 30 is the most of a free account
_EVERY = [-1]  # in each field of a schedule
_ALL = {"hours": range(24), "mdays": range(1, 32), "minutes": range(60), "months": range(1, 13), "wdays": range(7)}
# JobStatus
_STATUS = {
    0: "not executed yet",
    1: "OK",
    2: "failed: DNS error",
    3: "failed: no connection",
    4: "failed: HTTP error",
    5: "failed: timeout",
    6: "failed: too much response data",
    7: "failed: invalid URL",
}


def _without_list(value: object) -> object:
    """Return {} for an empty list, because PHP writes an empty dictionary as one."""
    return {} if value == [] else value


class _FromApi(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, alias_generator=to_camel)


class JobSchedule(_FromApi):
    """When a job is executed. ``expires_at``: 0 means never."""

    hours: list[int] = []
    mdays: list[int] = []
    minutes: list[int] = []
    months: list[int] = []
    wdays: list[int] = []
    expires_at: int = 0

    def is_every_minute(self) -> bool:
        """Return whether the job is executed once a minute, for ever."""
        fields = {name: getattr(self, name) for name in _ALL}
        return self.expires_at == 0 and all(
            -1 in values or {*values} >= {*_ALL[name]} for name, values in fields.items()
        )


class JobNotification(_FromApi):
    """What the account's owner is told about a job."""

    on_failure: bool = False
    on_success: bool = False
    on_disable: bool = False


class JobAuth(_FromApi):
    """HTTP basic authentication, which would replace the bearer."""

    enable: bool = False


class JobExtendedData(_FromApi):
    """The headers of a job's request, which contain its secret."""

    headers: Annotated[dict[str, str], BeforeValidator(_without_list)] = Field({}, repr=False)
    body: str = Field("", repr=False)


class ListedJob(_FromApi):
    """A job in the list of an account."""

    job_id: int
    enabled: bool = False
    title: str = ""
    url: str = ""
    last_status: int = 0

    @property
    def is_marked(self) -> bool:
        """Return whether the title is one of ours."""
        return bool(_TITLE.fullmatch(self.title))

    @property
    def last(self) -> str:
        """Return how the last execution ended."""
        return _STATUS.get(self.last_status, "failed")


class DetailedJob(ListedJob):
    """A job with all its settings."""

    request_method: int = 0
    request_timeout: int = -1
    schedule: JobSchedule = JobSchedule()
    notification: JobNotification = JobNotification()
    auth: JobAuth = JobAuth()
    extended_data: Annotated[JobExtendedData, BeforeValidator(_without_list)] = Field(JobExtendedData(), repr=False)


@dataclass(frozen=True, slots=True)
class WantedJob:
    """The job of one function. ``bearer`` is None if the secret is not known here."""

    role: str
    origin: str
    bearer: SecretStr | None = field(repr=False)

    @property
    def host(self) -> str:
        """Return the app's host."""
        return urlsplit(self.origin).netloc

    @property
    def title(self) -> str:
        """Return the title, by which the job is found again."""
        return f"prebooking {self.role} at {self.host}"

    @property
    def url(self) -> str:
        """Return the function's address."""
        return f"{self.origin}{PATHS[self.role]}"

    def as_json(self) -> dict[str, Any]:
        """Return the job as it is created."""
        return {
            "title": self.title,
            "url": self.url,
            "enabled": True,
            "saveResponses": False,
            "requestMethod": POST,
            "requestTimeout": TIMEOUT,
            "schedule": _every_minute(),
            "notification": _notification(JobNotification()),
            "extendedData": {"headers": self._headers({}), "body": ""},
        }

    def calls(self, url: str) -> bool:
        """Return whether an address is this function's: its path may have hyphens, and a query."""
        ours, other = urlsplit(self.url), urlsplit(url)
        path = other.path.rstrip("/").replace("-", "_")
        return (other.hostname, path) == (ours.hostname, ours.path)

    def changes(self, job: DetailedJob) -> dict[str, Any]:
        """Return the delta for a job that has to be repaired: {} if nothing has to be."""
        told, data = job.notification, job.extended_data
        settings: dict[str, tuple[bool, Any]] = {  # whether it is right, and what it should be
            "enabled": (job.enabled, True),
            "title": (job.title == self.title, self.title),
            "url": (self.calls(job.url) and job.url.startswith("https://"), self.url),
            "requestMethod": (job.request_method == POST, POST),
            "requestTimeout": (job.request_timeout >= TIMEOUT, TIMEOUT),
            "schedule": (job.schedule.is_every_minute(), _every_minute()),
            "notification": (told.on_failure and told.on_disable, _notification(told)),
            "auth": (not job.auth.enable, {"enable": False, "user": "", "password": ""}),
            "extendedData": (
                self._has_bearer(data.headers),
                {"headers": self._headers(data.headers), "body": data.body},
            ),
        }
        return {name: value for name, (is_right, value) in settings.items() if not is_right}

    def _has_bearer(self, headers: Mapping[str, str]) -> bool:
        """Return whether the right bearer is the only Authorization; if it is not known here, whether there is one."""
        found = [value for name, value in headers.items() if name.lower() == "authorization"]
        if self.bearer is None:
            return len(found) == 1 and found[0].startswith("Bearer ")
        return found == [f"Bearer {self.bearer.get_secret_value()}"]

    def _headers(self, others: Mapping[str, str]) -> dict[str, str]:
        """Return the headers: those of others stay, for example one that passes Vercel's deployment protection."""
        kept = {name: value for name, value in others.items() if name.lower() != "authorization"}
        return kept | ({"Authorization": f"Bearer {self.bearer.get_secret_value()}"} if self.bearer else {})


def _every_minute() -> dict[str, Any]:
    return {"timezone": "UTC", "expiresAt": 0} | dict.fromkeys(_ALL, _EVERY)


def _notification(before: JobNotification) -> dict[str, bool]:
    return {"onFailure": True, "onSuccess": before.on_success, "onDisable": True}
