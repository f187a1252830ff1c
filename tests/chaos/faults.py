"""What can go wrong with an instance on several machines, each fault with its repair: `test_fault_matrix.py` takes them
one by one, `chaos.py` at random."""

import os
import random
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from sqlalchemy import URL, create_engine, select, text

import preloads
from cluster import Cluster
from tuike.stores import engine
from tuike.stores.schema import leases
from waiting import until

AHEAD_S = 600
"""How wrong a wrong clock is."""
TAKEN_OVER_S = 60.0
"""A lease has ended after 4 s and is another's 2 s later; the rest is for a busy machine."""
MEMORY = "256mb"

_OWN = tempfile.TemporaryDirectory(prefix="tuike-faults-")

Repair = Callable[[], None]


def whole() -> None:
    """The repair where the program mends itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`part` is what it strikes; of one part, one thing goes wrong at a time. Unrepaired it lasts `short` seconds in
    the suite and `long` ones in a long run."""

    part: str
    strike: Callable[[Cluster, random.Random], Repair]
    short: float = 1.0
    long: float = 5.0


# --- Redis -----------------------------------------------------------------------------------------


def redis_master_killed(cluster: Cluster, dice: random.Random) -> Repair:
    masters = [name for name in cluster.names("redis-") if cluster.redis(name).info("replication")["role"] == "master"]
    name = dice.choice(masters)
    cluster.tell(f"kill {name}")
    return lambda: _tell(cluster, f"start {name}")


def all_redis_empty(cluster: Cluster, dice: random.Random) -> Repair:
    names = cluster.names("redis-")
    _tell(cluster, *(f"kill {name}" for name in names), *(f"empty {name}" for name in names))
    return lambda: _tell(cluster, *(f"start {name}" for name in names))


def edges_cut_off_from_redis(cluster: Cluster, dice: random.Random) -> Repair:
    cluster.link.cut([cluster.group(name) for name in cluster.names("edge-") if cluster.runs(name)])
    return cluster.link.mend


def redis_out_of_memory(cluster: Cluster, dice: random.Random) -> Repair:
    def give(memory: str) -> None:
        for name in cluster.names("redis-"):
            cluster.redis(name).config_set("maxmemory", memory)

    give("1")
    return lambda: give(MEMORY)


# --- the database ----------------------------------------------------------------------------------


def database_killed(cluster: Cluster, dice: random.Random) -> Repair:
    cluster.tell("kill database")
    return lambda: _tell(cluster, "start database")


def connections_exhausted(cluster: Cluster, dice: random.Random) -> Repair:
    url = engine.parse(cluster.database)
    others = create_engine(url, isolation_level="AUTOCOMMIT")
    hoard: list[Any] = []
    with others.connect() as connection:
        for _ in range(2):  # those that are thrown out come back at once
            _throw_out(connection, url)
            hoard += _take_all(url)

    def give_back() -> None:
        for taken in hoard:
            with suppress(psycopg.Error, pymysql.Error):
                taken.close()
        others.dispose()

    return give_back


def _throw_out(connection: Any, url: URL) -> None:
    if url.get_backend_name() == "postgresql":
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND application_name <> 'hoard' AND pid <> pg_backend_pid()"
            )
        )
        return
    for id in connection.scalars(
        text("SELECT id FROM information_schema.processlist WHERE db = 'tuike' AND id <> connection_id()")
    ).all():
        with suppress(Exception):  # it has gone meanwhile
            connection.execute(text(f"KILL {int(id)}"))


def _take_all(url: URL) -> list[Any]:
    """Connections until the server gives no more."""
    taken: list[Any] = []
    where: dict[str, Any] = {"host": url.host, "port": url.port, "user": url.username}
    while True:
        try:
            if url.get_backend_name() == "postgresql":
                taken.append(psycopg.connect(**where, dbname=url.database, application_name="hoard"))
            else:
                taken.append(pymysql.connect(**where))
        except (psycopg.OperationalError, pymysql.err.OperationalError):
            return taken


# --- processors ------------------------------------------------------------------------------------


def folder_killed(cluster: Cluster, dice: random.Random) -> Repair:
    os.kill(_folder(cluster, dice), signal.SIGKILL)
    return whole


def bookkeeper_killed(cluster: Cluster, dice: random.Random) -> Repair:
    os.kill(_keeper(cluster), signal.SIGKILL)
    return whole


def processor_killed(cluster: Cluster, dice: random.Random) -> Repair:
    name = dice.choice(cluster.names("process-"))
    cluster.tell(f"kill {name}")
    return lambda: _tell(cluster, f"start {name}")


def folder_paused(cluster: Cluster, dice: random.Random) -> Repair:
    """Until another has its partitions; then it wakes up and believes that it has them."""
    return _paused(cluster, _folder(cluster, dice), "partition-")


def bookkeeper_paused(cluster: Cluster, dice: random.Random) -> Repair:
    return _paused(cluster, _keeper(cluster), "books")


def _paused(cluster: Cluster, pid: int, lease: str) -> Repair:
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: pid not in _holders(cluster, lease), "another has what the paused one had", TAKEN_OVER_S)
    except AssertionError as nobody:
        nobody.add_note(_sessions(cluster))
        os.kill(pid, signal.SIGCONT)
        raise
    return lambda: os.kill(pid, signal.SIGCONT)


def _sessions(cluster: Cluster) -> str:
    """What the database's sessions do: one of them has what nobody else gets."""
    with cluster.books() as connection:
        postgresql = connection.dialect.name == "postgresql"
        asked = "SELECT * FROM pg_stat_activity" if postgresql else "SHOW FULL PROCESSLIST"
        return "\n".join(str(row._asdict()) for row in connection.execute(text(asked)))


def processors_stopped(cluster: Cluster, dice: random.Random) -> Repair:
    """All of them: what edges ship waits."""
    names = cluster.names("process-")
    _tell(cluster, *(f"stop {name}" for name in names))
    return lambda: _tell(cluster, *(f"start {name}" for name in names))


def _folder(cluster: Cluster, dice: random.Random) -> int:
    """One that lives: a processor that was started a moment ago has none yet."""
    until(lambda: cluster.running("tuike.folder"), "a folder to run", TAKEN_OVER_S)
    return dice.choice(cluster.running("tuike.folder"))


def _keeper(cluster: Cluster) -> int:
    """Whoever keeps the books and lives."""
    found: set[int] = set()

    def one_lives() -> bool:
        found.clear()
        found.update(_holders(cluster, "books") & set(cluster.running("tuike.bookkeeping")))
        return bool(found)

    until(one_lives, "somebody to keep the books", TAKEN_OVER_S)
    return found.pop()


def _holders(cluster: Cluster, lease: str) -> set[int]:
    """Processes that hold leases of these names, whether these have ended or not."""
    with cluster.books() as connection:
        rows = connection.execute(select(leases.c.holder).where(leases.c.name.startswith(lease), leases.c.holder != ""))
        return {int(holder.rsplit("-", 2)[1]) for holder in rows.scalars()}


# --- edges -----------------------------------------------------------------------------------------


def edge_killed(cluster: Cluster, dice: random.Random) -> Repair:
    """It is started on its own journal."""
    name = dice.choice([name for name in cluster.names("edge-") if cluster.runs(name)])
    cluster.tell(f"kill {name}")
    return lambda: _tell(cluster, f"start {name}")


def edge_elsewhere(cluster: Cluster, dice: random.Random) -> Repair:
    """Its machine is gone, and another one has the volume with its journal."""
    old, new = sorted(["edge-2", "edge-3"], key=cluster.runs, reverse=True)
    cluster.tell(f"kill {old}")
    (cluster.data / old).rename(cluster.data / new)
    return lambda: _tell(cluster, f"start {new}")


def edge_with_a_wrong_clock(cluster: Cluster, dice: random.Random) -> Repair:
    wrong = f"LD_PRELOAD={_preload('clock.c')} TUIKE_CLOCK_AHEAD={AHEAD_S}"
    _tell(cluster, "stop edge-1", f"start edge-1 {wrong}")
    return lambda: _tell(cluster, "stop edge-1", "start edge-1")


def edge_with_a_full_disk(cluster: Cluster, dice: random.Random) -> Repair:
    control = Path(tempfile.mkdtemp(dir=_OWN.name))
    _tell(cluster, "stop edge-1", f"start edge-1 LD_PRELOAD={_preload('faults.c')} TUIKE_FAULTS={control}")
    (control / "half_write").touch()
    return (control / "half_write").unlink


def _preload(source: str) -> Path:
    library = Path(_OWN.name, f"{source}.so")
    return library if library.exists() else preloads.compiled(source, library.parent)


def _tell(cluster: Cluster, *lines: str) -> None:
    for line in lines:
        cluster.tell(line)


FAULTS = {
    "a Redis master killed": Fault("redis", redis_master_killed),
    "all of Redis killed and empty": Fault("redis", all_redis_empty),
    "edges cut off from Redis": Fault("redis", edges_cut_off_from_redis, 8, 20),
    "Redis out of memory": Fault("redis", redis_out_of_memory, 2, 10),
    "database killed and away": Fault("database", database_killed, 3, 60),
    "connections exhausted": Fault("database", connections_exhausted, 2, 10),
    "a folder killed": Fault("process", folder_killed),
    "the bookkeeper killed": Fault("process", bookkeeper_killed),
    "a processor killed": Fault("process", processor_killed),
    "a folder paused": Fault("process", folder_paused),
    "the bookkeeper paused": Fault("process", bookkeeper_paused),
    "all folds behind": Fault("process", processors_stopped, 4, 30),
    "an edge killed": Fault("edge", edge_killed),
    "an edge's volume on another machine": Fault("edge", edge_elsewhere),
    "an edge's clock ahead": Fault("edge", edge_with_a_wrong_clock, 1, 10),
    "an edge's disk full": Fault("edge", edge_with_a_full_disk, 2, 10),
}
