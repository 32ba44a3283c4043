"""The documents: their made parts are up to date, their links are valid, and README is short."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
from standardwebhooks.webhooks import Webhook

import prebooking
from docs import made, markdown, measured, numbers, tables, webhook_example
from prebooking.bookers.aimharder.booker import AimHarderBooker
from prebooking.channels.settings import NotificationSettings
from prebooking.database.prebookings import BLOCKED_PAUSE
from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED
from prebooking.run.attempt import MAX_EARLY_RETRIES
from prebooking.run.rules import EARLY_TIME
from prebooking.settings import LAST_START, LONGEST_VENUE_DELAY, MAX_DURATION, Settings, WatchSettings

ROOT = Path(__file__).parents[2]
NAMES = [str(path.relative_to(ROOT)) for path in made.DOCUMENTS]


def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_made_part_is_stale() -> None:
    assert made.stale() == [], "run `make docs`"


def test_every_part_that_can_be_made_is_in_a_document_once() -> None:
    assert sorted(made.parts_used()) == sorted(made.PARTS)


def test_a_made_part_that_was_edited_is_stale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(made, "ROOT", tmp_path)
    monkeypatch.setattr(made, "PICTURE", tmp_path / "picture.svg")
    monkeypatch.setattr(made, "DOCUMENTS", [tmp_path / "a.md"])
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- made by `make docs`: exit codes -->\n<!-- end -->\nafter\n")
    assert made.write() == ["picture.svg", "a.md"]
    assert made.stale() == []
    written = document.read_text()
    assert written.startswith("before\n<!--")
    assert written.endswith("<!-- end -->\nafter\n")
    document.write_text(written.replace("| 2 |", "| 3 |"))
    assert made.stale() == ["a.md"]


def test_an_unknown_part_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("<!-- made by `make docs`: nothing -->\n<!-- end -->\n")
    monkeypatch.setattr(made, "DOCUMENTS", [document])
    with pytest.raises(KeyError):
        made.stale()


MADE_BY_RUNS = {
    "bench": {"account", "costs", "killed", "lateness", "summary"},
    "prove": {"proof"},
    "spread": {"model", "openings"},
}


@pytest.mark.parametrize("target", MADE_BY_RUNS)
def test_every_table_that_a_run_prints_has_one_place_in_the_documents(target: str) -> None:
    texts = [path.read_text() for path in made.DOCUMENTS]
    found = [part for text in texts for part in measured.pattern(target).finditer(text)]
    assert sorted(part[2] for part in found) == sorted(MADE_BY_RUNS[target])
    assert all(part[0].count("\n") > 3 for part in found), f"run `WRITE=1 make {target}`"


def test_a_run_writes_its_own_parts_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    monkeypatch.setattr(made, "DOCUMENTS", [document])
    other = "<!-- made by `make prove`: proof -->\nold\n<!-- end -->\n"
    document.write_text(f"1\n<!-- made by `make bench`: costs -->\nold\n<!-- end -->\n2\n{other}")
    measured.write("bench", {"costs": r"| \1 |"})
    written = "<!-- made by `make bench`: costs -->\n\n| \\1 |\n\n<!-- end -->\n"
    assert document.read_text() == f"1\n{written}2\n{other}"
    with pytest.raises(KeyError):
        measured.write("bench", {})


@pytest.mark.parametrize("name", ["measured", "scale"])
def test_every_number_among_the_measured_figures_was_written_by_a_run(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text()
    for target in (*MADE_BY_RUNS, "docs"):
        text = measured.pattern(target).sub("", text)
    text = re.sub(r"^\d+\. ", "", text, flags=re.MULTILINE)
    prose_alone = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    assert re.findall(r"\d+", prose_alone) == []


def test_the_measured_part_of_readme_is_a_picture_and_a_few_lines() -> None:
    _, part = (ROOT / "README.md").read_text().split("\n## Measured\n")
    lines = [line for line in part.split("\n## ")[0].splitlines() if line and not line.startswith("<!--")]
    assert lines[0].startswith("![")
    assert len(lines) <= 9
    text = measured.pattern("bench").sub("", "\n".join(part.split("\n## ")[0].splitlines()))
    assert re.findall(r"\d+", text) == []


def test_the_reference_library_signs_the_documented_webhook_in_the_same_way() -> None:
    _, *headers, _, body = webhook_example.webhook_message().strip("`").removeprefix("http\n").strip().splitlines()
    given = dict(line.split(": ", 1) for line in headers)
    at = datetime.fromtimestamp(int(given["webhook-timestamp"]), UTC)
    assert Webhook(webhook_example.SECRET).sign(given["webhook-id"], at, body) == given["webhook-signature"]
    assert f"`{webhook_example.SECRET}`" in (ROOT / "docs" / "notifications.md").read_text()


def test_the_picture_has_a_title_and_is_in_readme() -> None:
    root = ET.fromstring(made.PICTURE.read_text())  # noqa: S314 - our own file
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert f"({made.PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text()


def test_a_bar_in_a_table_cell_is_escaped() -> None:
    assert markdown.table(("a",), [("b|c",)]) == "| a |\n| --- |\n| b\\|c |"


def test_a_number_that_is_not_once_in_the_migrations_is_refused() -> None:
    for pattern in (r"no such (number)", r"interval '(\d+) seconds'"):
        with pytest.raises(ValueError, match="not one value"):
            numbers.in_sql(pattern)


def test_the_glossary_has_every_final_outcome() -> None:
    named = re.findall(r"^\| `(\w+)` \|", tables.outcomes(), re.MULTILINE)
    assert sorted(named) == sorted(COMPLETED | FAILED | ENDED_BY_DATABASE)


def test_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("name", NAMES)
def test_the_links_of_a_document_lead_to_existing_files_and_headings(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", prose(path))
    for file, heading in links:
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), file
        if heading:
            assert heading in anchors(target), f"{file}#{heading}"


def test_every_document_is_linked_from_readme() -> None:
    linked = set(re.findall(r"\((docs/[\w-]+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {name for name in NAMES if name.startswith("docs/")}


def test_every_document_that_the_code_names_exists() -> None:
    sources = [path.read_text() for path in sorted((ROOT / "prebooking").glob("**/*.py"))]
    named = {name for text in sources for name in re.findall(r"docs/[\w-]+\.md", text)}
    assert named
    assert named <= set(NAMES)


def test_both_commands_of_readme_are_targets() -> None:
    readme = (ROOT / "README.md").read_text()
    printed = subprocess.run(["make", "-s", "-C", ROOT, "help"], check=True, capture_output=True, text=True).stdout
    for command in ("make demo", "make test"):
        assert f"\n{command} " in readme
        assert f"\n{command} " in printed


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_installed_outside_a_virtual_environment(name: str) -> None:
    """Debian and Ubuntu refuse it: error: externally-managed-environment."""
    blocks = re.findall(r"^```.*?^```", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE)
    for block in (block for block in blocks if "pip install" in block):
        before, *_ = block.split("pip install")
        assert re.search(r"python3 -m venv (\S+)\n\. \1/bin/activate\n", before), block


def test_hooks_call_the_project_s_own_tools_and_download_nothing() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"repo: (.*)", hooks)) == {"local"}
    assert set(re.findall(r"language: (.*)", hooks)) == {"system"}
    entries = re.findall(r"entry: \.venv/bin/(\S+)", hooks)
    assert len(entries) == hooks.count("entry:")
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    assert set(re.findall(r"\$\(BIN\)/(\S+)", lint)) <= set(entries)


def test_editors_and_the_formatter_agree() -> None:
    editors = (ROOT / ".editorconfig").read_text()
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert f"max_line_length = {ruff['line-length']}\n" in editors
    assert "[Makefile]\nindent_style = tab\n" in editors


@pytest.mark.parametrize("name", NAMES)
def test_a_document_describes_only_the_present(name: str) -> None:
    found = re.findall(r"TODO|used to be|no longer|formerly|previously", (ROOT / name).read_text())
    assert found == []


SHORTER = ", ".join(numbers.setbacks()[:-1])
LONGEST = numbers.setbacks()[-1]
EARLY = f"{MAX_EARLY_RETRIES} calls per run, once a minute for {numbers.minutes(EARLY_TIME)}"
RETENTION = numbers.in_sql(r"settled_at < p_now - interval '(\d+) days'")
DATA = numbers.in_sql(r"octet_length\(booking_data::text\) <= (\d+)\)")
BOUND = numbers.LEASE + 60 + MAX_DURATION + 5  # a tick is a minute, and 5 s are the proof's patience


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("README", f"ends within {BOUND:g} s once faults stop"),
        ("guarantees", f"ends within {BOUND:g} s once faults stop** (lease {numbers.LEASE:g} s + tick 60 s + run"),
        ("guarantees", f"made no progress ({SHORTER}, then every {LONGEST} minutes)"),
        ("guarantees", f"At most {numbers.in_sql(numbers.FIVE)} pending prebookings per member and opening"),
        ("guarantees", f"more than {LONGEST_VENUE_DELAY:g} s after the guard"),
        (
            "guarantees",
            f"lease ({numbers.LEASE:g} s); the rows behind them wait only for the turn ({numbers.GUARD:g} s)",
        ),
        ("guarantees", f"`id`), {numbers.STAGGER_MS} ms apart"),
        ("README", f"one queue per venue, {numbers.STAGGER_MS} ms from call to call"),
        ("how-it-works", f"and {numbers.STAGGER_MS} ms later Ben's"),
        ("webhook", f"again after {SHORTER} and then every {LONGEST} minutes"),
        ("webhook", f"the last one starts {LAST_START:g} s before it"),
        ("webhook", f"up to {int(DATA) // 1024} KiB"),
        ("bell", f"**{numbers.bell_lead()} s** before an opening"),
        ("bell", f"`LEAD_SECONDS={numbers.bell_lead()}`"),
        (
            "aimharder",
            f'after "too early": at most {EARLY}',
        ),
        ("aimharder", f"After {AimHarderBooker.max_unclear_calls:g} calls without a clear answer over all runs"),
        ("aimharder", f"not called for {numbers.minutes(timedelta(seconds=BLOCKED_PAUSE))}"),
        ("operate", f"deleted {RETENTION} days after its end"),
        ("operate", f"stops everything at a venue within {numbers.GUARD:g} s"),
    ],
)
def test_a_number_in_a_sentence_is_the_code_s(name: str, sentence: str) -> None:
    path = ROOT / f"{name}.md" if name == "README" else ROOT / "docs" / f"{name}.md"
    assert sentence in " ".join(path.read_text().split())


def test_the_address_of_the_deploy_button_asks_for_variables_that_exist() -> None:
    [address] = re.findall(r"^https://vercel\.com/new/clone\?\S+", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    query = {name: value for name, [value] in parse_qs(urlsplit(address).query, strict_parsing=True).items()}
    known = {name.upper() for kind in (Settings, WatchSettings) for name in kind.model_fields}
    asked = set(query["env"].split(","))
    assert asked - known == {"VERCEL_PYTHON_COMPILEALL"}
    assert "CRON_SECRET" in asked
    assert json.loads(query["envDefaults"]).keys() <= asked
    assert json.loads(query["stores"])[0]["integrationSlug"] == "supabase"
    assert query["repository-url"] == "<repository>"


def test_security_has_what_each_secret_allows_and_how_it_is_changed() -> None:
    kinds = (Settings, WatchSettings, NotificationSettings)
    fields = [(name.upper(), str(field.annotation)) for kind in kinds for name, field in kind.model_fields.items()]
    secrets = {name for name, kind in fields if "SecretStr" in kind and not name.endswith("_PREVIOUS")}
    assert {"SUPABASE_SERVICE_ROLE_KEY", "STATUS_SECRET", "SMTP_URL"} <= secrets
    parts = (ROOT / "SECURITY.md").read_text().split("\n## ")
    for title in ("Who can do what with which key", "Change a secret"):
        [part] = [part for part in parts if part.startswith(title)]
        missing = {
            name for name in secrets | {"CRONJOB_API_KEY"} if not re.search(rf"^\|[^|]*`{name}`", part, re.MULTILINE)
        }
        assert missing == set(), title


def test_security_has_every_table_with_addresses() -> None:
    schemas = "".join(path.read_text() for path in (ROOT / "supabase/schemas").glob("*.sql"))
    tables = re.findall(r"^create table public\.(\w+) \((.*?)\n\n", schemas, re.MULTILINE | re.DOTALL)
    found = {name for name, columns in tables if re.search(r"^\s+(user_email|address) ", columns, re.MULTILINE)}
    assert "prebookings" in found
    [part] = [part for part in (ROOT / "SECURITY.md").read_text().split("\n## ") if part.startswith("What is stored")]
    assert {name for name in found if f"`{name}`" not in part} == set()


def test_the_changelog_begins_with_this_version() -> None:
    assert re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == prebooking.__version__
