"""The workflows run only code that is named by its commit, and hold no more rights than they need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    uses = re.findall(r"uses: (.*)$", path.read_text(), re.MULTILINE)
    assert uses
    assert [one for one in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


def test_the_pull_request_of_the_lock_is_tested() -> None:
    """A push and a pull request with the token of a workflow start no other workflow; only a dispatch does."""
    ci, lock = ((WORKFLOWS[0].parent / name).read_text() for name in ("ci.yml", "lock.yml"))
    assert re.search(r"^  workflow_dispatch:", ci, re.MULTILINE)
    assert "gh workflow run ci.yml --ref lock\n" in lock
    assert "      actions: write\n" in lock


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_checkout_leaves_its_token_behind(path: Path) -> None:
    text = path.read_text()
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_by_default(path: Path) -> None:
    permissions = re.search(r"^permissions:(?: \{\}\n|\n  contents: read\n(?! ))", path.read_text(), re.MULTILINE)
    assert permissions is not None
