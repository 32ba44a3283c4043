"""Documents and code agree, and the code stays small."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

import prebooking
from prebooking.channels.settings import NotificationSettings
from prebooking.settings import MAX_DURATION, Settings, WatchSettings
from tests.support import postgrest
from tests.support.code import loaded

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("api/**/*.py"), *ROOT.glob("prebooking/**/*.py")])
VERCEL = json.loads((ROOT / "vercel.json").read_text())
PAGE = ("icon.svg", "index.html", "page.css", "page.js", "robots.txt")  # what is served as it is
FIELDS = NotificationSettings.model_fields | Settings.model_fields | WatchSettings.model_fields
VARIABLES = {name.upper() for name in FIELDS}


def functions(source: Path) -> list[tuple[str, int]]:
    """Return every function's name and length in lines, without its docstring."""
    found = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
            found.append((f"{source.name}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - docstring))
    return found


def test_the_table_of_variables_matches_the_settings() -> None:
    section = (ROOT / "docs" / "operate.md").read_text().split("\n## Variables\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    assert {name for name, _ in rows} == VARIABLES
    for name, needed in rows:
        field = FIELDS[name.lower()]
        default = "yes" if field.is_required() else "" if field.default is None else str(field.default)
        assert needed.strip() == default, name


def test_the_example_environment_matches_the_settings() -> None:
    lines = re.findall(r"^(# )?(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert {name for _, name, _ in lines} == VARIABLES
    for commented, name, value in lines:
        field = FIELDS[name.lower()]
        assert bool(commented) != field.is_required(), name
        if field.default is not None and not field.is_required():
            assert value == str(field.default), name


def test_every_function_has_the_duration_of_the_settings() -> None:
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("api/**/*.py")}
    assert {path: how["maxDuration"] for path, how in VERCEL["functions"].items()} == dict.fromkeys(files, MAX_DURATION)


def test_the_bundle_excludes_what_is_never_deployed() -> None:
    for how in VERCEL["functions"].values():
        assert len(how["excludeFiles"]) <= 256
        assert {"tests/**", "prebooking/local/**", "prebooking/cli/**", ".env*"} <= set(
            how["excludeFiles"].strip("{}").split(",")
        )


def uploaded(folder: Path) -> set[str]:
    """Return what is left of a folder's files when git reads .vercelignore, whose format is .gitignore's."""
    (folder / ".vercelignore").write_text((ROOT / ".vercelignore").read_text())
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    listing = ["git", "-C", str(folder), "ls-files", "--others", "--exclude-from=.vercelignore"]
    return set(subprocess.run(listing, check=True, capture_output=True, text=True).stdout.splitlines())


def test_a_deployment_uploads_only_the_functions(tmp_path: Path) -> None:
    functions = tuple(path.stem for path in ROOT.glob("api/**/*.py"))
    needed = {str(path.relative_to(ROOT)) for path in loaded(*functions, with_systems=True)}
    needed |= {str(path.relative_to(ROOT)) for path in ROOT.glob("prebooking/channels/*.py")}  # loaded when one is due
    needed |= {"pyproject.toml", "vercel.json", ".vercel/project.json"} | {f"public/{name}" for name in PAGE}
    strays = "dump.sql key.pem .npmrc .env .env.local .vercel/.env.production.local uv.lock notes/x.py tests/x.py"
    strays += (
        " api/key.pem api/cron/.npmrc prebooking/dump.sql prebooking/.env prebooking/cli/app.py prebooking/local/x.py"
        " prebooking/opening.py prebooking/database/operator.py"
        " prebooking/bookers/give_back.py prebooking/database/repeats.py"
    )
    strays += " public/dump.sql prebooking/__pycache__/x.py supabase/config.toml prebooking.sql api.pem"
    strays += " examples/webhook/endpoint.py"
    for name in [*needed, *strays.split()]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert uploaded(tmp_path) == needed


def test_every_function_has_a_url_with_hyphens() -> None:
    assert VERCEL["framework"] is None
    page, *rules = VERCEL["rewrites"]
    assert page == {"source": "/", "destination": "/index.html"}
    assert {rule["source"].replace("-", "_") for rule in rules} == {
        f"/api/cron/{path.stem}" for path in ROOT.glob("api/**/*.py") if "_" in path.stem
    }
    assert all(rule["destination"] == rule["source"].replace("-", "_") for rule in rules)
    assert (ROOT / "public" / "robots.txt").exists(), "without it every source file would be published"


def test_the_page_loads_nothing_but_its_own_files_and_has_no_script_or_style_of_its_own() -> None:
    assert sorted(path.name for path in (ROOT / "public").iterdir()) == sorted(PAGE)
    text = (ROOT / "public" / "index.html").read_text()
    assert re.findall(r'(?:src|href)="([^#"]+)"', text) == ["/icon.svg", "/page.css", "/page.js"]
    assert re.findall(r"<style|<script(?! type=\"module\" src)|\s(?:style|on\w+)=", text) == []
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|document\.write\(|eval\(", page_script())


def test_the_script_of_the_page_can_be_parsed() -> None:
    if (node := shutil.which("node")) is None:
        pytest.skip("node is not installed: `make browser` runs the script")
    command = [node, "--check", "--input-type=module"]
    assert subprocess.run(command, input=page_script(), capture_output=True, check=True, text=True).stderr == ""


def page_script() -> str:
    return (ROOT / "public" / "page.js").read_text()


def test_everything_but_the_functions_has_the_headers_of_the_page() -> None:
    (rule,) = VERCEL["headers"]
    for path in ("/", "/index.html", "/page.js", "/page.css", "/robots.txt", "/anything"):
        assert re.fullmatch(rule["source"], path), path
    assert not re.fullmatch(rule["source"], "/api/unsubscribe"), "functions have headers of their own"
    headers = {header["key"]: header["value"] for header in rule["headers"]}
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert (headers["Referrer-Policy"], headers["X-Content-Type-Options"]) == ("no-referrer", "nosniff")


def test_make_help_names_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    printed = subprocess.run(["make", "-s", "-C", ROOT, "help"], check=True, capture_output=True, text=True).stdout
    named = {word for line in printed.splitlines() for word in line[5:36].split()}
    assert named == set(targets[1].split())


def test_the_tests_use_the_real_postgrest_if_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("test", "integration", "acceptance", "postgres"):
        assert re.search(rf"^(\w+ )*{target}( \w+)*:.* postgrest\b", makefile, re.MULTILINE), target
    binary = tmp_path / "postgrest"
    monkeypatch.setattr(postgrest, "BINARY", binary)
    assert postgrest.which_rest() == postgrest.IMITATION
    binary.touch()
    assert postgrest.which_rest() == postgrest.REAL


def test_the_set_up_prints_each_step_before_it(tmp_path: Path) -> None:
    """It takes about a minute."""
    command = ["make", "-s", "-n", "-C", str(ROOT), f"VENV={tmp_path}", f"{tmp_path}/.ready"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    steps = [number for number, line in enumerate(lines) if re.search(r"echo '  \d of 3: ", line)]
    works = [number for number, line in enumerate(lines) if " -m venv " in line or " install " in line]
    assert len(steps) == 3
    assert works == [number + 1 for number in steps]


def test_the_required_pytest_can_read_its_settings() -> None:
    """A table ``[tool.pytest]`` is read by pytest 9 and ignored before."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "pytest" in pyproject["tool"]
    needed = [one for extra in pyproject["project"]["optional-dependencies"].values() for one in extra]
    assert [one for one in needed if re.match(r"pytest[^-]", one)] == ["pytest>=9"]


def test_the_version_is_in_one_place() -> None:
    """It is static, because the platform's builder cannot make a dynamic one: it has no README."""
    text = (ROOT / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["version"] == prebooking.__version__
    assert text.count(f'"{prebooking.__version__}"') == 1
    assert [path.name for path in SOURCES if f'"{prebooking.__version__}"' in path.read_text()] == []


def test_functions_and_files_are_short() -> None:
    lengths = dict(one for source in SOURCES for one in functions(source))
    assert median(lengths.values()) <= 8
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}
    assert [source.name for source in SOURCES if len(source.read_text().splitlines()) > 300] == []


def test_no_module_has_a_meaningless_name() -> None:
    assert {source.stem for source in SOURCES} & {"utils", "helpers", "manager", "service", "common", "misc"} == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_http_modules_catch_errors_of_httpx(source: Path) -> None:
    speaks_http = {"client.py", "call.py"}
    if source.name not in speaks_http and "local" not in source.parts:
        assert "except httpx" not in source.read_text()
        assert "except (httpx" not in source.read_text()


def test_every_class_name_is_defined_once_in_the_project() -> None:
    defined = Counter(
        name
        for folder in ("api", "benchmarks", "docs", "prebooking", "tests")
        for source in (ROOT / folder).glob("**/*.py")
        for name in re.findall(r"^ *class (\w+)", source.read_text(), re.MULTILINE)
    )
    assert {name: times for name, times in defined.items() if times > 1} == {}
