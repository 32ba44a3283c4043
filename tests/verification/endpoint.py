"""Checks the endpoint with raw requests to a real process, and that bad configurations fail closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prebooking.local.function import PATH, Function
from tests.support.peers import unused_port
from tests.support.world import ENVIRONMENT
from tests.verification import exceptions
from tests.verification.canaries import Canaries
from tests.verification.configurations import BAD
from tests.verification.part import Part, Result, Share
from tests.verification.raw_requests import NOT_CONFIGURED, REQUESTS, SECRET, Raw, send
from tests.verification.watch import Watch, watching

_ROOT = Path(__file__).parents[2]


def complaint(function: Function, raw: Raw) -> str | None:
    """Send a request; return what is wrong with the response."""
    answer = send(function, raw.request, *raw.headers, body=raw.body, version=raw.version)
    wrong = raw.expected.complaint(answer)
    return wrong and f"{raw.name}: {wrong}"


def violations(function: Function, requests: Iterable[Raw]) -> list[str]:
    """Send every request, and return what is wrong with the responses."""
    return [wrong for raw in requests if (wrong := complaint(function, raw))]


def outbound_violations(watch: Watch, function: Function, database_port: int) -> list[str]:
    """Return the function's connections; check that the watch sees the one of an authorised request."""
    before = [f"a connection to {host}:{port}" for host, port in watch.connections()]
    authorised = send(function, f"POST {PATH}", f"Authorization: Bearer {SECRET}")
    seen = ("127.0.0.1", database_port) in watch.connections()
    unseen = (
        [] if seen and authorised.status == 500 else ["the watch does not work: the right secret led to no connection"]
    )
    return before + unseen


@dataclass(slots=True)
class Observed:
    """The responses and the log of a process with a bad configuration."""

    answers: list[list[Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


def observed_configurations(watch: Watch) -> list[Observed]:
    """Run the function under every bad configuration, in one watched process."""
    command = [sys.executable, "-m", "tests.verification.configurations"]
    done = subprocess.run(
        command, cwd=_ROOT, env={**os.environ, **watch.environment}, capture_output=True, text=True, check=True
    )
    observed = [Observed() for _ in BAD]
    current = Observed()
    for line in (done.stdout + done.stderr).splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if "configuration" in event:
            current = observed[event["configuration"]]
        elif "answers" in event:
            current.answers = event["answers"]
        else:
            current.log.append(line)
    return observed


def configuration_violations(name: str, value: str, observed: Observed) -> Iterator[str]:
    """Return how a bad configuration did not fail closed, was not named, or was shown."""
    fixed = [500, NOT_CONFIGURED.decode()]
    if not observed.answers or any(answer != fixed for answer in observed.answers):
        yield f"{name}={value!r}: responded {observed.answers}"
    problems = [json.loads(line).get("problems", {}) for line in observed.log if line.startswith("{")]
    if len(problems) != len(observed.answers) or any(list(problem) != [name] for problem in problems):
        yield f"{name}={value!r}: the log names {problems[:1]}"
    shown = "\n".join([*observed.log, *(str(answer) for answer in observed.answers)])
    if value.strip() and (value.strip() in shown.replace(name, "") or "canary" in shown):
        yield f"{name}={value!r}: the value is shown"


def _run(share: Share) -> Iterator[Result]:
    canaries, database_port = Canaries(ENVIRONMENT), unused_port()
    requests = REQUESTS[:: 8 if share.size.sample else 1]
    environment = ENVIRONMENT | {"SUPABASE_URL": f"http://127.0.0.1:{database_port}"}
    with watching() as watch, watch.function(environment) as function:
        function.ready()
        yield Result("raw requests, with exact status, headers, body", len(requests), violations(function, requests))
        found = outbound_violations(watch, function, database_port)
        yield Result("raw requests that lead to no connection", len(requests), found)
    canaries.search("the log", watch.log)
    with watching() as watch:
        observed = observed_configurations(watch)
        found = [f"{host}:{port} was connected to" for host, port in watch.connections()]
    for (name, value), one in zip(BAD, observed, strict=True):
        found += configuration_violations(name, value, one)
        canaries.search(f"the log with a bad {name}", one.log)
    canaries.search("the settings' exceptions", exceptions.of_settings())
    yield Result("bad configurations that fail closed", len(BAD), found)
    yield canaries.result()


PART = Part("the endpoint", _run)
