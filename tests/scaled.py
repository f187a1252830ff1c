"""The scaled form in one process: journals of several machines, shippers, folders, candidates for the books; and the
same journals folded by one processor, to compare."""

import itertools
import json
import random
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, text, update
from sqlalchemy.exc import DBAPIError

from books import QUERIES
from instance import NO_FRAUD
from tuike import _core
from tuike.bookkeeping import Candidate, Settings
from tuike.clock import wall
from tuike.data import Data
from tuike.folder import Folder
from tuike.process import Processor
from tuike.stores import engine, migrations
from tuike.stores.schema import leases
from tuike.stores.touches import SqlTouches
from tuike.transport.http_log import HttpLog
from tuike.transport.redis_log import Failed, RedisLog
from tuike.transport.shipper import Away, Shipper, stored_positions
from waiting import PATIENCE

EVENTS = 150
"""Of a story, between two things that happen."""
SECRET = "5e" * 32
SECRET_SUM = "5a" * 16
VISITORS = [f"{n:032x}" for n in range(1, 41)]
RULE = {"type": "percentage", "value": "10", "levels": [{"level": 1, "value": "6"}, {"level": 2, "value": "4"}]}
HITS = "SELECT incarnation, outcome, sum(hits) FROM hit_counts GROUP BY 1, 2 ORDER BY 1, 2"
CHAIN = "SELECT number, step, kind, hash FROM transfers ORDER BY number"
NUMBERS = "SELECT number, merchant, order_id, product FROM conversions ORDER BY number"
COMPARED = {**QUERIES, "hit_counts": HITS, "numbers": NUMBERS, "chain": CHAIN}
"""What is the same in the books of several machines and in those of one processor over all their journals."""


class Machine:
    """A machine's journal with a few producers in it, all of whose events have times of a story."""

    def __init__(self, root: Path, name: str, story: "Story") -> None:
        self.root = root / name
        self.journal = self.root / "journal"
        self.journal.mkdir(parents=True)
        (self.root / "machine").write_text(f"{name}\n")
        self.name = name
        self.story = story
        self.writers: list[_core.Writer] = []
        self.messages = 0
        """Events that are no hits."""
        for number in range(2):
            self.start(number)

    def start(self, number: int) -> None:
        """A producer starts, in place of the one before."""
        writer = _core.Writer(str(self.journal), f"edge-{number}", self.story.incarnation(), durability="process")
        if number < len(self.writers):
            self.writers[number].close(self.story.now)
            self.writers[number] = writer
        else:
            self.writers.append(writer)

    def append(self, number: int, *events: dict[str, Any]) -> None:
        now = self.story.tick()
        stamped = [{"id": self.story.id(), "at": now, "received": now} | event for event in events]
        self.messages += sum(event["kind"] not in ("click", "view") for event in events)
        self.writers[number].append([_core.encode_event(event) for event in stamped])

    def import_rows(self, rows: list[dict[str, Any]]) -> None:
        """A run of an import; the last one brings its closing mark."""
        writer = _core.Writer(str(self.journal), "import-0123", self.story.incarnation(), durability="process")
        now = self.story.tick()
        stamped = [{"id": self.story.id(), "at": now, "received": now} | row for row in rows]
        writer.append([_core.encode_event(row) for row in stamped])
        writer.close(now)

    def promise(self) -> None:
        for writer in self.writers:
            writer.tick(self.story.now)

    def close(self) -> None:
        for writer in self.writers:
            writer.close(self.story.now)


class Story:
    """Random hits and orders at random machines, the same for the same seed."""

    def __init__(self, root: Path, seed: int, machines: int = 2) -> None:
        self._dice = random.Random(seed)
        self._numbers = itertools.count(1)
        self.now = time.time_ns() // 1_000_000 - 3_600_000
        self.machines = [Machine(root, f"m{number}", self) for number in range(machines)]
        self._clicks: list[tuple[str, str]] = []
        self._orders = itertools.count(1)
        self.events = 0

    def incarnation(self) -> int:
        return self._dice.getrandbits(64)

    def id(self) -> str:
        return f"{self.now:012x}{next(self._numbers):020x}"

    def tick(self) -> int:
        self.now += self._dice.randint(1, 5)
        self.events += 1
        return self.now

    def registry(self) -> None:
        secret = _core.seal(SECRET, "merchant", b"postback key", bytes(12))
        product = {"id": "tea", "merchant": "shop", "name": "Tea", "url": "https://s.example/", "commission": RULE}
        product |= {"fraud": NO_FRAUD}
        for op, data in (
            ("merchant.create", {"id": "shop", "name": "Shop", "currency": "CNY", "secret": secret}),
            ("product.create", product),
            ("promoter.create", {"id": "bob", "name": "Bob"}),
            ("promoter.create", {"id": "alice", "name": "Alice", "parent": "bob"}),
            ("template.set", {"owner": "merchant:shop", "poster": "<svg/>", "texts": ["{{url}}"]}),
        ):
            body = json.dumps({"op": op, "data": data, "actor": "test"}).encode()
            self.machines[0].append(0, {"kind": "registry", "body": body})
        self.promise()

    def go_on(self, events: int, restarts: bool = True) -> None:
        for _ in range(events):
            machine, number = self._dice.choice(self.machines), self._dice.randrange(2)
            roll = self._dice.random()
            if roll < 0.01 and restarts:
                machine.start(number)
            elif roll < 0.15 and self._clicks:
                machine.append(number, self.order())
            else:
                machine.append(number, self.hit())
        self.promise()

    def rows_of_an_import(self, count: int) -> list[dict[str, Any]]:
        """Orders with their own times, in no order."""
        return [
            self.order() | {"source": "import", "at": self.now - self._dice.randrange(10_000)} for _ in range(count)
        ]

    def promise(self) -> None:
        for machine in self.machines:
            machine.promise()

    def close(self) -> None:
        for machine in self.machines:
            machine.close()

    def hit(self) -> dict[str, Any]:
        visitor, promoter = self._dice.choice(VISITORS), self._dice.choice(["alice", "bob"])
        hit = {"kind": "view" if self._dice.random() < 0.2 else "click", "aff": promoter, "pid": "tea"}
        hit |= {"merchant": "shop", "visitor": visitor, "channel": self._dice.choice(["web", "wechat"]), "sub1": "x"}
        if self._dice.random() < 0.1:
            return hit | {"bot": True, "reason": "bot"}
        id = self.id()
        if hit["kind"] == "click":
            self._clicks.append((id, visitor))
        return hit | {"id": id, "counted": True}

    def order(self) -> dict[str, Any]:
        click, visitor = self._dice.choice(self._clicks)
        order = {"kind": "order", "merchant": "shop", "pid": "tea", "oid": f"o{next(self._orders)}", "currency": "CNY"}
        order |= {"amount": self._dice.randrange(100, 100_000), "source": "postback"}
        return order | ({"click": click} if self._dice.random() < 0.5 else {"visitor": visitor})


@dataclass
class Scaled:
    """Shippers, folders and candidates on one database and one Redis, driven by hand."""

    story: Story
    database: URL
    redis: str
    folders: list[Folder] = field(default_factory=list)
    shippers: list[Shipper] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    failures: int = 0
    now: Callable[[], int] = wall
    """The shippers' clock."""
    names: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        books = engine.open_writer(self.database)
        migrations.upgrade(books)
        books.dispose()
        if self.redis:
            self.shippers = [self.shipper(machine) for machine in self.story.machines]

    def shipper(self, machine: Machine) -> Shipper:
        return Shipper(
            _core.Follower(str(machine.journal)), machine.name, RedisLog(self.redis), lambda: self.positions()
        )

    def log(self, name: str) -> RedisLog | HttpLog:
        """A reader's; without Redis it fetches from the machines."""
        return RedisLog(self.redis) if self.redis else HttpLog(self.database, SECRET, name)

    def positions(self) -> Any:
        return stored_positions(self.database)()

    def folder(self) -> Folder:
        name = f"f{next(self.names)}"
        folder = Folder(engine.open_writer(self.database), self.log(name), name)
        self.folders.append(folder)
        return folder

    def candidate(self) -> Candidate:
        settings = Settings(SECRET, SECRET_SUM)
        name = f"c{next(self.names)}"
        candidate = Candidate(engine.open_writer(self.database), self.log(name), name, settings)
        self.candidates.append(candidate)
        return candidate

    def step(self) -> bool:
        """Every part once; what fails is tried again by the next step. Whether there was anything to do."""
        tick = time.monotonic()
        now = self.now()
        steps: list[Callable[[], bool]] = [lambda one=one: one.step(now, tick) for one in self.shippers]  # type: ignore[misc]
        steps += [lambda one=one: one.step(tick) for one in (*self.folders, *self.candidates)]  # type: ignore[misc]
        busy = False
        for step in steps:
            try:
                busy = step() or busy
            except (*Failed, DBAPIError, Away):
                self.failures += 1
        return busy

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def rob(self) -> None:
        """Ends all leases now, as if their holders had been paused for longer."""
        books = engine.open_writer(self.database)
        with books.begin() as connection:
            connection.execute(update(leases).values(until=0))
        books.dispose()

    def drain(self, also: Callable[[], None] = lambda: None) -> None:
        """Until all that was journalled is applied; every producer has to be closed."""
        end = time.monotonic() + PATIENCE
        while not self.done():
            assert time.monotonic() < end, self.state()
            also()
            if not self.step():
                time.sleep(0.005)

    def ends_well(self, root: Path) -> None:
        """All that follows is applied too, and the books are those of one processor."""
        self.story.go_on(EVENTS)
        self.steps(2)
        self.story.close()
        self.drain()
        compare(self.story, root, self.database)

    def done(self) -> bool:
        books = [candidate.books for candidate in self.candidates if candidate.books is not None]
        if not books or any(shipper.waiting or shipper.more for shipper in self.shippers):
            return False
        ended = {known.state for known in books[0]._promises._known.values()}
        return ended == {"closed"} and not books[0].waiting

    @property
    def waiting(self) -> int:
        """Messages that whoever keeps the books has read, and not applied."""
        return sum(candidate.books.waiting for candidate in self.candidates if candidate.books is not None)

    def close(self) -> None:
        for part in (*self.folders, *self.candidates):
            part.close()

    def state(self) -> str:
        books = [candidate.books for candidate in self.candidates if candidate.books is not None]
        known = [(book._promises._known, book.waiting, book._reading, book.watermark) for book in books]
        return f"{[(s.waiting, s.more) for s in self.shippers]} {[f.partitions for f in self.folders]} {known}"


def embedded(story: Story, root: Path) -> tuple[Data, Processor]:
    """The same journals, folded by one processor; it is left open for its touches."""
    data = Data.open(root / "embedded", create=True, environment={"TUIKE_SECRET": SECRET})
    gather([machine.journal for machine in story.machines], data.journal)
    processor = Processor(data)
    while processor.step() or processor.more or processor.waiting:
        pass
    return data, processor


def gather(journals: Iterable[Path], into: Path) -> None:
    """Copies what is in journals into one. A producer keeps its name, by which the books order what was received in
    the same millisecond."""
    for journal in journals:
        for producer in journal.iterdir():
            shutil.copytree(producer, into / producer.name, dirs_exist_ok=True)


def compare(story: Story, root: Path, database: URL) -> None:
    """Books, sums of hits, counts and touches are those of one processor over the same journals."""
    data, processor = embedded(story, root)
    alone, many = engine.of_file(data.root / "books.sqlite"), database
    one, other = engine.open_reader(alone), engine.open_writer(many)
    try:
        for name, query in COMPARED.items():
            assert _rows(other, query) == _rows(one, query), name
        _compare_touches(processor, other)
    finally:
        processor.close()
        one.dispose()
        other.dispose()


def _compare_touches(processor: Processor, books: Engine) -> None:
    touches = SqlTouches(books)
    with books.begin() as connection:
        touches.begin(connection)
        for visitor in VISITORS:
            question: Iterable[Any] = ("visitor", "shop", visitor, 0, 1 << 50)
            assert touches.path(*question) == processor.touches.path(*question)  # type: ignore[call-arg]


def _rows(books: Engine, query: str) -> list[tuple[Any, ...]]:
    with books.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
