"""`tuike import`: rows of another tracker become events, each row once.

A row's event id comes from the file's hash and the row's line, and the import's journal is named after
the hash, so a run that was killed finds what it has written and goes on behind it.
"""

import csv
import gzip
import hashlib
import ipaddress
import json
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from tuike import _core, rehearsal
from tuike.data import Data
from tuike.submission import Codes, Submission, catch_up

CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEX_ID = re.compile(r"[0-9a-f]{32}")
LONGEST_VISITOR = 64
LONGEST_VALUE = 512
OLDEST = 946_684_800_000
"""2000-01-01: a time before it is a mistake, and each day of hits costs the touch store a slice."""
CHUNK = 1000
"""Events journaled with one write."""
GZIP = b"\x1f\x8b"
"""How a gzip file begins (RFC 1952, section 2.3.1), whatever its name."""
READ_BYTES = 1 << 20
STATUSES = ("pending", "approved", "rejected", "refunded")

Row = dict[str, str]
Event = dict[str, Any]

COLUMNS = {
    "promoters": ("id", "name", "parent", "kind"),
    "links": ("code", "promoter", "product", "url", "channel"),
    "clicks": (
        "time",
        "aff",
        "pid",
        "visitor",
        "cust",
        "did",
        "ip",
        "ua",
        "channel",
        *(f"sub{n}" for n in range(1, 6)),
    ),
    "conversions": (
        *("time", "pid", "order_id", "amount", "currency", "status"),
        *("click_id", "visitor", "cust", "did", "aff", "coupon"),
    ),
}
REQUIRED = {
    "promoters": ("id", "name"),
    "links": ("code", "promoter", "product"),
    "clicks": ("time", "aff", "pid"),
    "conversions": ("time", "pid", "order_id", "amount"),
}


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that did not go in."""

    line: int
    reason: str


@dataclass(slots=True)
class Result:
    taken: int = 0
    before: int = 0
    bad: list[Bad] = field(default_factory=list)


class RowError(ValueError):
    """Why a row cannot go in. Raised and caught in this module only."""


def run(data: Data, kind: str, file: Path, *, strict: bool) -> Result:
    """Imports a file and returns when all of it is applied, whether the instance is running or not."""
    with file.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    _check_whole(file)
    catch_up(data)
    maker = MAKERS[kind](data, digest)
    result = Result()
    with Submission(data, f"import-{digest[:16]}") as submission:
        rows = _rows(file, kind, result)
        events = _events(rows, maker, result)
        if kind == "promoters":
            events = iter(_parents_first(list(events)))
        if strict:
            events = iter(_all_or_nothing(data, kind, list(events), result))
        if not (strict and result.bad):
            before = _write(submission, events, result)
            if not submission.closed:
                submission.close()
            with click.progressbar(length=submission.total, label="applying", file=sys.stderr) as bar:
                submission.wait(bar.update)
            for line, code in submission.refused():
                result.bad.append(Bad(line, code))
                if line in before:
                    result.before -= 1
                else:
                    result.taken -= 1
    result.bad.sort(key=lambda bad: bad.line)
    return result


def _all_or_nothing(data: Data, kind: str, events: list[Event], result: Result) -> list[Event]:
    """The events; what the books would refuse of them joins the bad rows before anything is written."""
    if kind in ("promoters", "links"):
        result.bad += [Bad(line, code) for line, code in rehearsal.refusals(data, events)]
    return events


def _write(submission: Submission, events: Iterator[Event], result: Result) -> frozenset[int]:
    """Journals what an earlier run has not; the lines that one had."""
    before = frozenset(submission.lines)
    chunk: list[Event] = []
    for event in events:
        if event["line"] in before:
            result.before += 1
            continue
        chunk.append(event)
        result.taken += 1
        if len(chunk) == CHUNK:
            submission.append(chunk)
            chunk = []
    submission.append(chunk)
    return before


# --- rows ------------------------------------------------------------------------------------------


def _is_gzip(file: Path) -> bool:
    with file.open("rb") as raw:
        return raw.read(len(GZIP)) == GZIP


def _check_whole(file: Path) -> None:
    """Reads a gzip file to its end: half of one must not go in, since the whole is another file."""
    if not _is_gzip(file):
        return
    try:
        with gzip.open(file) as packed:
            while packed.read(READ_BYTES):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise click.UsageError(f"{file}: not a whole gzip file ({error}); copy it again") from error


def _rows(file: Path, kind: str, result: Result) -> Iterator[tuple[int, Row]]:
    """Line numbers and rows; what is no row at all is reported."""
    opener: Callable[..., Any] = gzip.open if _is_gzip(file) else open
    with opener(file, "rt", encoding="utf-8-sig", errors="replace", newline="") as text:
        start = text.read(1)
        text.seek(0)
        reader = _ndjson(text, result) if start == "{" else _csv(text, kind, file, result)
        for line, row in reader:
            kept = {name: value.strip() for name, value in row.items() if value and value.strip()}
            missing = [name for name in REQUIRED[kind] if name not in kept]
            if missing:
                result.bad.append(Bad(line, f"missing {missing[0]}"))
            else:
                yield line, kept


def _csv(text: TextIO, kind: str, file: Path, result: Result) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(text)
    missing = [name for name in REQUIRED[kind] if name not in (reader.fieldnames or ())]
    if missing:
        raise click.UsageError(
            f"{file}: the header has no column {missing[0]!r}; {kind} need {', '.join(REQUIRED[kind])}"
        )
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            result.bad.append(Bad(reader.reader.line_num, str(error)))
            continue
        if row is None:
            return
        yield reader.line_num, {name: row[name] for name in COLUMNS[kind] if isinstance(row.get(name), str)}


def _ndjson(text: TextIO, result: Result) -> Iterator[tuple[int, Row]]:
    for line, body in enumerate(text, 1):
        if not body.strip():
            continue
        try:
            row = json.loads(body, parse_float=str, parse_int=str)
        except (ValueError, RecursionError) as error:
            result.bad.append(Bad(line, f"no JSON: {error}"))
            continue
        if not isinstance(row, dict) or not all(isinstance(v, str | None) for v in row.values()):
            result.bad.append(Bad(line, "not a flat JSON object"))
            continue
        yield line, {name: value for name, value in row.items() if value is not None}


def _events(rows: Iterable[tuple[int, Row]], maker: "Maker", result: Result) -> Iterator[Event]:
    for line, row in rows:
        try:
            event = maker.event(row)
        except RowError as error:
            result.bad.append(Bad(line, str(error)))
            continue
        event |= {"line": line, "id": maker.event_id(line, event["at"]), "source": "import"}
        yield event


def _parents_first(events: list[Event]) -> list[Event]:
    """Promoters so that each comes after its parent; of a loop, the books refuse the first."""
    promoter = {event["line"]: json.loads(event["body"])["data"] for event in events}
    named = {promoter[event["line"]]["id"]: event for event in events}
    placed: set[int] = set()
    ordered: list[Event] = []
    for event in events:
        way: list[Event] = []
        step: Event | None = event
        while step is not None and step["line"] not in placed:
            placed.add(step["line"])  # at once, so that a loop ends here
            way.append(step)
            step = named.get(promoter[step["line"]].get("parent", ""))
        ordered += reversed(way)
    return ordered


# --- events ----------------------------------------------------------------------------------------


class Maker:
    """Turns rows of one kind into events."""

    def __init__(self, data: Data, digest: str) -> None:
        self.digest = bytes.fromhex(digest)
        self.now = time.time_ns() // 1_000_000
        self.codes = Codes(data)

    def event_id(self, line: int, at: int) -> str:
        """128 bits that sort by the row's time and come from the file and line alone."""
        tail = hashlib.sha256(self.digest + line.to_bytes(8, "big")).digest()[:10]
        return (at.to_bytes(6, "big") + tail).hex()

    def event(self, row: Row) -> Event:
        raise NotImplementedError

    def instant(self, text: str) -> int:
        at = parse_instant(text)
        if at > self.now:
            raise RowError(f"time {text!r} is in the future")
        if at < OLDEST:
            raise RowError(f"time {text!r} is before 2000")
        return at


class Promoters(Maker):
    def event(self, row: Row) -> Event:
        if row.get("kind", "member") not in ("member", "kol"):
            raise RowError(f"kind {row['kind']!r} is neither member nor kol")
        data = {"id": code(row, "id"), "name": row["name"], "kind": row.get("kind", "member")}
        if "parent" in row:
            data["parent"] = code(row, "parent")
        return self.write("promoter.create", data)

    def write(self, op: str, data: Event) -> Event:
        body = {"op": op, "data": data, "actor": "import", "idem": None, "fingerprint": None}
        return {"kind": "registry", "at": self.now, "body": json.dumps(body).encode()}


class Links(Promoters):
    def event(self, row: Row) -> Event:
        data = {"code": code(row, "code"), "promoter": code(row, "promoter"), "product": code(row, "product")}
        data |= {name: limited(row, name) for name in ("url", "channel") if name in row}
        return self.write("link.create", data)


class Hits(Maker):
    def event(self, row: Row) -> Event:
        pid, aff = code(row, "pid"), code(row, "aff")
        merchant = self.codes.merchant(pid)
        if merchant is None:
            raise RowError(f"there is no product {pid!r}")
        if not self.codes.promoter(aff):
            raise RowError(f"there is no promoter {aff!r}")
        event: Event = {"kind": "click", "at": self.instant(row["time"]), "pid": pid, "aff": aff, "merchant": merchant}
        event |= identities(row)
        event |= {name: limited(row, name) for name in ("channel", *(f"sub{n}" for n in range(1, 6))) if name in row}
        event |= self.asker(row)
        event["counted"] = not event.get("bot", False)
        if not event["counted"]:
            event["reason"] = "bot"
        return event

    def asker(self, row: Row) -> Event:
        """Address and agent, as the edge would have kept them: hashed, under today's key."""
        found: Event = {}
        if "ip" in row:
            try:
                address = ipaddress.ip_address(row["ip"])
            except ValueError as error:
                raise RowError(f"ip {row['ip']!r} is no address") from error
            found["address"], found["prefix"] = _core.pseudonym(self.codes.day_key(self.now), str(address))
        if "ua" in row:
            found["agent"], found["bot"] = _core.look_agent(row["ua"].encode())
        return found


class Orders(Maker):
    def event(self, row: Row) -> Event:
        pid = code(row, "pid")
        merchant = self.codes.merchant(pid)
        if merchant is None:
            raise RowError(f"there is no product {pid!r}")
        currency = row.get("currency") or self.codes.currency(merchant)
        try:
            amount = _core.parse_amount(row["amount"], currency)
        except ValueError as error:
            raise RowError(f"amount {row['amount']!r} {currency}: {error}") from error
        status = row.get("status", "approved")
        if status not in STATUSES:
            raise RowError(f"status {status!r} is none of {', '.join(STATUSES)}")
        at = self.instant(row["time"])
        event: Event = {"kind": "order", "at": at, "stamp": at, "pid": pid, "merchant": merchant, "status": status}
        event |= {"oid": limited(row, "order_id"), "amount": amount, "currency": currency, "counted": True}
        event |= identities(row)
        event |= {name: limited(row, name) for name in ("aff", "coupon") if name in row}
        if "click_id" in row:
            if not HEX_ID.fullmatch(row["click_id"].lower()):
                raise RowError(f"click_id {row['click_id']!r} is none of ours: 32 hex digits")
            event["click"] = row["click_id"].lower()
        return event


MAKERS: dict[str, type[Maker]] = {"promoters": Promoters, "links": Links, "clicks": Hits, "conversions": Orders}


def code(row: Row, name: str) -> str:
    if not CODE.fullmatch(row[name]):
        raise RowError(f"{name} {row[name][:80]!r} is no code: 1 to 64 of A-Z a-z 0-9 . _ -")
    return row[name]


def limited(row: Row, name: str) -> str:
    if len(row[name].encode()) > LONGEST_VALUE:
        raise RowError(f"{name} is longer than {LONGEST_VALUE} bytes")
    return row[name]


def identities(row: Row) -> Event:
    found: Event = {name: limited(row, name) for name in ("cust", "did") if name in row}
    if "visitor" in row:
        found["visitor"] = visitor_id(row["visitor"])
    return found


def visitor_id(text: str) -> str:
    """A visitor of another tracker as 128 bits; one of ours (32 hex digits) stays itself."""
    if HEX_ID.fullmatch(text):
        return text
    if len(text.encode()) > LONGEST_VISITOR:
        raise RowError(f"visitor is longer than {LONGEST_VISITOR} bytes")
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"tuike visitor").hexdigest()


def parse_instant(text: str) -> int:
    """RFC 3339 or Unix seconds, in milliseconds. RowError for anything else."""
    try:
        if re.fullmatch(r"\d{1,12}", text):
            return int(text) * 1000
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise RowError(f"time {text!r} is neither RFC 3339 nor Unix seconds") from error
    if instant.tzinfo is None:
        raise RowError(f"time {text!r} names no time zone")
    return round(instant.timestamp() * 1000)
