"""Rows of a file that another tracker exported: CSV with a header or NDJSON, plain or gzip, in UTF-8."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

GZIP_MAGIC = b"\x1f\x8b"
PIECE = 1 << 20
"""Bytes read at once where only the whole matters."""
LOOK = 1 << 10
"""Characters among which the first one that is no space tells the format."""

Row = dict[str, str]
Refuse = Callable[[int, str], None]
"""Told of each line that is no row, and why."""


class FileError(Exception):
    """The file as a whole cannot be imported; the message is one line that names the thing and the mend."""


def check(file: Path) -> None:
    """Raises FileError for a gzip file that is cut or damaged: found half-way, the half would be in already."""
    try:
        with _open(file) as binary:
            while isinstance(binary, gzip.GzipFile) and binary.read(PIECE):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(f"{file}: damaged gzip ({error}); export it again") from error


def read(file: Path, columns: Sequence[str], required: Sequence[str], refuse: Refuse) -> Iterator[tuple[int, Row]]:
    """Each row's first line and its values, trimmed, without the empty ones and those of unknown columns.

    Raises FileError where a required column is missing."""
    with io.TextIOWrapper(_open(file), "utf-8-sig", errors="surrogateescape", newline="") as text:
        start = text.read(LOOK).lstrip()[:1]
        text.seek(0)
        rows = _ndjson(text, refuse) if start == "{" else _csv(text, file, required, refuse)
        for line, row in rows:
            kept = {name: row[name].strip() for name in columns if row.get(name, "").strip()}
            missing = [name for name in required if name not in kept]
            if missing:
                refuse(line, f"missing {missing[0]}")
            elif not _is_unicode(kept):
                refuse(line, "not UTF-8")
            else:
                yield line, kept


def _open(file: Path) -> gzip.GzipFile | io.BufferedReader:
    with file.open("rb") as binary:
        zipped = binary.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return gzip.open(file) if zipped else file.open("rb")


def _is_unicode(row: Row) -> bool:
    try:
        "".join(row.values()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv(text: TextIO, file: Path, required: Sequence[str], refuse: Refuse) -> Iterator[tuple[int, Row]]:
    lines = _csv_lines(text, refuse)
    header = [name.strip() for name in next(lines, (1, []))[1]]
    for name in required:
        if name not in header:
            raise FileError(f"{file}: the header has no column {name!r}; it needs {', '.join(required)}")
    for line, cells in lines:
        if any(cells[len(header) :]):
            refuse(line, f"{len(cells)} values, the header has {len(header)}")
        elif any(cells):
            yield line, dict(zip(header, cells, strict=False))


def _csv_lines(text: TextIO, refuse: Refuse) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins: a quoted value may go over several."""
    reader = csv.reader(text, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse(line, f"no CSV, up to line {reader.line_num}: {error}")


def _ndjson(text: TextIO, refuse: Refuse) -> Iterator[tuple[int, Row]]:
    for line, body in enumerate(text, 1):
        if not body.strip():
            continue
        try:
            row = json.loads(body, parse_float=str, parse_int=str)
        except (ValueError, RecursionError) as error:
            refuse(line, f"no JSON: {error}")
            continue
        if isinstance(row, dict) and all(isinstance(value, str | None) for value in row.values()):
            yield line, {name: value for name, value in row.items() if value is not None}
        else:
            refuse(line, "not a flat JSON object")
