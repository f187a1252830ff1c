"""`tuike import` of every kind, on a running and on a stopped instance, killed and run again."""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from books import books, differences
from instance import COMMAND_LIMIT, running, tuike
from tuike.data import Data
from waiting import until

KILLS = 3
ROWS = 5_000
SEED = 20251123


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a stopped instance with a shop, its two products and one promoter, for copying."""
    with running(tmp_path_factory.mktemp("shop") / "data", "--workers", "1") as instance:
        instance.merchant()
        instance.product(commission={"type": "percentage", "value": "10", "levels": [{"level": 1, "value": "6"}]})
        instance.product("cup")
        instance.promoter("ann")
        assert instance.stop() == 0
        return instance.data


def copied(data: Path, to: Path) -> Path:
    return Path(shutil.copytree(data, to, ignore=shutil.ignore_patterns("run")))


@pytest.fixture
def data(shop: Path, tmp_path: Path) -> Path:
    return copied(shop, tmp_path / "data")


@pytest.fixture(params=["running", "stopped"])
def anyhow(request: pytest.FixtureRequest, data: Path) -> Iterator[Path]:
    """The data directory, with its instance running or not."""
    if request.param == "stopped":
        yield data
        return
    with running(data, "--workers", "1"):
        yield data


def bring(data: Path, kind: str, text: str, *options: str) -> tuple[int, str, list[tuple[int, str]]]:
    """Imports a text: exit code, the last line said, the refused lines with their reasons."""
    file = data.parent / f"{kind}-{abs(hash(text))}.txt"
    file.write_text(text)
    done = tuike("import", kind, file, "--data", data, *options, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith(f"{file}:")]
    refused = [line.removeprefix(f"{file}:").split(": ", 1) for line in said]
    return done.returncode, done.stdout.strip() or done.stderr.strip(), [(int(line), why) for line, why in refused]


PROMOTERS = """id,name,parent,kind
cy,Cy,bo,member
bo,"Bo, the
second",ann,kol
bad id,X,,
x,X,y,
y,Y,x,
z,Z,nobody,
bo,Another Bo,ann,
dee,Dee,cy,boss
"""
LINKS = """{"code":"L1","promoter":"bo","product":"tea","channel":"web"}
{"code":"L2","promoter":"nobody","product":"tea"}
{"code":"L3","promoter":"bo","product":"tea","url":"https://evil.example/"}
{"code":"L4","promoter":"cy","product":"cup","url":"https://shop.example/x?a=1"}
{"code":"L1","promoter":"bo","product":"cup"}
"""
CLICKS = """time,aff,pid,visitor,channel,sub1
2025-10-09T08:53:20Z,bo,tea,one,web,a
1760000000,cy,tea,二,app,b
1760000100,nobody,tea,one,,
then,bo,tea,one,,
1760000200,cy,cup,,,
"""
ORDERS = """time,pid,order_id,amount,currency,status,visitor,aff
1760003000,tea,o3,50.00,,approved,,
1760001000,tea,o1,100.00,CNY,approved,one,
1760002000,tea,o2,200.00,,pending,二,
1760001500,tea,o1,70.00,,approved,one,
1760002500,tea,o2,200.00,,rejected,,
1760002600,tea,o4,1.00,,refunded,,
1760002700,cup,o5,10.005,,,,cy
1760002800,cup,o6,10.00,,,,cy
"""


def test_every_kind_comes_in_and_bad_rows_are_named(anyhow: Path) -> None:
    assert bring(anyhow, "promoters", PROMOTERS) == (
        1,
        "2 rows in, 0 were in before, 6 bad",
        [
            (5, "id 'bad id' is no code: 1 to 64 of A-Z a-z 0-9 . _ -"),
            (6, "loop: x below y below x"),
            (7, "loop: x below y below x"),
            (8, "unknown_parent: there is no promoter 'nobody'"),
            (9, "conflict: this id is taken, by another body"),
            (10, "kind 'boss' is neither member nor kol"),
        ],
    )
    code, said, refused = bring(anyhow, "links", LINKS)
    assert (code, said) == (1, "2 rows in, 0 were in before, 3 bad")
    assert [(line, why.split(":")[0]) for line, why in refused] == [
        (2, "unknown_promoter"),
        (3, "url_not_allowed"),
        (5, "conflict"),
    ]
    assert bring(anyhow, "clicks", CLICKS) == (
        1,
        "3 rows in, 0 were in before, 2 bad",
        [(4, "there is no promoter 'nobody'"), (5, "time 'then' is neither RFC 3339 nor Unix seconds")],
    )
    code, said, refused = bring(anyhow, "conversions", ORDERS)
    again = bring(anyhow, "conversions", ORDERS)
    # a refund of an order that nobody has named yet is in: it waits a week for it
    assert again == (1, "0 rows in, 6 were in before, 2 bad", refused)
    assert (code, said) == (1, "6 rows in, 0 were in before, 2 bad")
    assert [(line, why.split(":")[0]) for line, why in refused] == [
        (5, "amount_conflict"),
        (8, "amount '10.005' CNY"),
    ]
    tuike("verify", "--data", anyhow)
    found = books(anyhow)
    assert [row[:6] for row in found["orders"]] == [
        ("shop", "o1", "tea", 10000, "CNY", "approved"),
        ("shop", "o2", "tea", 20000, "CNY", "rejected"),
        ("shop", "o3", "tea", 5000, "CNY", "approved"),
        ("shop", "o6", "cup", 1000, "CNY", "approved"),
    ]
    balances = {name: balance for name, _, balance in found["accounts"] if name.startswith("promoter:")}
    assert balances == {"promoter:bo:pending": 600, "promoter:cy:pending": 100}


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("promoters", "id,name,parent\nbo,Bo,ann\nx,X,y\n", 3),
        ("promoters", "id,name,parent\nbo,Bo,ann\nann,Another,\n", 3),
        ("links", "code,promoter,product\nL1,ann,tea\nL2,ann,no\n", 3),
        ("clicks", "time,aff,pid\n1760000000,ann,tea\n1760000000,no,tea\n", 3),
        ("conversions", "time,pid,order_id,amount\n1760000000,tea,o1,1.00\n1760000001,tea,o1,2.00\n", 3),
    ],
)
def test_strict_lets_nothing_in_when_one_row_is_bad(data: Path, kind: str, text: str, line: int) -> None:
    before = books(data)
    code, said, refused = bring(data, kind, text, "--strict")
    assert (code, said, [line for line, _ in refused]) == (1, "0 rows in, 0 were in before, 1 bad", [line])
    assert not differences(before, books(data))
    assert not list((data / "journal").glob("import-*"))


def test_strict_lets_all_in_when_no_row_is_bad(data: Path) -> None:
    text = "id,name,parent\ncy,Cy,bo\nbo,Bo,ann\n"
    assert bring(data, "promoters", text, "--strict") == (0, "2 rows in, 0 were in before, 0 bad", [])
    assert bring(data, "promoters", text, "--strict") == (0, "0 rows in, 2 were in before, 0 bad", [])


def test_a_file_that_is_no_such_file_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    code, said, _ = bring(data, "clicks", "when,aff,pid\n1760000000,ann,tea\n")
    assert code == 2
    assert said.endswith("the header has no column 'time'; it needs time, aff, pid")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(CLICKS.encode())[:-4])
    done = tuike("import", "clicks", cut, "--data", data, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "damaged gzip" in done.stderr
    assert not list((data / "journal").glob("import-*"))


def test_promoters_come_into_an_empty_directory_and_clicks_have_no_product_there(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert bring(data, "promoters", "id,name\nann,Ann\n")[0] == 0
    assert bring(data, "clicks", CLICKS)[2][0] == (2, "there is no product 'tea'")
    tuike("verify", "--data", data)


def test_the_same_file_again_changes_nothing_and_a_changed_one_is_another(anyhow: Path) -> None:
    text = "time,aff,pid\n1760000000,ann,tea\n1760000000,ann,cup\n"
    assert bring(anyhow, "clicks", text) == (0, "2 rows in, 0 were in before, 0 bad", [])
    assert bring(anyhow, "clicks", text) == (0, "0 rows in, 2 were in before, 0 bad", [])
    assert bring(anyhow, "clicks", text + "1760000001,ann,tea\n") == (0, "3 rows in, 0 were in before, 0 bad", [])
    assert sum(row[-3] for row in books(anyhow)["hits"] if row[4] == 0) == 5


def test_an_import_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    anyhow: Path, shop: Path, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    clicks, orders = tmp_path / "clicks.csv", tmp_path / "orders.csv.gz"
    visitors = [str(n) for n in range(ROWS)]
    chance.shuffle(visitors)
    lines = (f"{1760000000 + int(v)},ann,{'tea' if int(v) % 3 else 'cup'},v{v},s{int(v) % 7}" for v in visitors)
    clicks.write_text("time,aff,pid,visitor,sub1\n" + "\n".join(lines) + "\n")
    buys = (f"{1760100000 + int(v)},tea,o{v},{v}.50,v{v}" for v in visitors[: ROWS // 5])
    orders.write_bytes(gzip.compress(("time,pid,order_id,amount,visitor\n" + "\n".join(buys) + "\n").encode()))
    quiet = copied(shop, tmp_path / "quiet")
    for kind, file in (("clicks", clicks), ("conversions", orders)):
        began = time.monotonic()
        tuike("import", kind, file, "--data", quiet)
        whole = time.monotonic() - began
        for _ in range(KILLS):
            command = [sys.executable, "-m", "tuike", "import", kind, str(file), "--data", str(anyhow)]
            killed = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.2, whole))  # the moment is what is random here
            killed.kill()
            killed.wait()
        assert ", 0 bad" in tuike("import", kind, file, "--data", anyhow).stdout
    for data in (anyhow, quiet):
        tuike("verify", "--data", data)
    assert not differences(books(quiet), books(anyhow))


def test_only_one_import_runs_at_a_time(data: Path) -> None:
    with closing(Data.open(data).lock("import.lock")):
        code, said, _ = bring(data, "clicks", CLICKS)
    assert (code, said.count("\n")) == (2, 0)
    assert said.endswith("another import is running; wait until it has ended")


def test_an_import_whose_instance_stops_meanwhile_applies_the_rest_itself(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "clicks.ndjson"
    file.write_text("".join(json.dumps({"time": 1760000000 + n, "aff": "ann", "pid": "tea"}) + "\n" for n in range(50)))
    with running(data, "--workers", "1") as instance:
        [processor] = instance.children("process")
        os.kill(processor, signal.SIGSTOP)  # it applies nothing: the import has to wait for it
        importing = subprocess.Popen(
            [sys.executable, "-m", "tuike", "import", "clicks", str(file), "--data", str(data)],
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: list(data.glob("journal/import-*/*/mark")), "the rows in the journal")
        instance.kill()
    said, _ = importing.communicate(timeout=COMMAND_LIMIT)
    assert said == "50 rows in, 0 were in before, 0 bad\n"
    tuike("verify", "--data", data)
    assert sum(row[-3] for row in books(data)["hits"] if row[4] == 0) == 50
