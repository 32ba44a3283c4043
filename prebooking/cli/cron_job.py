"""``prebooking cron-job``: create, repair, show and remove the jobs at cron-job.org that call the functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr, TypeAdapter, ValidationError

from prebooking.addresses import public_address, web_address
from prebooking.cli.cronjob.client import CronJobAccount, open_account
from prebooking.cli.cronjob.job import PATHS, DetailedJob, ListedJob, WantedJob
from prebooking.cli.environment import environment
from prebooking.cli.options import AsJson
from prebooking.cli.runner import FAILED, run_command
from prebooking.cli.terminal import say, show_json, show_table
from prebooking.clock import Clock
from prebooking.errors import BadInput, SettingsError
from prebooking.settings import Secret

_KEY = "CRONJOB_API_KEY"
app = typer.Typer(help="The jobs at cron-job.org.", no_args_is_help=True, rich_markup_mode=None)

AppUrl = Annotated[str, typer.Argument(help="https://<your app>", metavar="URL", show_default=False)]

_WORDS = {
    "enabled": "switched off",
    "title": "its title",
    "url": "its address",
    "requestMethod": "its method",
    "requestTimeout": "its timeout",
    "schedule": "its schedule",
    "notification": "its notifications",
    "auth": "its HTTP authentication",
    "extendedData": "its Authorization header",
}


@app.command()
def on(url: AppUrl) -> None:
    """Create the two jobs at cron-job.org, or repair them.

    The account's key is read from CRONJOB_API_KEY, and the functions' secret from CRON_SECRET.
    """
    run_command(_on(url))


@app.command()
def off(url: AppUrl) -> None:
    """Remove the jobs of this app at cron-job.org."""
    run_command(_off(url))


@app.command()
def show(url: AppUrl, *, as_json: AsJson = False) -> None:
    """Show the jobs of this app at cron-job.org, and what is wrong with them."""
    run_command(_show(url, as_json=as_json))


# settings


def _origin(url: str) -> str:
    """Return the app's address without a path. Raises BadInput if cron-job.org cannot call it."""
    try:
        parts = urlsplit(public_address(web_address(url), database=""))
    except ValueError as exc:
        raise BadInput(f"The app's address {exc}.") from None
    if parts.path.replace("-", "_") not in ("", "/", *PATHS.values()) or "?" in url:
        raise BadInput("Give the app's address alone: https://<your app>")
    return f"https://{parts.netloc.lower()}"


def _secret(name: str, missing: str) -> SecretStr:
    """Return a secret from the environment. Raises SettingsError, without its value."""
    value = environment().get(name, "").strip()
    if not value:
        raise SettingsError({name: missing})
    try:
        return TypeAdapter[SecretStr](Secret).validate_python(value)
    except ValidationError as exc:
        [problem] = exc.errors(include_input=False, include_url=False)
        raise SettingsError({name: str(problem["msg"]).removeprefix("Value error, ")}) from None


def _key() -> SecretStr:
    try:
        return _secret(_KEY, "is missing: make one in Settings at console.cron-job.org")
    except SettingsError as exc:
        if "missing" in exc.problems[_KEY]:
            raise
        cure = "is not a key of cron-job.org: copy it again from Settings at console.cron-job.org"
        raise SettingsError({_KEY: cure}) from None


def _wanted(url: str, bearer: SecretStr | None) -> list[WantedJob]:
    return [WantedJob(role, _origin(url), bearer) for role in PATHS]


# which jobs


@dataclass(frozen=True, slots=True)
class FoundJobs:
    """The jobs of one function: the one that stays, further ones with our title, and others with its address."""

    keep: ListedJob | None
    duplicates: Sequence[ListedJob]
    others: Sequence[ListedJob]


def _find(wanted: WantedJob, jobs: Sequence[ListedJob]) -> FoundJobs:
    """Find the jobs of a function. Without one of our title, the oldest with its address is taken over."""
    in_order = sorted(jobs, key=lambda job: job.job_id)
    marked = [job for job in in_order if job.title == wanted.title]
    others = [job for job in in_order if wanted.calls(job.url) and not job.is_marked]
    if marked:
        return FoundJobs(marked[0], marked[1:], others)
    return FoundJobs(others[0] if others else None, (), others[1:])


# the commands


async def _on(url: str) -> None:
    key, bearer = _key(), _secret("CRON_SECRET", "is missing: set it to the function's")
    wanted = _wanted(url, bearer)
    async with open_account(key, Clock()) as account:
        jobs = await account.jobs()
        lines = [line for one in wanted for line in await _set_up(account, one, _find(one, jobs))]
    say(*lines or [f"Nothing to do: both jobs call https://{wanted[0].host} every minute."])
    say(*(line for one in wanted for line in _explain_others(_find(one, jobs))))


async def _set_up(account: CronJobAccount, wanted: WantedJob, found: FoundJobs) -> list[str]:
    """Create or repair a job, then remove its duplicates. Return what was done."""
    done = []
    if found.keep is None:
        await account.create(wanted.as_json())
        done.append(f"Created: {wanted.title}, a POST every minute.")
    else:
        job = await account.details(found.keep.job_id)
        if delta := wanted.changes(job):
            await account.change(job.job_id, delta)
            done.append(f"Repaired: {wanted.title} ({_describe(delta)}).{_why_disabled(job)}")
    for duplicate in found.duplicates:
        await account.remove(duplicate.job_id)
        done.append(f"Removed: a second {wanted.title}.")
    return done


def _describe(delta: dict[str, Any]) -> str:
    return ", ".join(_WORDS[name] for name in delta)


def _why_disabled(job: DetailedJob) -> str:
    """Return a hint for a job that was probably disabled by cron-job.org, after many failures."""
    if job.enabled or not job.last.startswith("failed"):
        return ""
    return f" Its last execution {job.last}: look for the cause with `prebooking doctor`, or it is disabled again."


def _explain_others(found: FoundJobs) -> list[str]:
    return [
        f"Job {job.job_id} calls the same address and has another title: remove it at console.cron-job.org if it is not"
        " needed."
        for job in found.others
    ]


async def _off(url: str) -> None:
    wanted = _wanted(url, None)
    async with open_account(_key(), Clock()) as account:
        jobs = await account.jobs()
        marked = [job for one in wanted for job in jobs if job.title == one.title]
        for job in marked:
            await account.remove(job.job_id)
            say(f"Removed: {job.title}.")
    if not marked:
        say(f"Nothing to do: this account has no jobs of prebooking for https://{wanted[0].host}.")
    left = [job for job in jobs if job not in marked and any(one.calls(job.url) for one in wanted)]
    say(*_explain_others(FoundJobs(None, (), left)))


async def _show(url: str, *, as_json: bool) -> None:
    given = environment().get("CRON_SECRET", "").strip()
    wanted = _wanted(url, _secret("CRON_SECRET", "") if given else None)
    async with open_account(_key(), Clock()) as account:
        jobs = await account.jobs()
        found = [await _look(account, one, _find(one, jobs)) for one in wanted]
    if as_json:
        show_json(found)
    else:
        rows = [(one["title"], one["last"], ", ".join(one["faults"]) or "every minute") for one in found]
        show_table(("Job", "Last execution", "State"), rows, shrink={"State": 20, "Job": 20})
        say(*(line for one in wanted for line in _explain_others(_find(one, jobs))))
    if any(one["faults"] for one in found):
        if not as_json:
            say(f"Repair them: prebooking cron-job on https://{wanted[0].host}")
        raise typer.Exit(FAILED)


async def _look(account: CronJobAccount, wanted: WantedJob, found: FoundJobs) -> dict[str, Any]:
    """Return what is shown of a job."""
    if found.keep is None:
        return {"title": wanted.title, "job_id": None, "last": "never", "faults": ["missing"]}
    job = await account.details(found.keep.job_id)
    wrong = [re.sub(r"^its (.*)", r"wrong: \1", _WORDS[name]) for name in wanted.changes(job)]
    twice = ["there twice"] if found.duplicates else []
    return {"title": wanted.title, "job_id": job.job_id, "last": job.last, "faults": wrong + twice}
