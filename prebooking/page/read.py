"""Reads the data of the operator's page from the database, and adds the sentences."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from prebooking import __version__
from prebooking.clock import Deadline
from prebooking.database.client import IsolatedSupabase
from prebooking.page.problems import PageSettings, find_problems
from prebooking.page.texts import describe_doubt, describe_login, describe_outcome, describe_problem

_object = TypeAdapter(dict[str, Any]).validate_python
_object_or_none = TypeAdapter(dict[str, Any] | None).validate_python
_NO_CALLS: dict[str, Any] = {"venues": [], "dots": [], "calls": 0, "shown": 0, "p50": None, "p95": None, "max": None}


async def read_page(database: IsolatedSupabase, settings: PageSettings, *, until: Deadline) -> dict[str, Any]:
    """Return the whole page. Raises a StoreError without a usable answer of the database."""
    answer = (await database.call("page_status_v1", {}, _object, until=until)).value
    return compose_page(answer, settings)


async def read_prebooking(database: IsolatedSupabase, row: UUID, *, until: Deadline) -> dict[str, Any] | None:
    """Return one prebooking with its steps; None if there is none. Raises a StoreError."""
    return (await database.call("page_prebooking_v1", {"p_id": str(row)}, _object_or_none, until=until)).value


async def read_member(database: IsolatedSupabase, row: UUID, *, until: Deadline) -> dict[str, Any] | None:
    """Return the whole address of a prebooking's member; None if there is none. Raises a StoreError."""
    return (await database.call("page_member_v1", {"p_id": str(row)}, _object_or_none, until=until)).value


def compose_page(answer: dict[str, Any], settings: PageSettings) -> dict[str, Any]:
    """Return the page with its sentences. A section that the database could not read is empty."""
    problems = find_problems(answer, settings)
    now = answer["now"]
    outcomes = answer["outcomes"] or {"outcomes": [], "failures": []}
    in_doubt = answer["in_doubt"] or {"in_doubt": [], "in_doubt_count": 0}
    return {
        "now": now,
        "version": __version__,
        "state": {
            "ok": not any(problem.level == "fail" for problem in problems),
            "problems": [problem.as_json() for problem in problems],
        },
        "openings": [_opening(opening) for opening in answer["openings"] or []],
        "lateness": answer["calls"] or _NO_CALLS,
        "outcomes": outcomes["outcomes"],
        "failures": [one | {"text": describe_outcome(one["outcome"])} for one in outcomes["failures"]],
        "in_doubt": [_in_doubt(row) for row in in_doubt["in_doubt"]],
        "in_doubt_count": in_doubt["in_doubt_count"],
        "runs": answer["runs"] or {"from": now, "to": now, "gaps": [], "triggers": [], "runs": []},
        "logins": [_login(login) for login in answer["logins"] or []],
        "messages": _messages(answer["messages"] or {"waiting": 0, "dead": [], "failing": []}),
        "repeats": answer["repeats"] or [],
    }


def _opening(opening: dict[str, Any]) -> dict[str, Any]:
    problems = [
        {"code": one["code"], "text": describe_problem(one["code"], one["warning"]), "count": one["count"]}
        for one in opening["problems"]
    ]
    return opening | {"problems": problems}


def _in_doubt(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "doing"} | {"text": describe_doubt(row["doing"])}


def _login(login: dict[str, Any]) -> dict[str, Any]:
    text, level = describe_login(login)
    shown = {name: value for name, value in login.items() if name not in ("state", "soon")}
    return shown | {"text": text, "level": level}


def _messages(messages: dict[str, Any]) -> dict[str, Any]:
    failing = [
        {"kind": one["kind"], "member": one["member"], "since": one["since"], "text": one["failure"]}
        for one in messages["failing"]
    ]
    return messages | {"failing": failing}
