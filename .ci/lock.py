"""Writes constraints.txt, and the same versions into pyproject.toml, where Vercel's builder reads them.

The builder resolves pyproject.toml. It fails at a pylock.toml, and a uv.lock contains the addresses of a registry. So
the versions of all packages that a deployment installs are constraints in pyproject.toml.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "constraints.txt"
# Without --no-config, the constraints of the present pyproject.toml would keep all versions as they are.
COMPILE = [
    sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--universal", "--python-version=3.11",
    "--no-annotate", "--no-header", "pyproject.toml",
]  # fmt: skip
BLOCK = re.compile(r"^constraint-dependencies = \[\n.*?^\]$", re.DOTALL | re.MULTILINE)


def main(arguments: list[str]) -> None:
    """Lock all versions; keep the present ones that still fit, unless ``--upgrade`` is among the arguments."""
    compile_versions(
        [
            *(f"--extra={name}" for name in ("cli", "local", "dev")),
            "--generate-hashes",
            f"--output-file={LOCK}",
            *arguments,
        ]
    )
    deployed = compile_versions([f"--constraint={LOCK}"]).splitlines()
    constraints = "\n".join(["constraint-dependencies = [", *(f'    "{line}",' for line in deployed), "]"])
    project = ROOT / "pyproject.toml"
    project.write_text(BLOCK.sub(lambda _: constraints, project.read_text("utf-8")), "utf-8")


def compile_versions(arguments: list[str]) -> str:
    """Return what ``uv pip compile`` prints."""
    command = [*COMPILE, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - fixed


if __name__ == "__main__":
    main(sys.argv[1:])
