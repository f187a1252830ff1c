"""`tuike backup` and `tuike restore`: an instance's truth in a directory, taken while it runs.

First the books (SQLite's own backup: one state of them), then the journal, which is always as far or farther: what
lies between is folded again by the first start after a restore. Touches are not copied, they are made of the journal's
hits; what edges know is made by each start. Every file stands in `backup.json` with its SHA-256.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tuike import __version__, _core, views
from tuike.clock import wall
from tuike.data import VERSION, Data, DataError, write_private
from tuike.replay.history import Hits
from tuike.stores import engine, erasures, position, schema

LIST = "backup.json"
BOOKS = "books.sqlite"
DATABASES = (BOOKS, "webhooks.sqlite")
KEYS = ("secret", "secret.sum", "statement.key", "machine", "admin.token")
VERSION_FILE = "version"
MARKER = "restoring"
"""In a directory whose restore has not come to its end."""
CHUNK = 1 << 20
ATTEMPTS = 5
"""At a live journal, whose writer may fill a place that was just read as empty."""

Listed = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Done:
    files: int
    bytes: int
    """Without what is empty of them."""


# --- backup ----------------------------------------------------------------------------------------


def backup(data: Data, to: Path) -> Done:
    """Writes a backup into `to`, an empty directory or none. Raises DataError."""
    if not data.books.exists():
        raise DataError(f"{data.root}: no books.sqlite; books on a server are backed up with the server's own means")
    if to.exists() and any(to.iterdir()):
        raise DataError(f"{to}: not empty; a backup goes into a directory of its own")
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    with data.needing_room("make room, empty the backup's directory, then back up again"):
        for name in DATABASES:
            if (data.root / name).exists():
                _copy_database(data.root / name, to / name)
        for name in (VERSION_FILE, *KEYS):
            with suppress(FileNotFoundError):  # the token may be of the environment
                write_private(to / name, (data.root / name).read_text())
        for producer, number, path in _core.incarnations(str(data.journal)):
            _copy_incarnation(Path(path), to / "journal" / producer / f"{number:016x}")
        listed = {name: _listed(to / name) for name in sorted(_files(to))}
        about = {"tuike": __version__, "layout": VERSION, "taken": views.instant(wall()), "files": listed}
        write_private(to / LIST, json.dumps(about, indent=2) + "\n")
    return _done(to, listed)


def _copy_database(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)


def _copy_incarnation(source: Path, target: Path) -> None:
    """What its writer had written when this began, at least; whole records, or an end in the middle of one."""
    for _ in range(ATTEMPTS):
        target.mkdir(parents=True, exist_ok=True)
        # of one that is written to, all that is sound counts; what an ended one's mark says holds
        if not _is_held(source / "lock") and (source / "mark").exists():
            _copy(source / "mark", target / "mark")
        for segment in sorted(source.glob("*.seg")):
            _copy(segment, target / segment.name)
        damage = _core.check_journal(str(target))["damage"]
        if not damage or damage == _core.check_journal(str(source))["damage"]:
            return
        shutil.rmtree(target)
    raise DataError(f"{source}: could not be copied as a whole; look at it with `tuike journal check`")


def _is_held(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _copy(source: Path, target: Path) -> None:
    """A copy on the disk, with holes where there are only zeros: segments are allocated ahead. It is as old as its
    source: by that it is known which segments are past their keeping."""
    with source.open("rb") as read, target.open("wb") as written:
        while chunk := read.read(CHUNK):
            if chunk.count(0) == len(chunk):
                written.seek(len(chunk), os.SEEK_CUR)
            else:
                written.write(chunk)
        written.truncate(read.tell())
        written.flush()
        last = os.fstat(read.fileno())
        os.utime(written.fileno(), ns=(last.st_atime_ns, last.st_mtime_ns))
        os.fsync(written.fileno())


def _files(root: Path) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def _listed(path: Path) -> dict[str, Any]:
    with path.open("rb") as binary:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(binary, "sha256").hexdigest()}


def _done(root: Path, listed: Listed) -> Done:
    return Done(len(listed), sum((root / name).stat().st_blocks * 512 for name in listed))


# --- restore ---------------------------------------------------------------------------------------


def restore(source: Path, root: Path) -> Done:
    """Makes the data directory `root` of a backup; one that was killed is begun anew. Raises DataError."""
    listed = _checked(source)
    if (root / MARKER).exists():
        _empty(root)
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: not empty; choose another --data, or move away what is there")
    root.mkdir(parents=True, exist_ok=True)
    write_private(root / MARKER, f"{source}\n")
    for name in listed:
        if name != VERSION_FILE:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(source / name, root / name)
    for name in KEYS:
        if (root / name).exists():
            (root / name).chmod(0o600)
    for name in ("touches", "journal", "registry", "metrics", "run"):
        (root / name).mkdir(exist_ok=True)
    _fill_touches(root)
    # without it nothing opens the directory
    _copy(source / VERSION_FILE, root / VERSION_FILE)
    (root / MARKER).unlink()
    return _done(root, listed)


def _checked(source: Path) -> Listed:
    """The files of a backup that is whole."""
    try:
        about = json.loads((source / LIST).read_text())
    except FileNotFoundError as error:
        raise DataError(f"{source}: no {LIST}: no backup of tuike, or one that did not come to its end") from error
    except ValueError as error:
        raise DataError(f"{source / LIST}: {error}") from error
    if about["layout"] > VERSION:
        raise DataError(
            f"{source}: of a newer tuike (layout {about['layout']}, this one knows {VERSION}); upgrade tuike"
        )
    listed: Listed = about["files"]
    for name, wanted in listed.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{source / LIST}: {name!r} is no file of a backup")
        if not (source / name).is_file():
            raise DataError(f"{source / name}: missing; this backup is not whole")
        if _listed(source / name) != wanted:
            raise DataError(f"{source / name}: not what was backed up; take another backup")
    return listed


def _empty(root: Path) -> None:
    for path in root.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (root / MARKER).unlink()


def _fill_touches(root: Path) -> None:
    """As far as the books have folded the hits; the first start goes on from there."""
    books = engine.reader(root / BOOKS)
    try:
        with books.connect() as connection:
            folded = position.read(connection, "hits").upto
            forgotten = erasures.under_way(connection)
            merchants = list(connection.scalars(select(schema.merchants.c.id)))
    finally:
        books.dispose()
    with closing(_core.TouchStore(str(root / "touches"))) as touches:
        for batch in Hits(str(root / "journal")).upto(folded):
            touches.put(batch)
        touches.persist(True)
        if forgotten is not None:  # the journal still has whom the touches had forgotten
            touches.erase(forgotten, merchants)
