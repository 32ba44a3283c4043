"""A Python environment like an operator's: the wheel with its extra ``cli``, and what these need, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.programs import ROOT


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this project, without a download."""
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path, extra: str) -> Path:
    """Install the wheel with an extra in a new environment, and return the folder of its programs.

    The packages that it requires are those of the present environment, so that nothing is downloaded.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    _pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    [packages] = folder.glob("lib/python*/site-packages")
    [metadata] = packages.glob("prebooking_scheduler-*.dist-info")
    for required in _required(Distribution.at(metadata), {extra}, set()):
        _copy(required, packages)
    return python.parent


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _required(of: Distribution, extras: set[str], found: set[str]) -> Iterator[Distribution]:
    """Yield each distribution that this one requires with these extras, directly or not, once per set of extras."""
    for requirement in map(Requirement, of.requires or []):
        marker = requirement.marker
        wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})
        key = f"{requirement.name}{sorted(requirement.extras)}"
        if wanted and key not in found:
            found.add(key)
            required = distribution(requirement.name)
            yield required
            yield from _required(required, requirement.extras, found)


def _copy(one: Distribution, packages: Path) -> None:
    """Copy the files of a distribution, as links if possible. Its programs are left out."""
    for file in one.files or []:
        target = packages / file
        if ".." not in file.parts and not target.exists() and (source := Path(str(file.locate()))).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:  # another file system
                shutil.copy2(source, target)
