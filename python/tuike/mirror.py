"""The mirror: `python -m tuike.mirror`, its configuration as JSON in `TUIKE_MIRROR`.

On a machine without books it keeps the registry log of the edge true from SQL, reports how far the workers have come,
measures the books' clock, and takes people out of the machine's journal where they are erased or past their keeping.
Redis wakes it; without Redis it looks by itself. With SQL away the edge goes on with what is on its disk, and the
mirror tries again: nothing that fails here ends the edge.
"""

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis
from sqlalchemy import URL, Connection, Row, func, select
from sqlalchemy.exc import SQLAlchemyError

from tuike import _core, clock, control, erasing, logs, retention
from tuike.books import entries
from tuike.books.bookkeeper import NUMBER_KEY
from tuike.books.daily_keys import Random
from tuike.books.registry_log import DAY_MS, RegistryLog
from tuike.clock import Clock
from tuike.data import Data
from tuike.observing import EDGE_PREFIX
from tuike.stores import engine, erasures, members, meta, registry_changes, schema
from tuike.stores.members import OtherSecret, State
from tuike.transport.redis_log import CHANNEL, hosts

VARIABLE = "TUIKE_MIRROR"
POLL_S, HEARD_S = 0.5, 0.9
"""Seconds between two looks where nobody calls: where Redis could not, and where it could."""
CLOSE_S = 0.01
"""The same while workers take in what was told, for `TAKING_S` at most."""
TAKING_S = 2.0
KEEPING_S = 600.0
"""Seconds between two looks at which hits are past their keeping."""
BEAT_S = 1.1
"""Seconds after a sign of life from which on the next step gives another: every second one where nobody calls. With
`HEARD_S` it is well below what `members.LIVE_MS` allows."""
RETRY_FIRST_S = 0.1
RETRY_MOST_S = 5.0
REDIS_S = 5.0

log = logging.getLogger("tuike.mirror")

# all that says whether there is anything to hear, in one statement: most looks find nothing, and what a process does
# after a rest it does with cold caches
_STANDING = select(
    meta.of(members.SECRET_KEY).label("secret"),
    meta.of(NUMBER_KEY).label("number"),
    meta.of(registry_changes.PRUNED_KEY).label("pruned"),
    select(func.max(schema.registry_changes.c.number)).scalar_subquery().label("changed"),
    select(func.max(schema.daily_keys.c.day)).scalar_subquery().label("day"),
    erasures.count_in(erasures.JOURNALS).label("erases"),
    members.clock().label("now"),
)


@dataclass(frozen=True)
class Config:
    """`url` is where the machine's journal can be fetched, or empty. One that does not serve hits (an admin's) needs no
    registry."""

    data: str
    database: str
    redis: str = ""
    url: str = ""
    serves: bool = True


@dataclass(frozen=True, slots=True)
class _News:
    """What a look found: the number to come to, what was told since the last look, and where a new incarnation has to
    begin what it begins with."""

    number: int
    told: list[registry_changes.Told]
    beginning: list[entries.Entry] | None


class Retired(Exception):
    """The machine was declared gone for good; its text is for people."""


class Mirror:
    """One machine's. `step` is called again and again; what it raises of SQL's is tried again by the next call."""

    def __init__(self, data: Data, database: URL, *, url: str = "", serves: bool = True, random: Random = os.urandom):
        self._data = data
        self._machine = data.machine
        self._url = url
        self._clock = Clock(data.clock)
        self._books = engine.open_reader(database)
        self._writer = engine.open_writer(database)
        self._log = RegistryLog(self._books, data.registry, random) if serves else None
        self._journals = erasing.Journals(self._writer, data, self._machine)
        self._retention = retention.Retention(data)
        self._anew = True  # what the log has may be less than what it was told
        self._number = 0
        self._last_key = -1
        self._poll = POLL_S
        self._erases = False
        """Whether some people are to be erased from journals."""
        self._reported: tuple[int, State] | None = None
        self._looked = self._beat = self._changed = self._kept = float("-inf")

    def step(self, *, called: bool = False, heard: bool = False) -> None:
        """A look at SQL when it is time for one, or somebody called; a report when there is something to say. `heard`:
        whoever calls is heard.

        Raises SQLAlchemyError, OtherSecret, Retired; OSError where the registry's disk fails."""
        now = time.monotonic()
        try:
            self._poll = HEARD_S if heard else POLL_S
            if called or now - self._looked >= self._poll:
                self._look(now)
            if self._log is not None:
                self._log.tick(self._clock())
        except (SQLAlchemyError, OSError):
            self._anew = True
            raise
        self._report(now)
        if self._erases:
            self._journals.step(self._clock(), lambda connection: None, _who_has_journals)
        if now - self._kept >= KEEPING_S:
            self._keep_no_longer(now)

    @property
    def pause(self) -> float:
        """Seconds until the next step is due."""
        taking = time.monotonic() - self._changed < TAKING_S and self._reached() < self._number
        return CLOSE_S if taking or (self._log is not None and self._log.is_beginning) else self._poll

    def close(self) -> None:
        """Says that the machine stops, where that can be said. One whose journal has what nobody has heard of yet says
        nothing: it is waited for as one that was killed."""
        self._journals.close()
        self._retention.close()
        if self._log is not None:
            self._log.close(self._clock())
        journal = str(self._data.journal)
        try:
            with self._writer.begin() as connection:
                if members.are_known(connection, [number for _, number, _ in _core.incarnations(journal)]):
                    members.report(connection, self._machine, self._reached(), self._url, "stopped")
        except SQLAlchemyError as error:
            log.warning("could not say that this machine stops: %s", _brief(error))
        self._books.dispose()
        self._writer.dispose()

    def _look(self, now: float) -> None:
        with self._books.begin() as connection:
            begun = clock.steady()
            standing = connection.execute(_STANDING).one()
            ended = clock.steady()
            members.check_claim(standing.secret, self._data.secret_sum)
            self._clock.measured(standing.now, begun, ended)
            news = self._news(connection, standing)
        self._erases = bool(standing.erases)
        if self._log is not None:
            self._take(self._log, news)
        if news.number != self._number:
            self._number, self._changed = news.number, now
        self._looked = now

    def _news(self, connection: Connection, standing: Row[Any]) -> _News:
        if self._log is None:
            return _News(int(standing.number or 0), [], None)
        instant = self._clock()
        told: list[registry_changes.Told] | None = []
        if self._anew or int(standing.pruned or 0) > self._log.number:
            told = None
        elif standing.changed is not None and standing.changed > self._log.number:
            told = registry_changes.since(connection, self._log.number)
        if told is None or self._log.is_due(instant):
            few = list(entries.few(connection, instant // DAY_MS - 1))
            return _News(int(standing.number or 0), told or [], few)
        number = told[-1].number if told else self._log.number
        if standing.day is not None and standing.day > self._last_key:
            told.append(registry_changes.Told(number, entries.keys(connection, self._last_key + 1)))
        return _News(number, told, None)

    def _take(self, told_here: RegistryLog, news: _News) -> None:
        for one in news.told:
            changed = [entry for entry in one.entries if entry != entries.NUMBER]
            told_here.append(changed, one.number, self._clock())
            self._heard_keys(changed)
        if news.beginning is not None:
            told_here.begin(news.beginning, news.number, self._clock())
            self._heard_keys(news.beginning)
            self._anew = False

    def _heard_keys(self, told: list[entries.Entry]) -> None:
        self._last_key = max([self._last_key, *(entry["day"] for entry in told if entry["t"] == "key")])

    def _keep_no_longer(self, now: float) -> None:
        """Begins to take people out of the journal's hits that the books say are past their keeping."""
        with self._books.begin() as connection:
            before, folded = retention.noted(connection).get("before", 0), retention.folded(connection)
        self._retention.begin(before, folded)
        self._kept = now

    def _reached(self) -> int:
        """What all live workers know; where there are none, what they will find."""
        if self._log is None:
            return self._number
        states = _core.edge_states(str(self._data.metrics), self._clock())
        alive = (s["registry"] for s in states if s["alive"] and s["producer"].startswith(EDGE_PREFIX))
        return min(alive, default=self._number)

    def _report(self, now: float) -> None:
        said: tuple[int, State] = (self._reached(), "journal" if self._log is None else "serving")
        if said == self._reported and now - self._beat < BEAT_S:
            return
        with self._writer.begin() as connection:
            there = members.report(connection, self._machine, said[0], self._url, said[1])
            told = "" if there else refusal(connection, self._data)
        if told:
            raise Retired(told)
        self._reported, self._beat = said, now


def refusal(connection: Connection, data: Data) -> str:
    """What a machine that was retired says; with it all that its journal has and the books may lack is declared."""
    journal = [(producer, number) for producer, number, _ in _core.incarnations(str(data.journal))]
    for row in members.come_back(connection, data.machine, journal):
        log.warning("incarnation %s: what is not in the books from event %d on is refused", row.incarnation, row.first)
    return (
        f"{data.root}: machine {data.machine} was retired; choose a new --data. What it took since and is not in the "
        "books stays in its journal, and `tuike verify` names it"
    )


def _who_has_journals(connection: Connection) -> list[str]:
    """A machine that is stopped has to come back, or be retired."""
    return [machine.name for machine in members.machines(connection) if machine.state != "retired"]


class Caller:
    """Sets `called` when Redis says that there is something new, and each time that it can be heard again."""

    heard = False
    """Whether it is, as far as is known."""

    def __init__(self, url: str, called: threading.Event) -> None:
        self._url = url
        self._called = called
        threading.Thread(target=self._keep, name="registry-call", daemon=True).start()

    def _keep(self) -> None:
        pause, said = RETRY_FIRST_S, ""
        while True:
            for host in hosts(self._url):  # of a cluster's any one hears all calls
                try:
                    self._listen(host)
                except (redis.RedisError, OSError) as error:
                    self.heard = False
                    if str(error) != said:
                        said = str(error)
                        log.warning("Redis does not call: %s", said)
            time.sleep(pause)
            pause = min(2 * pause, RETRY_MOST_S)

    def _listen(self, url: str) -> None:
        with (
            redis.Redis.from_url(url, socket_connect_timeout=REDIS_S, health_check_interval=REDIS_S) as client,
            client.pubsub(ignore_subscribe_messages=True) as heard,
        ):
            heard.subscribe(CHANNEL)
            self.heard = True
            self._called.set()
            while True:
                if heard.get_message(timeout=REDIS_S) is not None:
                    self._called.set()


def run(config: Config) -> None:
    """Until it is told to stop. Raises Retired."""
    stop, called = threading.Event(), threading.Event()
    control.watch(stop)
    threading.Thread(target=_pass_on, args=(stop, called), daemon=True).start()
    control.say_ready()
    mirror = Mirror(Data.open(Path(config.data)), engine.parse(config.database), url=config.url, serves=config.serves)
    caller = Caller(config.redis, called) if config.redis else None
    retry, said = RETRY_FIRST_S, ""
    while not stop.is_set():
        was_called = called.is_set()
        called.clear()
        try:
            mirror.step(called=was_called, heard=caller is not None and caller.heard)
            retry, said = RETRY_FIRST_S, ""
            pause: float = mirror.pause
        except (SQLAlchemyError, OSError, OtherSecret) as error:
            if (text := _brief(error)) != said:
                said = text
                log.warning("%s", said)
            pause, retry = retry, min(2 * retry, RETRY_MOST_S)
        called.wait(pause)
    mirror.close()


def _pass_on(one: threading.Event, other: threading.Event) -> None:
    one.wait()
    other.set()


def _brief(error: Exception) -> str:
    """What went wrong in one line."""
    match error:
        case OtherSecret():
            return str(error)
        case _:
            return f"tried again: {' '.join(str(getattr(error, 'orig', None) or error).split())}"


def main() -> None:
    logs.configure()
    config = msgspec.json.decode(os.environ[VARIABLE], type=Config)
    try:
        run(config)
    except Retired as error:
        print(f"tuike: {error}", file=sys.stderr)
        sys.exit(control.OVER)


if __name__ == "__main__":
    main()
