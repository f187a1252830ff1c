"""Real PostgreSQL and MariaDB servers with data of their own, for as long as a test or a session runs them."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, delete, text
from sqlalchemy.exc import DBAPIError, OperationalError

from ports import free_port
from tuike.stores import engine
from tuike.stores.schema import metadata
from waiting import until

SERVERS = ("postgresql", "mariadb")
ENGINES = ("sqlite", *SERVERS)
SHORT_LIVED = Path("/dev/shm")
NOBODY = "nobody"
"""Servers refuse to be run by root."""
PASSWORD = "p@ss:/word"  # noqa: S105 (of a server of a test)
START_S = 60.0
MARIADB_USER = f"""CREATE USER IF NOT EXISTS 'tuike'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO 'tuike'@'%';
"""


def clear(database: Engine) -> None:
    """Takes all rows out of all tables."""
    with database.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(delete(table))


class NotInstalled(Exception):
    """The server's programs are not on this machine."""


class Server:
    """One server; `name` is postgresql or mariadb."""

    def __init__(self, name: str, root: Path, port: int, options: Sequence[str] = ()) -> None:
        self.name = name
        self._root = root
        self._options = options
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it answers."""
        command = _postgresql(self._root, self.port) if self.name == "postgresql" else _mariadb(self._root, self.port)
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log, **_user())  # type: ignore[call-overload]
        until(self._answers, f"{self.name} answers", START_S)

    def kill(self) -> None:
        """As a power cut of the server alone, or the kernel for want of memory, would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)

    def create(self) -> str:
        """A new database's URL, as `--database` takes it."""
        self._databases += 1
        name = f"t{self._databases}"
        self._do(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        force = " WITH (FORCE)" if self.name == "postgresql" else ""
        self._do(f"DROP DATABASE {url.rpartition('/')[2]}{force}")

    def url(self, database: str) -> str:
        return (
            f"{self.name}://tuike:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:{self.port}/{database}"
        )

    def _do(self, statement: str) -> None:
        base = create_engine(engine.parse(self.url("postgres" if self.name == "postgresql" else "mysql")))
        with base.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
        base.dispose()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._root / "log").read_text()[-2_000:]
        try:
            self._do("SELECT 1")
        except (OperationalError, DBAPIError):
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            if number == signal.SIGKILL:
                # PostgreSQL has a process for each connection; stopped, it starts none in place of the killed
                self._process.send_signal(signal.SIGSTOP)
                for child in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
                    os.kill(int(child), number)
            self._process.send_signal(number)
            self._process.wait(START_S)
        self._process = None


@contextmanager
def running(name: str, *options: str) -> Iterator[Server]:
    """A new server with nothing in it; `options` are more of its program's. Raises NotInstalled."""
    directory = SHORT_LIVED if os.access(SHORT_LIVED, os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix=f"tuike-{name}-", dir=directory))
    try:
        if os.getuid() == 0:
            shutil.chown(root, NOBODY)
        (_make_postgresql if name == "postgresql" else _make_mariadb)(root)
        server = Server(name, root, free_port(), options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _make_postgresql(root: Path) -> None:
    secret = root / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    options = ["--username=tuike", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"]
    # a locale in which texts have another order than their bytes, as most have
    _run(root, [_program("initdb"), "-D", str(root / "data"), "--locale-provider=icu", "--icu-locale=en", *options])


def _postgresql(root: Path, port: int) -> list[str]:
    settings = {"unix_socket_directories": root, "fsync": "off", "max_connections": 60, "max_wal_size": "256MB"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [_program("postgres"), "-D", str(root / "data"), "-p", str(port), "-h", "127.0.0.1", *options]


def _make_mariadb(root: Path) -> None:
    (root / "users.sql").write_text(MARIADB_USER)
    (root / "users.sql").chmod(0o644)
    options = ["--no-defaults", f"--datadir={root / 'data'}", "--auth-root-authentication-method=normal"]
    _run(root, [_program("mariadb-install-db"), *options, "--skip-test-db", "--innodb-log-file-size=8M"])


def _mariadb(root: Path, port: int) -> list[str]:
    settings = {
        "datadir": root / "data",
        "socket": root / "socket",
        "pid-file": root / "pid",
        "port": port,
        "bind-address": "127.0.0.1",
        "init-file": root / "users.sql",
        "innodb-log-file-size": "48M",
        # each commit is the kernel's, which outlives the server
        "innodb-flush-log-at-trx-commit": 2,
        "innodb-buffer-pool-size": "64M",
        "max-connections": 60,
    }
    return [_program("mariadbd"), "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]


def _run(root: Path, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, **_user())  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr


def _user() -> dict[str, str]:
    return {"user": NOBODY, "group": "nogroup"} if os.getuid() == 0 else {}


def _program(name: str) -> str:
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise NotInstalled(f"{name} is not installed (apt-get install postgresql mariadb-server)")
    return found
