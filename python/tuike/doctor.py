"""`tuike doctor`: what is wrong with an instance, or will be, before anyone notices by the numbers.

Each check answers with a line: sound, or with what to do about it. It changes nothing; the instance may be running.
"""

import ctypes
import os
import resource
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Connection, select

from tuike.cookies import Resolve, cookie_checks, resolve
from tuike.data import Data, DataError
from tuike.stores import engine, schema

LEAST_FREE_BYTES = 5 << 30
LEAST_FREE_SHARE = 0.05
LEAST_FILES = 65_536
"""Descriptors: one a connection."""
LEAST_TOKEN = 32
AHEAD_MS = 60_000
"""How far what was received may lie ahead of the clock."""
PRIVATE_FILES = ("secret", "statement.key", "admin.token")
TIMEX_BYTES = 512
TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""


@dataclass(frozen=True, slots=True)
class Check:
    about: str
    text: str
    fault: bool = False

    def line(self) -> str:
        return f"{'FAULT' if self.fault else 'ok':5}  {self.about:12} {self.text}"


def examine(
    data: Path,
    public_url: str,
    shops: Iterable[str],
    known: Iterable[str],
    *,
    database: object = None,
    environment: Mapping[str, str] = os.environ,
    resolve: Resolve = resolve,
    synchronised: Callable[[], bool] | None = None,
) -> list[Check]:
    """All checks. `public_url` is where browsers reach the edge, `shops` are pages that send conversions, `known` the
    variables of the environment that mean something."""
    checks = [*_environment(environment, set(known)), *_files_open(), _clock(synchronised or is_synchronised)]
    try:
        opened = Data.open(data, database, environment=environment)  # type: ignore[arg-type]
    except DataError as error:
        checks.append(Check("data", str(error), fault=True))
    else:
        checks += [*_permissions(data), *_disk(data), *_archive(opened), *_books(opened)]
    return [*checks, *cookie_checks(public_url, list(shops), resolve, Check)]


# --- the machine -----------------------------------------------------------------------------------


def _environment(environment: Mapping[str, str], known: set[str]) -> Iterator[Check]:
    strange = sorted(name for name in environment if name.startswith("TUIKE_") and name not in known)
    for name in strange:
        yield Check("settings", f"{name} is set and means nothing; look for a slip in its name", fault=True)
    if not strange:
        yield Check("settings", "every TUIKE_ variable means something")
    token = environment.get("TUIKE_ADMIN_TOKEN", "").strip()
    if token and len(token) < LEAST_TOKEN:
        text = f"TUIKE_ADMIN_TOKEN has {len(token)} characters; take {LEAST_TOKEN} at least (openssl rand -hex 32)"
        yield Check("settings", text, fault=True)


def _files_open() -> Iterator[Check]:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = most == resource.RLIM_INFINITY
    text = f"{'any number of' if unlimited else most} open files"
    if not unlimited and most < LEAST_FILES:
        yield Check(
            "limits", f"{text}, one a connection; raise it to {LEAST_FILES} (ulimit -n, LimitNOFILE=)", fault=True
        )
    else:
        yield Check("limits", text)


def _clock(synchronised: Callable[[], bool]) -> Check:
    if not synchronised():
        return Check(
            "clock", "not synchronised; run chrony or systemd-timesyncd: windows and ages go by it", fault=True
        )
    return Check("clock", "synchronised")


def is_synchronised() -> bool:
    """What the kernel says of its clock (adjtimex(2))."""
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    return bool(ctypes.CDLL(None).adjtimex(timex) != TIME_ERROR)


# --- the data directory ----------------------------------------------------------------------------


def _permissions(root: Path) -> Iterator[Check]:
    sound = True
    for path in (root, *(root / name for name in PRIVATE_FILES)):
        if not path.exists():
            continue
        about = path.stat()
        open_to = about.st_mode & (stat.S_IWOTH if path == root else stat.S_IRWXG | stat.S_IRWXO)
        if open_to:
            mode = "o-w" if path == root else "600"
            yield Check("permissions", f"{path} is open to others; chmod {mode} {path}", fault=True)
        elif about.st_uid != os.geteuid():
            yield Check("permissions", f"{path} belongs to user {about.st_uid}, and we are {os.geteuid()}", fault=True)
        else:
            continue
        sound = False
    if sound:
        yield Check("permissions", "secrets are for their owner alone")


def _disk(root: Path) -> Iterator[Check]:
    about = os.statvfs(root)
    free, whole = about.f_bavail * about.f_frsize, about.f_blocks * about.f_frsize
    text = f"{free / (1 << 30):.1f} GiB of {whole / (1 << 30):.1f} free"
    if free < max(LEAST_FREE_BYTES, LEAST_FREE_SHARE * whole):
        yield Check("disk", f"{text}; a full disk refuses orders: make room, or shorten the retention", fault=True)
    else:
        yield Check("disk", text)


def _archive(data: Data) -> Iterator[Check]:
    if not data.archive.exists():
        return
    if find_spec("duckdb") is None:
        text = "DuckDB is not installed: no erasure of a person ends, and nobody is taken out of old hits there"
        yield Check("archive", f"{text}; pip install 'tuike[archive]'", fault=True)
    else:
        yield Check("archive", "erasures can reach it")


def _books(data: Data) -> Iterator[Check]:
    if not engine.exists(data.database):
        yield Check("books", "none yet: the first start makes them")
        return
    books = engine.open_reader(data.database)
    try:
        with books.connect() as connection:
            newest = _newest(connection)
    except Exception as error:
        yield Check("books", f"cannot be read: {engine.said(error)}", fault=True)
        return
    finally:
        books.dispose()
    ahead = newest - time.time_ns() // 1_000_000
    if ahead > AHEAD_MS:
        text = f"the newest outcome is {ahead // 1000} s ahead of this clock: it was set back, or ran ahead"
        yield Check("clock", text, fault=True)
    yield Check("books", "can be read")


def _newest(connection: Connection) -> int:
    """When the newest order was received, ms."""
    created = schema.conversions.c.created
    return connection.scalar(select(created).order_by(schema.conversions.c.number.desc()).limit(1)) or 0
