"""A real Postgres server that ends with this process, with the roles of a Supabase project.

The server's superuser is ``supabase_admin``. The databases belong to ``postgres``, which is not a superuser, as in
production. So everything that migrations and tests do as ``postgres`` also works in a project.
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

from prebooking.files import MIGRATIONS
from prebooking.local.servers import default_server

SUPERUSER = "supabase_admin"

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_MEMORY = Path("/dev/shm")  # noqa: S108 - in memory: a database is copied in 20 ms instead of up to 600
_MEMORY_BYTES = 2**30  # not used with less free memory than this (in a container it may have 64 MB)

# The data need not survive a crash of the machine, so nothing is forced to disk. It survives a crash of the server,
# because committed data is in the files of the operating system.
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

# A shell is the server's parent. When our process ends, even by kill -9, the shell's standard input is closed. Then it
# stops the server, waits for it, and removes the folders, unless $d/again exists, which announces a restart. $d/ended
# exists if the server has ended.
_KEEPER = """
d=$1; data=$2; shift 2; exec 3<&0
"$@" </dev/null >>"$d/log" 2>&1 3<&- & server=$!
(read -r _ <&3; [ -e "$d/ended" ] || kill -QUIT $server 2>/dev/null) & reader=$!
exec 3<&-
wait $server; : >"$d/ended"; wait $reader; [ -e "$d/again" ] || rm -rf "$d" "$data"
"""

# The roles of every Supabase project.
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

# The default privileges of projects that were created before autumn 2026; newer projects have none.
OLD_DEFAULTS = """
alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
"""


class LocalPostgres:
    """A database server that is removed with its folders when this process ends for any reason.

    ``bin_dir`` is the folder with ``postgres`` and ``initdb``, by default ``default_server()``; ``settings`` are added
    to the default ones. Only the user who started it and root can connect, by unix socket, as any role, without a
    password. If root starts it, it runs as ``nobody``, but other processes of ``nobody`` cannot connect.
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
        """Create the data folder, start the server, and return when it accepts connections, after about a second."""
        # As root, use a folder in /tmp, because the unprivileged user must be able to read and remove it.
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
        """Stop the server and remove its folders. A second call does nothing."""
        keeper, self.keeper = self.keeper, None
        if keeper and keeper.stdin:
            keeper.stdin.close()
            keeper.wait(_STOP_SECONDS)
            atexit.unregister(self.stop)

    def restart(self) -> None:
        """Stop the server immediately, like a crash, and start it again on the same data; all connections break."""
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
        """Create a database of ``postgres`` as a copy of another one, and return its connection string."""
        # file_copy takes half the time of wal_log.
        statement = sql.SQL("create database {} template {} strategy file_copy owner postgres")
        with self._administer() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and close the connections to it."""
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
        """Give the socket to root, so that no other process of the server's user can connect."""
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
        """Return the folder of binaries, or a copy if the server's user cannot read it (in a private home)."""
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
        """Copy a server of a wheel, with the shared libraries beside its package."""
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
    """Execute every migration in order, each in a transaction, as the ``supabase`` command does in production."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("grant usage on schema public to anon, authenticated, service_role")
        for path in sorted(folder.glob("*.sql")):
            connection.execute(path.read_bytes())


def _has_memory() -> bool:
    return _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES


def _unprivileged() -> dict[str, Any]:
    """Return the user for the server: ``nobody`` if we are root, because root may not run it; otherwise no change."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
