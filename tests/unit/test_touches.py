"""The contract of the touch store, embedded and in SQL: a set of touches, found by key, ordered by time then event
id."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import URL

import sql_servers
from sql_servers import Server
from tuike._core import Batch, Follower, TouchStore, Writer, decode_touch, encode_event
from tuike.stores import engine, touch_list
from tuike.stores.touches import SqlTouches

DAY = 86_400_000
ALWAYS = 2**63
SHORTLY = 600_000
KEYS = ("visitor", "cust", "did", "fingerprint")
TRACES = ("address", "prefix", "fingerprint", "referrer")


def hit(number: int, at: int, **fields: Any) -> dict[str, Any]:
    return {"kind": "click", "id": f"{number:032x}", "at": at, "received": at, "merchant": "m", **fields}


class Journal:
    """Makes batches as they are made in earnest: written by a producer, read by a follower."""

    def __init__(self, root: Path) -> None:
        self.writer = Writer(str(root), "edge-0", 1, durability="process")
        self.follower = Follower(str(root))
        self.after: dict[int, int] = {}

    def batch(self, hits: list[dict[str, Any]]) -> Batch:
        if hits:
            self.writer.append([encode_event(hit) for hit in hits])
        batch = self.follower.read(self.after, 1_000_000, 1)
        self.after |= batch.upto
        return batch


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


class InSql:
    """The touch store in SQL with the embedded one's face: each call in a transaction of its own."""

    def __init__(self, url: URL) -> None:
        self._engine = engine.open_writer(url)
        self._store = SqlTouches(self._engine)

    def put(self, batch: Batch) -> None:
        rows = batch.touch_rows()
        self._store.prepare(rows)
        with self._engine.begin() as connection:
            self._store.put(connection, rows)

    def drop_before(self, instant: int) -> int:
        return self._store.drop_before(instant)

    def click(self, id: str) -> Any:
        return self._ask("click", id)

    def days(self) -> Any:
        return self._ask("days")

    def newest_of_day(self, *question: Any) -> Any:
        return self._ask("newest_of_day", *question)

    def path(self, *question: Any) -> Any:
        return self._ask("path", *question)

    def bindings(self, *question: Any) -> Any:
        return self._ask("bindings", *question)

    def seen(self, *question: Any) -> Any:
        return self._ask("seen", *question)

    def persist(self, sync: bool) -> None:
        """A commit is on the disk."""

    def close(self) -> None:
        self._engine.dispose()

    def _ask(self, what: str, *question: Any) -> Any:
        with self._engine.begin() as connection:
            self._store.begin(connection)
            return getattr(self._store, what)(*question)


Store = TouchStore | InSql


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[TouchStore]:
    store = TouchStore(str(tmp_path / "touches"))
    yield store
    store.close()


@pytest.fixture(params=["embedded", *sql_servers.ENGINES])
def store(request: pytest.FixtureRequest, tmp_path: Path, sql_server: Callable[[str], Server]) -> Iterator[Store]:
    if request.param == "embedded":
        yield request.getfixturevalue("embedded")
        return
    server = None if request.param == "sqlite" else sql_server(request.param)
    url = server.create() if server else ""
    store = InSql(engine.parse(url) if server else engine.of_file(tmp_path / "touches.sqlite"))
    yield store
    store.close()
    if server:
        server.drop(url)


def kept(hit: dict[str, Any]) -> dict[str, Any]:
    """What the store keeps of a hit: of what it came from only where it is a click that counts, and of its referrer the
    site."""
    traced = hit["kind"] == "click" and hit.get("counted")
    left = {name: value for name, value in hit.items() if name != "extra" and (traced or name not in TRACES)}
    return left | ({"referrer": "https://example.com"} if "referrer" in left else {})


def seen(touches: dict[str, dict[str, Any]], id: str, buyer: str, since: int, at: int, most: int) -> dict[str, Any]:
    """What the store says of an order of merchant m by `buyer`, who is visitor and customer, with a device `tv`."""
    click = touches.get(id, {})
    click = kept(click) if click.get("kind") == "click" else {}
    click_at = click.get("at", 0 if click else at)
    begins = click_at // DAY * DAY

    def of(key: str, value: str | None, first: int, last: int) -> list[dict[str, Any]]:
        its = [hit for hit in touches.values() if hit["merchant"] == "m" and value and hit.get(key) == value]
        return [hit for hit in its if first <= hit.get("at", 0) <= last]

    def counts(hits: list[dict[str, Any]]) -> int:
        return sum(hit["kind"] == "click" and bool(hit.get("counted")) for hit in hits)

    day = begins, min(begins + DAY - 1, at)
    visitors = of("visitor", buyer or click.get("visitor"), since, at)
    customers = of("cust", buyer, since, at)
    both = [hits for hits in (visitors if buyer or click else None, customers if buyer else None) if hits is not None]
    lately = [[hit for hit in hits if hit.get("at", 0) + SHORTLY >= at] for hits in both]
    near = {hit["agent"] for hit in visitors if "agent" in hit and abs(hit.get("at", 0) - click_at) <= SHORTLY}
    return {
        "prefix": click.get("prefix", ""),
        "referrer": click.get("referrer", ""),
        "address_clicks": min(most, counts(of("address", click.get("address"), *day))),
        "fingerprint_visitors": len({hit["visitor"] for hit in of("fingerprint", click.get("fingerprint"), *day)}),
        "devices": max([len({hit["did"] for hit in hits} | {"tv"}) for hits in both], default=0),
        "clicks_before": max([counts(hits) for hits in lately], default=0),
        "agents": len(near),
    }


HITS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    kind=st.sampled_from(("click", "view")),
    at=st.builds(lambda day, ms: day * DAY + ms, st.integers(0, 5), st.integers(0, 3)),
    merchant=st.sampled_from(("m", "mm", "")),
    aff=st.just("alice"),
    address=st.just("ad" * 16),
    referrer=st.just("https://example.com/"),
    prefix=st.just("192.0.2.0/24"),
    agent=st.integers(0, 2),
    **{key: st.sampled_from(("a" * 32, "b" * 32)) for key in KEYS},
)
FLAGS = st.sampled_from(
    ({"counted": True}, {"reason": "bot", "bot": True}, {"reason": "prefetch", "prefetch": True}, {"private": True})
)
TIMES = st.builds(lambda day, ms: day * DAY + ms, st.integers(0, 6), st.integers(0, 3))


class TouchStoreContract(RuleBasedStateMachine):
    """The store against a dict: put, put again, look up, drop, reopen in any order."""

    def open(self) -> Store:
        return TouchStore(str(self.root / "touches"))

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.root = Path(self.directory.name)
        self.journal = Journal(self.root / "journal")
        self.store = self.open()
        self.touches: dict[str, dict[str, Any]] = {}
        self.batches: list[tuple[Batch, list[dict[str, Any]]]] = []
        self.number = 0

    @rule(hits=st.lists(st.tuples(HITS, FLAGS), max_size=8))
    def put(self, hits: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        new = []
        for fields, flags in hits:
            self.number += 7919  # ids come in another order than times
            new.append({"id": f"{self.number % 1009:032x}", **{k: v for k, v in (fields | flags).items() if v}})
        batch = self.journal.batch(new)
        self.batches.append((batch, new))
        self.apply(batch, new)

    @rule(choice=st.integers(0, 100))
    def put_again(self, choice: int) -> None:
        if self.batches:
            self.apply(*self.batches[choice % len(self.batches)])

    def apply(self, batch: Batch, hits: list[dict[str, Any]]) -> None:
        self.store.put(batch)
        self.touches |= {hit["id"]: hit for hit in hits if "merchant" in hit}

    @rule(kind=st.sampled_from(KEYS), merchant=st.sampled_from(("m", "mm", "x")), since=TIMES, until=TIMES)
    def look_up(self, kind: str, merchant: str, since: int, until: int) -> None:
        for key in ("a" * 32, "b" * 32, "c" * 32):
            expected = [
                kept(hit)
                for hit in sorted(self.touches.values(), key=lambda hit: (hit.get("at", 0), hit["id"]))
                if hit["merchant"] == merchant and hit[kind] == key and since <= hit.get("at", 0) <= until
            ]
            assert self.store.path(kind, merchant, key, since, until) == expected  # type: ignore[arg-type]

    @rule(at=TIMES, since=TIMES, most=st.integers(0, 3), buyer=st.sampled_from(("", "a" * 32, "c" * 32)))
    def ask(self, at: int, since: int, most: int, buyer: str) -> None:
        for click in [*self.touches, "f" * 32, ""]:
            expected = seen(self.touches, click, buyer, since, at, most)
            assert self.store.seen("m", click, buyer, buyer, "tv", since, at, most) == expected

    @rule(
        kind=st.sampled_from(("", "click", "view")),
        merchant=st.sampled_from(("", "m", "mm")),
        counted=st.sampled_from((None, True, False)),
        until=TIMES,
        limit=st.integers(1, 3),
    )
    def list_all(self, kind: Any, merchant: str, counted: bool | None, until: int, limit: int) -> None:
        wanted = touch_list.Wanted(kind=kind, merchant=merchant, counted=counted, until=until, limit=limit)
        found: list[Any] = []
        while (page := touch_list.newest(self.store, wanted)).following:
            assert len(page.items) == limit
            found += page.items
            wanted.after = page.following
        assert found + page.items == [
            kept(hit)
            for hit in sorted(self.touches.values(), key=lambda hit: (hit.get("at", 0) // DAY, hit["id"]), reverse=True)
            if kind in ("", hit["kind"]) and merchant in ("", hit["merchant"]) and hit.get("at", 0) <= until
            if counted in (None, hit.get("counted", False))
        ]

    @rule(instant=TIMES)
    def drop(self, instant: int) -> None:
        days = {hit.get("at", 0) // DAY for hit in self.touches.values()}
        assert self.store.drop_before(instant) == len([day for day in days if day < instant // DAY])
        self.touches = {id: hit for id, hit in self.touches.items() if hit.get("at", 0) // DAY >= instant // DAY}

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def clicks_are_found_and_nothing_else(self) -> None:
        for _, hits in self.batches:
            for hit in hits:
                known = self.touches.get(hit["id"])
                found = self.store.click(hit["id"])
                assert found == (kept(known) if known and known["kind"] == "click" else None)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.journal.writer.close(1)
            self.directory.cleanup()


class SqlTouchesContract(TouchStoreContract):
    def open(self) -> Store:
        return InSql(engine.of_file(self.root / "touches.sqlite"))


def test_every_store_says_the_same_to_fraud_rules(store: Store, tmp_path: Path) -> None:
    traces = {"counted": True, "address": "ad" * 16, "fingerprint": "fe" * 16, "prefix": "192.0.2.0/24", "agent": 7}
    hits = [hit(n, DAY + n, visitor=f"{n % 3:032x}", did="d", cust="c", **traces) for n in range(9)]
    store.put(Journal(tmp_path / "journal").batch(hits))
    assert store.seen("m", f"{8:032x}", "", "c", "tv", 0, DAY + 7, 5) == {
        "prefix": "192.0.2.0/24",
        "referrer": "",
        "address_clicks": 5,
        "fingerprint_visitors": 3,
        "devices": 2,
        "clicks_before": 8,
        "agents": 1,
    }


def test_every_store_counts_on_the_day_of_a_click_at_the_first_instant(store: Store, tmp_path: Path) -> None:
    store.put(Journal(tmp_path / "journal").batch([hit(1, 0, visitor="a" * 32, counted=True, address="ad" * 16)]))
    assert store.seen("m", f"{1:032x}", "", "", "", 0, DAY, 5)["address_clicks"] == 1


def test_every_store_lists_a_days_records_from_the_highest_id(journal: Journal, store: Store) -> None:
    hits = [hit(n, n // 4 * DAY, visitor="a" * 32, cust="k", counted=True, binds=True) for n in range(4, 12)]
    store.put(journal.batch(hits))
    assert store.days() == [1, 2]

    def numbers(day: int, before: str, most: int) -> list[int]:
        return [int(decode_touch(record)["id"], 16) for record in store.newest_of_day(day, before, most)]

    assert numbers(1, "", 10) == [7, 6, 5, 4]
    assert numbers(2, "", 3) == [11, 10, 9]
    assert numbers(2, f"{9:032x}", 10) == [8]
    assert numbers(2, f"{8:032x}", 10) == []


TouchStoreContract.TestCase.settings = settings(max_examples=40, stateful_step_count=15)
SqlTouchesContract.TestCase.settings = settings(max_examples=20, stateful_step_count=15)
TestContract = TouchStoreContract.TestCase
TestSqlContract = SqlTouchesContract.TestCase


ROUNDS = 20
PER_DAY = 64
EACH = 1_000
"""Touches of one customer: a path is cut to 2,000."""


def test_a_put_touch_outlives_kill_9_and_putting_all_again_changes_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    acknowledged = [int(child.stdout.readline()) for _ in range(ROUNDS)][-1]
    child.kill()
    rest, _ = child.communicate()
    acknowledged = max([acknowledged, *map(int, rest.split("\n")[:-1])])

    store = TouchStore(str(tmp_path / "touches"))
    for number in range(acknowledged + 1):
        click = store.click(f"{number:032x}")
        assert click and click.get("at", 0) == number * DAY // PER_DAY, number
    batch = Follower(str(tmp_path / "journal")).read({}, 1_000_000, 1)
    for _ in range(2):
        store.put(batch)
        found = [
            int(touch["id"], 16)
            for customer in range(batch.count // EACH + 1)
            for touch in store.path("cust", "m", str(customer), 0, ALWAYS)
        ]
        assert found == list(range(batch.count))
    store.close()


CHILD = f"""
import sys
from tuike._core import Follower, TouchStore, Writer, encode_event
root, after, number = sys.argv[1], {{}}, 0
writer, follower = Writer(root + "/journal", "edge-0", 1, durability="process"), Follower(root + "/journal")
store = TouchStore(root + "/touches")
while True:
    ids = range(number, number + 50)
    fields = {{"kind": "click", "merchant": "m", "sub1": "s" * 400}}
    keys = [{{"id": f"{{n:032x}}", "at": n * {DAY} // {PER_DAY}, "cust": str(n // {EACH})}} for n in ids]
    writer.append([encode_event(own | fields) for own in keys])
    batch = follower.read(after, 1000, 1)
    store.put(batch)
    after |= batch.upto
    number += batch.count
    print(number - 1, flush=True)
"""


def test_a_store_has_one_owner(tmp_path: Path, embedded: TouchStore) -> None:
    with pytest.raises(OSError, match="open in another process"):
        TouchStore(str(tmp_path / "touches"))


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = TouchStore(str(tmp_path / "touches"))
    store.close()
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.click("0" * 32)


def test_what_is_no_key_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="32 hex"):
        store.click("abc")
    with pytest.raises(ValueError, match="32 hex"):
        store.path("visitor", "m", "abc", 0, ALWAYS)
    with pytest.raises(ValueError, match="ip"):
        store.path("ip", "m", "abc", 0, ALWAYS)  # type: ignore[arg-type]


def test_keys_that_share_a_beginning_are_told_apart(journal: Journal, store: Store) -> None:
    store.put(journal.batch([hit(1, 5, cust="k"), hit(2, 5, cust="kk"), hit(3, 5, cust="k", merchant="mk")]))
    assert [touch["id"][-1] for touch in store.path("cust", "m", "k", 0, ALWAYS)] == ["1"]
    assert [touch["id"][-1] for touch in store.path("cust", "m", "kk", 0, ALWAYS)] == ["2"]
    assert store.path("did", "m", "k", 0, ALWAYS) == []


def test_clicks_that_bind_are_kept_beyond_their_days(journal: Journal, store: Store) -> None:
    binds: dict[str, Any] = {"cust": "k", "visitor": "a" * 32, "binds": True, "counted": True}
    store.put(journal.batch([hit(2, 5, **binds), hit(1, 9 * DAY, **binds), hit(3, 5, **binds | {"embedded": True})]))
    assert store.drop_before(20 * DAY) == 2
    for kind, key in (("cust", "k"), ("visitor", "a" * 32)):
        assert [click["id"][-1] for click in store.bindings(kind, "m", key, 9 * DAY)] == ["2", "1"]  # type: ignore[arg-type]
        assert [click["id"][-1] for click in store.bindings(kind, "m", key, 9 * DAY - 1)] == ["2"]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="did"):
        store.bindings("did", "m", "k", 0)  # type: ignore[arg-type]


def test_a_path_runs_over_days_from_since_to_until_inclusive(journal: Journal, store: Store) -> None:
    store.put(journal.batch([hit(day, day * DAY, cust="k") for day in (9, 3, 5, 0, 4)]))
    path = store.path("cust", "m", "k", 3 * DAY, 5 * DAY)
    assert [touch["at"] // DAY for touch in path] == [3, 4, 5]
    assert store.path("cust", "m", "k", 5 * DAY, 3 * DAY) == []
    store.persist(False)
    store.persist(True)


def test_a_long_path_is_cut_to_its_newest_touches(journal: Journal, store: Store) -> None:
    """Over two days, more than are asked for at once."""
    store.put(journal.batch([hit(n, n * DAY // 2_000, cust="k") for n in range(2_500)]))
    path = store.path("cust", "m", "k", 0, ALWAYS)
    assert [int(touch["id"], 16) for touch in path] == list(range(500, 2_500))


def test_bindings_are_found_however_old(journal: Journal, store: Store) -> None:
    binding = {"binds": True, "counted": True, "cust": "k", "visitor": "a" * 32}
    store.put(journal.batch([hit(n, n * DAY // 100, **binding) for n in range(1_200)]))
    for kind, key in (("cust", "k"), ("visitor", "a" * 32)):
        found = store.bindings(kind, "m", key, ALWAYS)  # type: ignore[arg-type]
        assert [int(touch["id"], 16) for touch in found] == [*range(500), *range(700, 1_200)]
    assert [int(touch["id"], 16) for touch in store.bindings("cust", "m", "k", 2 * DAY // 100)] == [0, 1, 2]
    store.drop_before(20 * DAY)
    assert len(store.bindings("cust", "m", "k", ALWAYS)) == 1_000
    assert store.path("cust", "m", "k", 0, ALWAYS) == []
    with pytest.raises(ValueError, match="nobody"):
        store.bindings("did", "m", "k", 1)  # type: ignore[arg-type]
