"""A private PostgreSQL for tests: `initdb` in a temporary folder, a free loopback port, never as root.

Belongs here: starting and stopping it. Does not belong: assertions.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from eth_pipeline.cli.processes import free_port


def server_binaries() -> Path:
    """Folder of `initdb` and `pg_ctl`; Debian keeps them off PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("no PostgreSQL server is installed here; install `postgresql` to run these tests")


PASSWORD = "secret-of-the-database"


class Unprivileged:
    """Runs commands as a user that PostgreSQL accepts: it refuses to run as root."""

    def __init__(self) -> None:
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            try:
                self.user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("running as root without a user `postgres`; PostgreSQL refuses to run as root")
            if shutil.which("runuser") is None:
                pytest.skip("running as root without `runuser`; PostgreSQL refuses to run as root")
            self.prefix = ["runuser", "-u", "postgres", "--"]

    def own(self, folder: Path) -> None:
        if self.prefix:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def run(self, *command: str, cwd: Path) -> None:
        done = subprocess.run(
            [*self.prefix, *command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"


@contextmanager
def postgres_server(*databases: str, address: str = "127.0.0.1") -> Iterator[str]:
    """URL, less the database, of a private PostgreSQL with `databases`; stopped and removed afterwards.

    Skips where no server is installed, or where it would have to run as root.
    """
    binaries, user = server_binaries(), Unprivileged()
    # Not below pytest's folder: that is closed to other users, and the server is one where the tests run as root.
    with tempfile.TemporaryDirectory(prefix="eth-pipeline-postgres-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        user.own(data)
        user.run(str(binaries / "initdb"), "-D", str(data), "-U", "pipeline", "-A", "trust", "--no-sync", cwd=data)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/24 trust\n")  # other hosts of a test's own network
        options = f"-h {address} -p {port} -k {data} -c fsync=off"
        log = str(data / "server.log")
        user.run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", log, "-o", options, "start", cwd=data)
        try:
            url = f"postgresql://pipeline:{PASSWORD}@{address}:{port}"
            _create(f"{url}/postgres", databases)
            yield url
        finally:
            user.run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop", cwd=data)


def _create(url: str, databases: Sequence[str]) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for database in databases:
                cursor.execute(f'CREATE DATABASE "{database}"')
    finally:
        connection.close()
