"""The documents: their made parts are up to date, their links lead somewhere, and README fits on a few screens."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from docs import made, markdown, numbers, tables
from prebooking.model import COMPLETED, ENDED_BY_DATABASE, FAILED

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


def test_a_part_that_nothing_makes_is_no_part_that_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("<!-- made by `make docs`: nothing -->\n<!-- end -->\n")
    monkeypatch.setattr(made, "DOCUMENTS", [document])
    with pytest.raises(KeyError):
        made.stale()


def test_the_picture_can_be_drawn_and_says_what_it_shows() -> None:
    root = ET.fromstring(made.PICTURE.read_text())  # noqa: S314 - our own file
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert f"({made.PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text()


def test_a_bar_of_a_table_s_cell_ends_no_cell() -> None:
    assert markdown.table(("a",), [("b|c",)]) == "| a |\n| --- |\n| b\\|c |"


def test_a_number_that_the_migrations_do_not_say_once_is_refused() -> None:
    for pattern in (r"no such (number)", r"interval '(\d+) seconds'"):
        with pytest.raises(ValueError, match="not one value"):
            numbers.in_sql(pattern)


def test_the_glossary_has_every_final_outcome() -> None:
    named = re.findall(r"^\| `(\w+)` \|", tables.outcomes(), re.MULTILINE)
    assert sorted(named) == sorted(COMPLETED | FAILED | ENDED_BY_DATABASE)


def test_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("name", NAMES)
def test_a_document_s_links_lead_to_files_and_headings_that_are_there(name: str) -> None:
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


def test_a_document_that_the_code_sends_people_to_is_there() -> None:
    sources = [path.read_text() for path in sorted((ROOT / "prebooking").glob("**/*.py"))]
    named = {name for text in sources for name in re.findall(r"docs/[\w-]+\.md", text)}
    assert named
    assert named <= set(NAMES)


def test_both_commands_of_readme_are_targets() -> None:
    readme = (ROOT / "README.md").read_text()
    told = subprocess.run(["make", "-s", "-C", ROOT, "help"], check=True, capture_output=True, text=True).stdout
    for command in ("make demo", "make test"):
        assert f"\n{command} " in readme
        assert f"\n{command} " in told


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
def test_a_document_says_how_it_is_and_not_how_it_was(name: str) -> None:
    said = re.findall(r"TODO|used to be|no longer|formerly|previously", (ROOT / name).read_text())
    assert said == []
