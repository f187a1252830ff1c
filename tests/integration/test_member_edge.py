"""`tuike edge --database`: one machine of several, in real processes, with PostgreSQL and Redis."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from edge_support import events

import redis_servers
from ports import free_port
from sql_servers import Server
from tuike import _core, control
from tuike.books.backlog import Item
from tuike.books.bookkeeper import Bookkeeper
from tuike.books.edge_registry import EdgeNews
from tuike.books.records import Message
from tuike.books.touches import NoTouches
from tuike.clock import wall
from tuike.data import Data
from tuike.stores import engine, members, migrations, schema
from tuike.transport.redis_log import CHANNEL
from waiting import PATIENCE, until

SECRET = "5a" * 32
MINUTES = 10 * 60
CHANGE_S = 1.0
"""A change is at each edge within this."""
SLOW = 3.0
"""How much longer that may take on a loaded machine."""


class Books:
    """Books with a shop, as a bookkeeper elsewhere keeps them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.engine = engine.open_writer(engine.parse(text))
        migrations.upgrade(self.engine)
        self.news = EdgeNews(SECRET, secrets.token_bytes)
        self.number = self.seq = 0
        with self.engine.begin() as connection:
            members.claim(connection, Data(Path(), SECRET).secret_sum)
            self.news.begin(connection, wall())

    def write(self, *requests: tuple[str, dict[str, Any]]) -> None:
        """Registry writes, by the bookkeeper's own code."""
        items = []
        for op, fields in requests:
            self.seq += 1
            body = json.dumps({"op": op, "data": fields, "actor": "test"}).encode()
            message = Message(id=f"{self.seq:032x}", kind="registry", at=wall(), received=wall(), body=body)
            items.append(Item(message.received, "admin", self.seq, 1, message))
        with self.engine.begin() as connection:
            keeper = Bookkeeper(connection, NoTouches(), lambda booked: None, 3, secret=SECRET)
            changed = keeper.apply(connection, items, [], wall())
            self.number = keeper.number
            self.news.tell(connection, changed, self.number, wall())

    def hear(self, data: Path) -> None:
        """Of all that a machine's journal has."""
        heard = {"machine": "m", "first_seen": wall(), "state": "live", "seq": 0, "note": ""}
        rows = [
            heard | {"producer": producer, "incarnation": f"{incarnation:016x}"}
            for producer, incarnation, _ in _core.incarnations(str(data / "journal"))
        ]
        with self.engine.begin() as connection:
            connection.execute(schema.producers.insert(), rows)

    def shop(self) -> None:
        """A merchant, a product, a promoter and the link L1."""
        sealed = _core.seal(SECRET, "merchant", b"key", bytes(12))
        rule = {"type": "percentage", "value": "10"}
        product = {"id": "tea", "merchant": "shop", "name": "Tea", "url": "https://shop.example/tea"}
        self.write(
            ("merchant.create", {"id": "shop", "name": "Shop", "currency": "CNY", "secret": sealed}),
            ("product.create", {**product, "allowed_hosts": ["shop.example"], "commission": rule}),
            ("promoter.create", {"id": "alice", "name": "Alice"}),
            link("L1"),
        )

    def machine(self) -> members.Machine:
        with self.engine.begin() as connection:
            (found,) = members.machines(connection)
        return found


def link(code: str) -> tuple[str, dict[str, Any]]:
    return "link.create", {"code": code, "promoter": "alice", "product": "tea", "url": f"https://shop.example/{code}"}


class Edge:
    """`tuike edge` in processes of its own."""

    def __init__(self, data: Path, database: str, *options: str, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.log = data.parent / f"{data.name}.log"
        command = [sys.executable, "-m", "tuike", "edge", "--data", str(data), "--edge-port", str(self.port)]
        self._command = [*command, "--workers", "1", "--segment-mib", "2", *options]
        self._environment = os.environ | {"TUIKE_SECRET": SECRET, "TUIKE_DATABASE": database} | environment
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, start_new_session=True, stdout=log, stderr=log
            )
        return self.process

    def start(self) -> None:
        self.launch()
        until(self.answers, "the edge to answer")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2_000:]
        return self.click("L1")[0] != 0

    def click(self, code: str) -> tuple[int, str]:
        """Status (0: nobody answers) and where it leads."""
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/c/{code}", timeout=PATIENCE) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("Location", "")
        except OSError:
            return 0, ""

    def knows(self, code: str) -> bool:
        return self.click(code)[1].startswith(f"https://shop.example/{code}")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@pytest.fixture
def server(sql_server: Callable[[str], Server]) -> Server:
    return sql_server("postgresql")


@pytest.fixture
def books(server: Server) -> Iterator[Books]:
    books = Books(server.create())
    books.shop()
    yield books
    books.engine.dispose()
    server.drop(books.text)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Makes an edge on a directory of its own."""
    made: list[Edge] = []

    def make(database: str, *options: str, name: str = "edge", **environment: str) -> Edge:
        made.append(Edge(tmp_path / name, database, *options, **environment))
        return made[-1]

    yield make
    for edge in made:
        edge.kill()


def seconds_until(true: Callable[[], object], what: str) -> float:
    begun = time.monotonic()
    until(true, what)
    return time.monotonic() - begun


def test_a_change_is_at_the_edge_within_a_second_by_redis_and_without_it(
    books: Books, start: Callable[..., Edge]
) -> None:
    with redis_servers.running() as carrier:
        edge = start(books.text, "--redis", carrier.url)
        edge.start()
        until(lambda: edge.knows("L1"), "the link")
        books.write(link("L2"))
        with redis.Redis.from_url(carrier.url) as client:
            client.publish(CHANNEL, str(books.number))
        assert seconds_until(lambda: edge.knows("L2"), "a change that Redis tells") < CHANGE_S * SLOW
        until(lambda: books.machine().number == books.number, "the edge's word in SQL")
        carrier.kill()
        books.write(link("L3"))
        assert seconds_until(lambda: edge.knows("L3"), "a change that nobody tells") < CHANGE_S * SLOW
        carrier.start()
        books.write(link("L4"))
        until(lambda: edge.knows("L4"), "a change after Redis came back")
        books.hear(edge.data)
        assert edge.stop() == 0
    assert books.machine().state == "stopped"


def test_with_database_and_redis_away_an_edge_starts_and_serves_from_its_disk(
    books: Books, start: Callable[..., Edge], server: Server
) -> None:
    edge = start(books.text, "--redis", f"redis+cluster://127.0.0.1:{free_port()}")
    edge.start()
    until(lambda: edge.knows("L1"), "the link")
    assert edge.stop() == 0
    server.kill()
    try:
        edge.start()
        assert edge.knows("L1")
    finally:
        server.start()
    books.engine.dispose()
    books.write(link("L2"))
    until(lambda: edge.knows("L2"), "a change after the database came back")


def test_an_edge_refuses_connections_until_it_can_answer_them(
    books: Books, start: Callable[..., Edge], server: Server
) -> None:
    edge = start(books.text)
    server.kill()
    try:
        edge.launch()
        until(lambda: "waiting for the registry" in edge.log.read_text(), "its worker to wait")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", edge.port), timeout=PATIENCE)
    finally:
        server.start()
    books.engine.dispose()
    until(lambda: edge.click("L1")[0] != 0, "the edge to answer")


def test_a_mirror_that_is_killed_is_started_again_and_the_edge_goes_on(
    books: Books, start: Callable[..., Edge]
) -> None:
    edge = start(books.text)
    edge.start()
    until(lambda: edge.knows("L1"), "the link")
    assert edge.process is not None
    children = Path(f"/proc/{edge.process.pid}/task/{edge.process.pid}/children").read_text().split()
    (mirror,) = [int(pid) for pid in children if b"tuike.mirror" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(mirror, signal.SIGKILL)
    books.write(link("L2"))
    until(lambda: edge.knows("L2"), "a change by the next mirror")
    assert edge.process.poll() is None


def test_an_edge_whose_clock_is_ten_minutes_ahead_stamps_the_books_time(
    books: Books, start: Callable[..., Edge], wrong_clock: Path
) -> None:
    edge = start(books.text, LD_PRELOAD=str(wrong_clock), TUIKE_CLOCK_AHEAD=str(MINUTES))
    edge.start()
    until(lambda: edge.knows("L1"), "the link")
    clicks = [event for event in events(edge.data) if event["kind"] == "click"]
    assert clicks, "a click in the journal"
    for event in clicks:
        assert abs(event["received"] - wall()) < MINUTES * 1_000 / 2, event
    seen = [state["registry"] for state in _core.edge_states(str(edge.data / "metrics"), wall()) if state["alive"]]
    assert seen == [books.number]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TUIKE_SECRET": "00" * 32}, "under another secret"),
        ({"TUIKE_SECRET": ""}, "set TUIKE_SECRET"),
        ({"TUIKE_SECRET": "abc"}, "TUIKE_SECRET is not 64 hex digits"),
    ],
)
def test_an_edge_with_another_secret_does_not_start(
    books: Books, start: Callable[..., Edge], environment: dict[str, str], said: str
) -> None:
    edge = start(books.text, **environment)
    assert edge.launch().wait(PATIENCE) == 2
    (line,) = edge.log.read_text().splitlines()
    assert line.startswith("tuike: ")
    assert said in line


def retire(books: Books, machine: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuike", "edge", "retire", machine, "--database", books.text]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_a_burnt_edge_is_retired_once_and_does_not_come_back(books: Books, start: Callable[..., Edge]) -> None:
    edge = start(books.text)
    edge.start()
    machine = Data.open(edge.data).machine
    until(lambda: books.machine().live, "the edge's word in SQL")
    with books.engine.begin() as connection:
        row = {"incarnation": f"{7:016x}", "producer": "edge-0", "machine": machine, "first_seen": 1, "seq": 9}
        connection.execute(schema.producers.insert().values(state="live", note="", **row))
    refused = retire(books, machine)
    assert (refused.returncode, refused.stderr) == (
        2,
        f"tuike: machine {machine} gives signs of life; stop its edge first\n",
    )
    edge.kill()
    until(lambda: not books.machine().live, "the edge to be silent long enough")
    done = retire(books, machine)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            f"{machine} {7:016x}: lost from event 1 on",
            f"{machine} is retired; 1 of its journals have not ended",
        ],
    )
    assert retire(books, machine).stdout == f"{machine} is retired; 0 of its journals have not ended\n"
    assert retire(books, "elsewhere").returncode == 2
    assert edge.launch().wait(PATIENCE) == 2
    assert f"machine {machine} was retired" in edge.log.read_text()
    assert refused_ranges(books) == sorted([f"{7:016x}", *incarnations(edge)]), "nobody had ever heard of its own"


def incarnations(edge: Edge) -> list[str]:
    return sorted(f"{number:016x}" for _, number, _ in _core.incarnations(str(edge.data / "journal")))


def refused_ranges(books: Books) -> list[str]:
    with books.engine.begin() as connection:
        return sorted(row.incarnation for row in members.all_lost(connection))


def test_machines_are_told_where_a_journal_can_be_fetched(books: Books, start: Callable[..., Edge]) -> None:
    edge = start(books.text, "--journal-url", "http://edge.internal:1")
    edge.start()
    until(lambda: books.machine().url == "http://edge.internal:1", "the edge's word in SQL")
    assert json.loads((edge.data / "version").read_text()) == 1


def test_an_edge_that_was_cut_off_and_retired_finds_out_and_stops(books: Books, start: Callable[..., Edge]) -> None:
    edge = start(books.text)
    edge.start()
    machine = Data.open(edge.data).machine
    until(lambda: books.machine().live, "the edge's word in SQL")
    assert edge.process is not None
    os.killpg(edge.process.pid, signal.SIGSTOP)
    until(lambda: not books.machine().live, "the edge to be silent long enough")
    assert retire(books, machine).returncode == 0
    assert refused_ranges(books) == []
    os.killpg(edge.process.pid, signal.SIGCONT)
    assert edge.process.wait(PATIENCE) == control.OVER
    said = edge.log.read_text()
    assert f"tuike: {edge.data}: machine {machine} was retired; choose a new --data" in said
    assert refused_ranges(books) == incarnations(edge), "what it took, and nobody has, is declared"
    for incarnation in incarnations(edge):
        assert f"incarnation {incarnation}: what is not in the books from event 1 on is refused" in said


def test_an_edge_says_that_it_starts_before_it_answers(books: Books, start: Callable[..., Edge]) -> None:
    edge = start(books.text)
    first: list[members.Machine] = []

    def seen() -> bool:
        assert edge.process is not None and edge.process.poll() is None, edge.log.read_text()[-2_000:]
        with books.engine.begin() as connection:
            first[:] = members.machines(connection)
        return bool(first)

    edge.launch()
    until(seen, "its word in SQL")
    assert (first[0].state, first[0].live) == ("starting", True)
    until(lambda: books.machine().state == "serving", "its mirror's word")
