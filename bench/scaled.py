"""The way of hits on several machines: a journal through Redis into PostgreSQL, by one folder and by two.

All of it was recorded before: shipper and folders run one after the other. The database has its data in memory and does
not fsync, Redis keeps nothing on a disk; both share the core of the load."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Engine, func, select

import journals
import machine
import servers
from part import Bench, Figure, Result
from servers import Missing, ServerFailed
from stencil import journal
from tuike import folder
from tuike.stores import engine, migrations, schema
from tuike.transport import shipper
from tuike.transport.entries import ENDED, ORDERS
from tuike.transport.redis_log import START, RedisLog

# the database server is that of the tests: its data in memory, fsync off
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import sql_servers

TUNED = ("-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB", "-c", "default_toast_compression=lz4")
"""Of PostgreSQL: its indexes stay in memory, checkpoints are rare, sketches are packed quickly. The defaults are for
less."""
EVENTS = 1_000_000
EVENTS_QUICK = 20_000
MACHINE, PRODUCER = "edge-a", "edge-0"
FOLDER_AT_LEAST = 30_000.0
MORE_CPU_AT_MOST = 1.1
"""What two folders on the same two cores may take more than one, by event."""
HITS = func.sum(schema.hit_counts.c.hits)
READ = 1_000
LOOK = 0.02
LIMIT = 600.0


@dataclass(frozen=True)
class Took:
    """What some of the events took: seconds, and seconds of processor time."""

    events: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def each(self) -> float:
        """Microseconds of processor time."""
        return self.cpu / self.events * 1e6


def measure(bench: Bench) -> Result:
    result = Result()
    events = EVENTS_QUICK if bench.settings.quick else EVENTS
    now = time.time_ns() // 1_000_000
    root = bench.directory / "journal"
    incarnation = journal(str(root), PRODUCER, journals.payloads(events, now), now)
    took: list[Took] = []
    try:
        for folders in (1, 2):
            # each its own: of the first one's pages a server writes many to its files while the second one runs
            with sql_servers.running("postgresql", *TUNED) as database, _redis(bench) as redis:
                shipped = _ship(bench, root, redis.url, incarnation, events)
                folded = _fold(bench, result, redis, database, folders, events)
            result.rounds.append({"folders": folders, "shipping": vars(shipped), "folding": vars(folded)})
            result.figures += _figures(folders, shipped, folded)
            took.append(folded)
    except (Missing, sql_servers.NotInstalled) as missing:
        result.left_out.append(str(missing))
    else:
        one, two = took
        more = "CPU an event, two folders on two cores against one"
        result.figures.append(Figure(more, "times", (two.each / one.each,), at_most=MORE_CPU_AT_MOST))
    return result


def _figures(folders: int, shipped: Took, folded: Took) -> Iterator[Figure]:
    if folders == 1:
        yield Figure(
            "from a journal to Redis", "records/s", (shipped.rate,), note=f"{shipped.each:.1f} µs CPU a record"
        )
    what = f"from Redis into PostgreSQL, touches included, {folders} folder{'s' * (folders > 1)}"
    note = f"{folded.each:.1f} µs CPU an event, the servers' included"
    yield Figure(what, "events/s", (folded.rate,), FOLDER_AT_LEAST if folders == 1 else None, note=note)


@dataclass(frozen=True)
class _Redis:
    url: str
    pid: int


@contextmanager
def _redis(bench: Bench) -> Iterator[_Redis]:
    process, port = servers.start_redis(bench)
    try:
        yield _Redis(f"redis://127.0.0.1:{port}", process.pid)
    finally:
        servers.end(process)


def _ship(bench: Bench, root: Path, redis: str, incarnation: int, events: int) -> Took:
    """From the first packet that is there to the last one."""
    config = shipper.Config(str(root), MACHINE, redis)
    with _running(bench, "tuike.transport.shipper", shipper.VARIABLE, config, bench.cores.server) as process:
        log, cursor, ended = RedisLog(redis), START, False
        began = cpu = 0.0
        for _ in _looks(process):
            for id, packet in log.read({ORDERS: cursor}, READ).get(ORDERS, []):
                cursor = id
                if not began and packet.entries:
                    began, cpu = time.monotonic(), machine.cpu([process.pid])
                ended = ended or any(e.incarnation == incarnation and e.mark == ENDED for e in packet.entries)
            if ended:
                break
        log.close()
        return Took(events, time.monotonic() - began, machine.cpu([process.pid]) - cpu)


def _fold(bench: Bench, result: Result, redis: _Redis, database: sql_servers.Server, folders: int, events: int) -> Took:
    """What is in Redis, into a new database: from the first lease of a partition to the last commit."""
    url = database.create()
    books = engine.open_writer(engine.parse(url))
    migrations.upgrade(books)
    hits = events - journals.orders(events)
    config = folder.Config(url, redis.url)
    cores = (bench.cores.server, bench.cores.load)[:folders]
    with ExitStack() as stack:
        running = [
            stack.enter_context(_running(bench, "tuike.folder", folder.VARIABLE, config, core)) for core in cores
        ]
        for _ in _looks(*running):
            if count(books, func.count(schema.leases.c.name)):
                break
        processes = [*(process.pid for process in running), redis.pid]
        began, cpu = time.monotonic(), machine.cpu([*processes, *machine.children(database.pid)])
        for _ in _looks(*running):
            if count(books, HITS) >= hits:
                break
        # a folder that came later has a connection, and so a process of the database, that was not there before
        cpu = machine.cpu([*processes, *machine.children(database.pid)]) - cpu
        took = Took(hits, time.monotonic() - began, cpu)
    result.count(f"hits folded by {folders}", hits, count(books, HITS))
    books.dispose()
    return took


@contextmanager
def _running(bench: Bench, module: str, variable: str, config: Any, core: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {variable: msgspec.json.encode(config).decode()}
    log = bench.directory / f"{module}-{core}.log"
    process, _ = servers.spawn([sys.executable, "-m", module], log, core, environment=environment)
    try:
        yield process
    finally:
        servers.end(process)


def _looks(*processes: subprocess.Popen[bytes]) -> Iterator[None]:
    """Until whoever looks has seen it; ServerFailed when a process ends or it takes too long."""
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit:
        if any(process.poll() is not None for process in processes):
            raise ServerFailed(f"{processes[0].args!r} has ended")
        yield
        time.sleep(LOOK)
    raise ServerFailed(f"{processes[0].args!r} is not done after {LIMIT:.0f} s")


def count(books: Engine, what: ColumnElement[int]) -> int:
    """What it comes to, in the books; 0 where there is nothing."""
    with books.connect() as connection:
        return int(connection.scalar(select(what)) or 0)
