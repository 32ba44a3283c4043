"""The versions that a deployment installs are the versions that the tests run with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "constraints.txt").read_text()
HINT = "run `make lock`, and commit constraints.txt and pyproject.toml"


def pinned(lines: Iterable[str]) -> dict[str, str]:
    """Return the version of each package."""
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in requirements}


LOCKED = pinned(re.findall(r"^([^\s#][^\\\n]*)", LOCK, re.MULTILINE))
DEPLOYED = pinned(PROJECT["tool"]["uv"]["constraint-dependencies"])


def required(requirements: Iterable[str], extras: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """Return the names of the packages that are needed here, with the extras that are asked of each."""
    found: dict[str, set[str]] = {}
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            found.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return found


def closure(requirements: Iterable[str]) -> set[str]:
    """Return the names of these packages and of all that they need, from what is installed."""
    known: dict[str, set[str]] = {}
    waiting = list(required(requirements).items())
    while waiting:
        name, extras = waiting.pop()
        if name not in known or not extras <= known[name]:
            known[name] = known.get(name, set()) | extras
            waiting += required(metadata.requires(name) or [], frozenset(known[name])).items()
    return set(known)


def test_what_is_deployed_is_what_was_tested() -> None:
    """The installed packages that the functions need are all locked, at the version that is installed."""
    installed = {name: metadata.version(name) for name in closure(PROJECT["project"]["dependencies"])}
    assert len(installed) > 20
    assert installed.items() <= DEPLOYED.items(), HINT


def test_the_deployed_versions_are_those_of_the_lock() -> None:
    assert DEPLOYED.items() <= LOCKED.items(), HINT


def test_every_requirement_of_the_project_is_locked() -> None:
    project = PROJECT["project"]
    extras = [project["optional-dependencies"][name] for name in ("cli", "local", "dev")]
    for requirement in map(Requirement, sum(extras, project["dependencies"])):
        assert requirement.specifier.contains(LOCKED[canonicalize_name(requirement.name)]), HINT


def test_the_lock_has_hashes_and_no_addresses() -> None:
    blocks = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(blocks) >= len(LOCKED)
    assert all("--hash=sha256:" in block for block in blocks)
    assert "//" not in LOCK


def test_a_newer_release_of_a_package_that_is_required_with_an_extra_is_not_installed(tmp_path: Path) -> None:
    """For pip such a requirement is apart from the package itself. The Makefile's options are tried on small wheels."""
    locked = [wheel(tmp_path, "part", "1.0"), wheel(tmp_path, "whole", "1.0", "part[x]")]
    wheel(tmp_path, "part", "2.0")
    (tmp_path / "constraints.txt").write_text("".join(f"{one}\n" for one in locked))
    options = re.search(r"\$\(INSTALL\) (--require-hashes[^#\n]*)", (ROOT / "Makefile").read_text())
    assert options
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path)]
    done = subprocess.run(
        [*pip, *options[1].split()],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Would install part-1.0 whole-1.0" in done.stdout, done.stderr


def wheel(folder: Path, name: str, version: str, requires: str = "") -> str:
    """Make a wheel with nothing in it, and return its line of a lock."""
    info, file = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    needs = f"Requires-Dist: {requires}\n" if requires else "Provides-Extra: x\n"
    with ZipFile(file, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{sha256(file.read_bytes()).hexdigest()}"
