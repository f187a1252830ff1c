"""`tuike import`: rows of another tracker become events, each row once.

A row's event id comes from the file's hash and the row's line, and the import's journal is named after
the hash, so a run that was killed finds what it has written and goes on behind it.
"""

import hashlib
import ipaddress
import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from tuike import _core, instants, rows
from tuike.admin.inputs import LinkBody, PromoterBody
from tuike.clock import wall
from tuike.data import Data, DataError, DataInUse
from tuike.rows import Row
from tuike.submission import Codes, Submission

CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEX_ID = re.compile(r"[0-9a-f]{32}")
LONGEST_VISITOR = 64
LONGEST_VALUE = 512
OLDEST = 946_684_800_000
"""2000-01-01: a time before it is a mistake, and each day of hits costs the touch store a slice."""
CHUNK = 1000
"""Events journaled with one write."""
STATUSES = ("pending", "approved", "rejected", "refunded")
UNKNOWN_PARENT = "unknown_parent"

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
    """The lines of the rows that went in now, of those that had before, and of those that did not."""

    taken: set[int] = field(default_factory=set)
    before: set[int] = field(default_factory=set)
    bad: list[Bad] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        self.taken.discard(line)
        self.before.discard(line)
        self.bad.append(Bad(line, reason))

    def refuse_all(self, refused: Iterable[tuple[int, str]], loops: Mapping[int, str]) -> None:
        """What the books refuse; a promoter whose parent is not there may be part of a loop."""
        for line, reason in refused:
            self.refuse(line, loops.get(line, reason) if reason.startswith(UNKNOWN_PARENT) else reason)


class RowError(ValueError):
    """Why a row cannot go in. Raised and caught in this module only."""


def run(data: Data, kind: str, file: Path, *, strict: bool = False, **books: Any) -> Result:
    """Imports a file and returns when all of it is applied, whether the instance is running or not; `books` are the
    processor's settings, for where none runs.

    Raises FileError where the file as a whole is no such file."""
    try:
        lock = data.lock("import.lock")
    except DataInUse as error:
        raise DataError(f"{data.root}: another import is running; wait until it has ended") from error
    with lock, data.needing_room("make room, then run the import again"):
        rows.check(file)
        with file.open("rb") as binary:
            digest = hashlib.file_digest(binary, "sha256").hexdigest()
        with Submission(data, f"import-{digest[:16]}", **books) as submission:
            return _run(submission, MAKERS[kind](data, digest), kind, file, strict)


def _run(submission: Submission, maker: "Maker", kind: str, file: Path, strict: bool) -> Result:
    result = Result()
    read = rows.read(file, COLUMNS[kind], REQUIRED[kind], result.refuse)
    events = _events(read, maker, result)
    loops: dict[int, str] = {}
    if kind == "promoters":
        ordered, loops = _parents_first(list(events))
        events = iter(ordered)
    if strict:
        whole = list(events)
        events = iter(whole)
        if kind != "clicks":
            result.refuse_all(submission.rehearse(whole), loops)
    if not (strict and result.bad):
        _write(submission, events, result)
        if not submission.closed:
            submission.close()
        with click.progressbar(length=submission.total, label="applying", file=sys.stderr) as bar:
            submission.wait(bar.update)
        result.refuse_all(submission.refused(), loops)
    result.bad.sort(key=lambda bad: bad.line)
    return result


def _write(submission: Submission, events: Iterator[Event], result: Result) -> None:
    chunk: list[Event] = []
    for event in events:
        if event["line"] in submission.lines:
            result.before.add(event["line"])
            continue
        chunk.append(event)
        result.taken.add(event["line"])
        if len(chunk) == CHUNK:
            submission.append(chunk)
            chunk = []
    submission.append(chunk)


def _events(rows: Iterable[tuple[int, Row]], maker: "Maker", result: Result) -> Iterator[Event]:
    for line, row in rows:
        try:
            event = maker.event(row)
        except RowError as error:
            result.refuse(line, str(error))
            continue
        event |= {"line": line, "id": maker.event_id(line, event["at"]), "source": "import"}
        yield event


def _parents_first(events: list[Event]) -> tuple[list[Event], dict[int, str]]:
    """Promoters so that each comes after its parent, and the lines of those that are above themselves.

    The books refuse all of a loop: whichever comes first, its parent is not there."""
    promoter = {event["line"]: json.loads(event["body"])["data"] for event in events}
    named: dict[str, Event] = {}
    for event in events:
        named.setdefault(promoter[event["line"]]["id"], event)
    placed: set[int] = set()
    ordered: list[Event] = []
    loops: dict[int, str] = {}
    for event in events:
        way: list[Event] = []
        step: Event | None = event
        while step is not None and step["line"] not in placed:
            placed.add(step["line"])  # at once, so that a loop ends here
            way.append(step)
            step = named.get(promoter[step["line"]].get("parent", ""))
        if step in way:
            loop = way[way.index(step) :]
            names = " below ".join(promoter[one["line"]]["id"] for one in [*loop, loop[0]])
            loops.update((one["line"], f"loop: {names}") for one in loop)
        ordered += reversed(way)
    return ordered, loops


# --- events ----------------------------------------------------------------------------------------


class Maker(ABC):
    """Turns rows of one kind into events."""

    def __init__(self, data: Data, digest: str) -> None:
        self.digest = bytes.fromhex(digest)
        self.now = wall()
        self.codes = Codes(data)

    def event_id(self, line: int, at: int) -> str:
        """128 bits that sort by the row's time and come from the file and line alone."""
        tail = hashlib.sha256(self.digest + line.to_bytes(8, "big")).digest()[:10]
        return (at.to_bytes(6, "big") + tail).hex()

    @abstractmethod
    def event(self, row: Row) -> Event:
        """A row's event, but for its line and id. Raises RowError."""

    def instant(self, text: str) -> int:
        try:
            at = instants.parse(text)
        except ValueError as error:
            raise RowError(str(error)) from error
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
        return self.write("promoter.create", data, PromoterBody)

    def write(self, op: str, data: Event, shape: type[msgspec.Struct]) -> Event:
        """A write of the registry, of the shape that the admin API takes."""
        try:
            msgspec.convert(data, shape)
        except msgspec.ValidationError as error:
            raise RowError(str(error)) from error
        body = {"op": op, "data": data, "actor": "import", "idem": None, "fingerprint": None}
        return {"kind": "registry", "at": self.now, "body": json.dumps(body).encode()}


class Links(Promoters):
    def event(self, row: Row) -> Event:
        data = {"code": code(row, "code"), "promoter": code(row, "promoter"), "product": code(row, "product")}
        data |= {name: row[name] for name in ("url", "channel") if name in row}
        return self.write("link.create", data, LinkBody)


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
        event["binds"] = self.codes.binds(pid)
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
