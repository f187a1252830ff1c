"""The data directory: one instance's files, the locks on them and its secret.

DATA/version              layout version, text
DATA/secret               the instance secret: 32 random bytes in hex, mode 0600
DATA/secret.sum           a hash of it: what was sealed under it is not opened, or added to, with another
DATA/machine              this directory's name among those of one instance, text
DATA/admin.token          the first admin token, mode 0600
DATA/statement.key        the private key that signs statements: 32 random bytes in hex, mode 0600
DATA/lock                 held by `tuike serve`
DATA/processor.lock       held by the one processor
DATA/import.lock          held by the one import
DATA/archive.lock         held by whoever writes to the archive
DATA/webhooks.sqlite      how far each webhook is, and what failed
DATA/books.sqlite         registry tables, money, reports, unless a server has them
DATA/touches/             the touch store
DATA/journal/             what happened: <producer>/<incarnation>/
DATA/registry/            what edges must know, rewritten at each start of the processor (or the mirror)
DATA/retention            which segments of the journal have nobody's hits any more, JSON
DATA/archive/             finished days as Parquet: see tuike.archive
DATA/metrics/             counters of each producer
DATA/run/                 unix sockets, and where the books' clock stands
"""

import errno
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # an edge needs no SQL
    from sqlalchemy import URL

VERSION = 1
SECRET_BYTES = 32
PRIVATE = 0o600
SECRET_VARIABLE = "TUIKE_SECRET"  # noqa: S105 (a name, no secret)
"""The instance's secret (64 hex digits), for a data directory that is made as one of several: its own otherwise."""
MACHINE = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
HOST_CHARACTERS = 40
LONGEST_SOCKET = 107
"""Bytes of a unix socket's path (unix(7))."""


class DataError(Exception):
    """The data directory cannot be used; the message is one line that names the thing and the mend."""


class DataInUse(DataError):
    """Another process holds this lock of the data directory."""


class DiskFull(DataError):
    """There is no room on the data directory's disk."""


@dataclass(frozen=True, slots=True)
class Data:
    """The paths of one data directory, and its secret (hex)."""

    root: Path
    secret: str
    server: "URL | None" = None
    """Of the database that holds the books; None: SQLite in the directory."""
    replica: "URL | None" = None
    """Of a copy of it that reports and lists may be read from; None: they are read where the books are."""

    @classmethod
    def open(
        cls,
        root: Path,
        server: "URL | None" = None,
        replica: "URL | None" = None,
        *,
        create: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """Checks the layout; `create` makes an absent or empty directory into an instance, under TUIKE_SECRET where
        that is set. Raises DataError."""
        given = _given_secret(environment)
        try:
            if create:
                _create(root, given)
            _check_version(root)
            secret = _read_secret(root)
        except PermissionError as error:
            raise DataError(f"{error.filename}: no permission; give it to the user that runs tuike") from error
        except OSError as error:
            raise DataError(f"{error.filename or root}: {error.strerror}") from error
        if given is not None and not hmac.compare_digest(given, secret):
            raise DataError(
                f"{SECRET_VARIABLE} is not the secret that {root} was made under; mend it, or choose --data"
            )
        return cls(root, secret, server, replica)

    @classmethod
    def open_member(cls, root: Path, environment: Mapping[str, str] = os.environ) -> Self:
        """The directory of one machine of several, which is made where it is not there: under the secret that they all
        share. Raises DataError."""
        if not (root / "version").exists() and not environment.get(SECRET_VARIABLE, "").strip():
            raise DataError(
                f"{root}: a new directory of an instance on several machines needs the secret that they share; "
                f"set {SECRET_VARIABLE} to what stands in the first one's file `secret`"
            )
        return cls.open(root, create=True, environment=environment)

    @property
    def books(self) -> Path:
        return self.root / "books.sqlite"

    @property
    def database(self) -> "URL":
        """Where the books are."""
        from sqlalchemy import URL

        return self.server or URL.create("sqlite", database=str(self.books))

    @property
    def touches(self) -> Path:
        return self.root / "touches"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def webhooks(self) -> Path:
        """See tuike.sending."""
        return self.root / "webhooks.sqlite"

    @property
    def retention(self) -> Path:
        """See tuike.retention."""
        return self.root / "retention"

    @property
    def archive(self) -> Path:
        """See tuike.archive."""
        return self.root / "archive"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def admin_token(self) -> Path:
        return self.root / "admin.token"

    @property
    def machine(self) -> str:
        """Its name among the directories of one instance. Raises DataError."""
        path = self.root / "machine"
        name = path.read_text().strip() if path.exists() else ""
        if not MACHINE.fullmatch(name):
            raise DataError(f"{path}: no name of up to 63 of a-z 0-9 . -; restore it from a backup")
        return name

    @property
    def clock(self) -> Path:
        """See tuike.clock."""
        return self.run / "clock"

    @property
    def secret_sum(self) -> str:
        """What others may know the secret by."""
        return _sum(self.secret)

    def statement_key(self) -> bytes:
        """The private key of statements (RFC 8032). Raises DataError."""
        return bytes.fromhex(_read_hex(self.root / "statement.key", "statements are signed with it"))

    @property
    def books_away(self) -> Path:
        """There, with the reason, while the processor does without the books' server."""
        return self.run / "books.away"

    @property
    def processor_socket(self) -> Path:
        """Its path, or where that is too long for one, a name of it that holds while this process runs."""
        path = self.run / "processor.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET:
            return path
        return Path(f"/proc/self/fd/{os.open(self.run, os.O_PATH | os.O_CLOEXEC)}", path.name)

    def lock(self, name: str) -> "Lock":
        """Takes `lock` (serve), `processor.lock`, `import.lock` or `archive.lock` until the answer is closed. Raises
        DataInUse."""
        return Lock(self.root / name)

    @contextmanager
    def needing_room(self, mend: str) -> Iterator[None]:
        """What fails in it because the disk is full ends as a DiskFull that says the mend."""
        try:
            yield
        except Exception as error:
            if not _is_disk_full(error):
                raise
            raise DiskFull(f"{self.root}: the disk is full; {mend}") from error


class Lock:
    """A file held by flock: the kernel gives it back when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise DataInUse(
                f"{path}: another tuike (process {holder}) uses this data directory; stop it or choose another --data"
            ) from error
        with suppress(OSError):  # who holds it is for people; on a full disk the lock is none the less held
            os.ftruncate(self._fd, os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0))

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether this error, or one that led to it, is a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _create(root: Path, secret: str | None) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "version").exists():
        # a first start that was killed leaves some of these; a new volume's file system has the last
        ours = (
            "secret",
            "secret.new",
            "statement.key",
            "statement.key.new",
            "machine",
            "version.new",
            "lock",
            "lost+found",
        )
        strangers = sorted(path.name for path in root.iterdir() if path.name not in ours)
        if strangers:
            raise DataError(f"{root}: not a tuike data directory (it has {strangers[0]}); choose an empty one")
        if not (root / "secret").exists():
            write_private(root / "secret", (secret or secrets.token_hex(SECRET_BYTES)) + "\n")
        write_private(root / "version", f"{VERSION}\n")
    if not (root / "secret.sum").exists():
        write_private(root / "secret.sum", _sum(_read_secret(root)) + "\n")
    if not (root / "statement.key").exists():
        write_private(root / "statement.key", secrets.token_hex(SECRET_BYTES) + "\n")
    if not (root / "machine").exists():
        write_private(root / "machine", _new_machine() + "\n")
    for name in ("touches", "journal", "registry", "metrics", "run"):
        (root / name).mkdir(exist_ok=True)


def _new_machine() -> str:
    """A name that tells people which host it was made on, and no other directory has."""
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:HOST_CHARACTERS]
    return f"{host or 'host'}-{secrets.token_hex(3)}"


def _given_secret(environment: Mapping[str, str]) -> str | None:
    text = environment.get(SECRET_VARIABLE, "").strip()
    if not text:
        return None
    if not _is_hex(text):
        raise DataError(
            f"{SECRET_VARIABLE} is not {2 * SECRET_BYTES} hex digits; it is what stands in the file `secret`"
        )
    return text.lower()


def _check_version(root: Path) -> None:
    path = root / "version"
    if not path.exists():
        raise DataError(f"{root}: no tuike data directory; `tuike serve --data {root}` makes one")
    text = path.read_text().strip()
    if not text.isdecimal():
        raise DataError(f"{path}: not a version number; restore it from a backup")
    if int(text) > VERSION:
        raise DataError(f"{root}: written by a newer tuike (layout {text}, this one knows {VERSION}); upgrade tuike")


def _read_secret(root: Path) -> str:
    text, sum = _read_hex(root / "secret", "cookies and postback keys depend on it"), root / "secret.sum"
    if sum.exists() and not hmac.compare_digest(sum.read_text().strip(), _sum(text)):
        raise DataError(f"{root / 'secret'}: not the secret this directory was written under; restore it from a backup")
    return text


def _sum(secret: str) -> str:
    return hashlib.blake2b(bytes.fromhex(secret), digest_size=16, person=b"tuike secret").hexdigest()


def _read_hex(path: Path, why: str) -> str:
    if not path.exists():
        raise DataError(f"{path}: missing; restore it from a backup: {why}")
    text = path.read_text().strip()
    if not _is_hex(text):
        raise DataError(f"{path}: not {2 * SECRET_BYTES} hex digits; restore it from a backup")
    return text


def _is_hex(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == SECRET_BYTES
    except ValueError:
        return False


def write_private(path: Path, text: str) -> None:
    """Writes a whole file that only its owner may read, on the disk before it has its name."""
    draft = path.with_name(path.name + ".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    try:
        os.write(fd, text.encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
