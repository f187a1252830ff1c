"""Redis Streams as transport: what is sent is read, trimmed, asked for again; what must not be is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from redis.exceptions import DataError as RedisDataError

import redis_servers
from tuike.data import DataError
from tuike.transport.entries import ALL, ORDERS, Entry, Packet, Reached, Sending
from tuike.transport.redis_log import LONG, PARTS, START, Failed, RedisLog, after, connect, hosts, order_of

# redis-py drops a cluster's first connections without closing them
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", params=["one server", "a cluster"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "one server":
        with redis_servers.running() as server:
            yield server.url
        return
    with redis_servers.cluster() as servers:
        # of several hosts any one will do
        yield "redis+cluster://127.0.0.1:1," + ",".join(f"127.0.0.1:{server.port}" for server in servers)


@pytest.fixture
def log(url: str) -> Iterator[RedisLog]:
    log = RedisLog(url)
    log.check()
    yield log
    log.commit({partition: (Reached(), b"9999999999999-0") for partition in ALL})
    log.reset()


def packet(partition: int, after: int, upto: int) -> Packet:
    return Packet("m", partition, (Entry(2**64 - 1, "edge-0", after, upto, 7, b"data"),), live=(2**64 - 1, 3))


def sending(*packets: Packet) -> list[Sending]:
    """As a shipper has them."""
    return [
        Sending(
            replace(whole, entries=tuple(replace(entry, data=b"") for entry in whole.entries)),
            tuple(memoryview(entry.data) for entry in whole.entries),
        )
        for whole in packets
    ]


def test_what_is_sent_to_all_partitions_is_read_behind_the_cursor(log: RedisLog) -> None:
    sent = [packet(partition, 0, 5) for partition in ALL] + [packet(3, 5, 6)]
    ids = log.send(sending(*sent))
    found = log.read(dict.fromkeys(ALL, START), 10)
    assert [body for _, body in found[3]] == [sent[3], sent[-1]]
    assert {partition: packets[0] for partition, packets in found.items()} == {
        partition: (ids[partition], sent[partition]) for partition in ALL
    }
    assert log.read({3: ids[3], ORDERS: ids[ORDERS]}, 10) == {3: [(ids[-1], sent[-1])]}
    assert log.last_ids([3]) == {3: ids[-1]}


def test_what_is_committed_is_taken_away_and_known_to_the_shipper(log: RedisLog) -> None:
    first, second = log.send(sending(packet(9, 0, 5), packet(9, 5, 6)))
    assert log.look("m", {9: first})[0][9].newest_there
    log.commit({9: (Reached({1: 5}, {1: 7}), first)})
    known = log.look("m", {9: first})[0][9]
    assert (known.newest_there, known.committed) == (False, Reached({1: 5}, {1: 7}))
    assert log.look("m", {9: second})[0][9].newest_there


def test_a_gap_is_told_once_and_to_the_machine_that_is_asked(log: RedisLog) -> None:
    log.ask(4, ["m", "n"])
    assert [log.look(name, {4: None})[0][4].asked for name in ("m", "m", "o", "n")] == [True, False, False, True]


def test_what_is_wholly_applied_is_known_to_all(log: RedisLog) -> None:
    log.say_closed([2**64 - 1, 3])
    assert log.look("m", {4: None})[1] == {3, 2**64 - 1}


def test_ids_have_an_order() -> None:
    assert order_of(b"9-10") > order_of(b"9-9") > order_of(START)
    assert after(b"9-10") == b"9-11"


def test_a_server_that_throws_entries_away_is_refused() -> None:
    with redis_servers.running() as server, server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(DataError, match=r"allkeys-lru.*noeviction"):
            RedisLog(server.url).check()


def test_without_memory_a_reader_still_takes_away_and_a_shipper_is_told() -> None:
    with redis_servers.running() as server, server.client() as client:
        log = RedisLog(server.url)
        (id,) = log.send(sending(packet(1, 0, 5)))
        client.config_set("maxmemory", "1mb")
        with pytest.raises(Failed):
            log.send(sending(packet(1, 5, 6)))
        log.commit({1: (Reached({1: 5}, {}), id)})
        assert log.read({1: START}, 10) == {}


@pytest.mark.parametrize(
    "url",
    ["http://x", "redis://", "nonsense", "redis://a,b", "redis://a:no", "redis://a:0", "redis+cluster://a:1,:2"],
)
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(DataError, match=r"redis\+cluster"):
        RedisLog(url).check()


def test_each_host_of_a_url_stands_alone_under_the_same_name_and_password() -> None:
    assert hosts("redis://u:p@a:1/2") == ["redis://u:p@a:1/2"]
    assert hosts("rediss+cluster://u:p@a:1,[::1]:2,c") == ["rediss://u:p@a:1", "rediss://u:p@[::1]:2", "rediss://u:p@c"]


def test_packets_of_older_edges_which_have_their_records_inside_are_read(url: str, log: RedisLog) -> None:
    old = packet(5, 0, 5)
    connect(url).execute_command("XADD", "tuike:{05}:hits", "*", "p", msgspec.msgpack.encode(old))
    (new,) = log.send(sending(packet(5, 5, 6)))
    assert [body for _, body in log.read({5: START}, 10)[5]] == [old, packet(5, 5, 6)]
    assert log.last_ids([5]) == {5: new}


@pytest.mark.parametrize(
    ("length", "count"), [(0, 12), (10, 12), (LONG, 12), (LONG + 1, 12), (1 << 20, 12), (LONG + 1, PARTS)]
)
def test_records_of_any_length_and_number_arrive_as_they_are(log: RedisLog, length: int, count: int) -> None:
    entries = tuple(Entry(number, "edge-0", 0, 9, 7, bytes([number % 251]) * length) for number in range(count))
    log.send(sending(Packet("m", 6, entries)))
    assert [body.entries for _, body in log.read({6: START}, 10)[6]] == [entries]


def test_a_server_behind_tls_is_spoken_to_through_it(tmp_path: Path) -> None:
    with redis_servers.behind_tls(tmp_path) as (url, certificate):
        log = RedisLog(f"{url}?ssl_ca_certs={certificate}")
        log.check()
        log.send(sending(packet(1, 0, 5), Packet("m", 2, (Entry(1, "edge-0", 0, 5, 7, b"x" * 100_000),))))
        assert sorted(log.read(dict.fromkeys(ALL, START), 10)) == [1, 2]
        log.reset()
        with pytest.raises(Failed):
            RedisLog(url).check()  # nobody vouches for it


def test_what_is_no_argument_is_refused(log: RedisLog) -> None:
    nothing: Any = None
    with pytest.raises(RedisDataError):
        log.send([Sending(Packet("m", 1, (Entry(1, "edge-0", 0, 5),)), (nothing,))])
