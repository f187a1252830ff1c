"""The commands as section 1 of contract.md has them. Most run in this process; those that serve, in their own."""

import gzip
import io
import json
import os
import secrets
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from instance import Instance, running, tuike
from tuike import cli, journal
from tuike.data import Data
from waiting import PATIENCE, until

CONTRACT = {
    "serve": {"data", "edge_port", "admin_port", "host", "workers", "redis", "database", "durability", "demo"},
    "edge": {"data", "edge_port", "host", "workers", "durability"},
    "process": {"data"},
    "admin": {"data", "admin_port", "host"},
    "demo": {"data"},
    "import": {"data", "strict", "kind", "file"},
    "verify": {"data", "statement", "key", "attribution"},
    "replay": {"data", "rule", "model", "product"},
    "journal": set(),
}
FIELDS = ["producer", "seq", "time", "kind", "id", "aff", "pid", "visitor", "bot", "prefetch", "counted", "reason"]


@dataclass
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any, tmp_path: Path) -> Any:
    """Runs the program in this process, in an empty working directory."""
    for name in [name for name in os.environ if name.startswith("TUIKE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["tuike", *map(str, arguments)])
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                cli.main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(), err.decode())

    return call


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance with the demo, serving, with some hits in its journal."""
    with running(tmp_path_factory.mktemp("served") / "data", "--workers", "1", "--demo") as instance:
        until(lambda: instance.click("/c/tea-bo")[0] == 302, "the demo's link")
        instance.click("/c/tea-bo?consent=0")
        instance.click("/c/tea-bo", **{"User-Agent": "Googlebot/2.1"})
        yield instance


# --- settings ---------------------------------------------------------------------------------------


def test_every_command_and_option_of_the_contract_is_there() -> None:
    commands = cli.program.commands
    for name, options in CONTRACT.items():
        assert options <= {parameter.name for parameter in commands[name].params}, name
    assert set(cli.journal.commands) == {"cat", "stat", "check"}


def every_option() -> Iterator[tuple[str, click.Option]]:
    for command in [*cli.program.commands.values(), *cli.journal.commands.values()]:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield f"{command.name} {parameter.name}", parameter


def test_every_option_is_in_the_environment_and_has_a_text() -> None:
    for where, option in every_option():
        assert option.name is not None
        assert option.envvar == f"TUIKE_{option.name.upper()}", where
        assert option.help and option.show_envvar, where


def test_the_help_names_every_command_in_full(run: Any) -> None:
    done = run("--help")
    assert done.code == 0 and done.err == ""
    for name in CONTRACT:
        assert f"\n  {name} " in done.out
    assert "..." not in done.out.partition("Commands:")[2]
    assert run().code == 2
    assert run("--version").out.startswith("tuike, version ")


def test_an_option_comes_before_the_environment_the_environment_before_the_file(run: Any, tmp_path: Path) -> None:
    def used(*arguments: str, **environment: str) -> str:
        return str(run(*arguments, **environment).err).split(": ")[1]

    for command in (["verify"], ["journal", "stat"], ["journal", "cat"], ["journal", "check"]):
        assert used(*command) == "data"
        (tmp_path / "tuike.toml").write_text('data = "of-file"\nedge-port = 1\nadmin_port = 2\n')
        assert used(*command) == "of-file"
        assert used(*command, TUIKE_DATA="of-environment") == "of-environment"
        assert used(*command, "--data", "of-option", TUIKE_DATA="of-environment") == "of-option"
        (tmp_path / "tuike.toml").rename(tmp_path / "other.toml")
        assert used(*command, TUIKE_CONFIG="other.toml") == "of-file"


def test_networks_may_be_one_text_or_a_list_in_the_file(run: Any, tmp_path: Path) -> None:
    for value in ('"10.0.0.0/8, ::1"', '["10.0.0.0/8", "::1"]'):
        (tmp_path / "tuike.toml").write_text(f"trusted-proxies = {value}\n")
        assert run("serve", "--data", tmp_path / "tuike.toml").err.startswith("tuike: Invalid value for '--data'")
    (tmp_path / "tuike.toml").write_text('trusted-proxies = "home"\n')
    assert "'home' is no network such as 10.0.0.0/8" in run("serve", "--data", "d").err


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope"], "No such command 'nope'"),
        (["journal", "nope"], "No such command 'nope'"),
        (["serve", "--nope"], "No such option '--nope'"),
        (["serve", "--workers", "many"], "'many' is not a valid integer"),
        (["serve", "--workers", "0"], "0 is not in the range"),
        (["serve", "--durability", "maybe"], "'process', 'interval', 'always'"),
        (["serve", "--edge-port", "65536"], "--edge-port"),
        (["serve", "--host", "203.0.113.1", "--data", "d"], "choose another --host"),
        (["serve", "--redis", "redis://r"], "--redis is for more than one machine"),
        (["serve", "--database", "postgresql://d"], "postgresql://d is none of postgresql://HOST/NAME"),
        (["import"], "Missing argument"),
        (["import", "visits", "x.csv"], "'visits' is not one of"),
        (["import", "clicks", "none.csv"], "'none.csv' does not exist"),
        (["verify", "--data", "none"], "none: no tuike data directory"),
        (["journal", "cat", "--data", "none"], "none: no tuike data directory"),
        (["edge", "--data", "none"], "none: no tuike data directory"),
        (["admin", "--data", "none"], "none: no tuike data directory"),
        (["serve", "--data", "a-file"], "'a-file' is a file"),
        (["serve", "--data", "a-file/x"], "a-file/x: Not a directory"),
        (["serve", "--data", "strangers"], "not a tuike data directory"),
        (["serve", "--data", "newer"], "written by a newer tuike"),
        (["process", "--data", "newer"], "written by a newer tuike"),
        (["verify", "--data", "newer"], "written by a newer tuike"),
        (["import", "promoters", "a-file", "--data", "newer"], "written by a newer tuike"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_that_names_the_thing_and_exit_code_2(
    run: Any, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "a-file").write_text("id,name\n")
    (tmp_path / "strangers").mkdir()
    (tmp_path / "strangers" / "thesis.txt").touch()
    Data.open(tmp_path / "newer", create=True)
    (tmp_path / "newer" / "version").write_text("2\n")
    done = run(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
    assert done.err.startswith("tuike: ") and says in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"data = = ", "Invalid value"),
        (b"\xff", "utf-8"),
        (b"nonesuch = 1", "no setting is called 'nonesuch'"),
        (b"file = 1", "no setting is called 'file'"),
        (b"data = ['a']", "data in the settings file has to be one value"),
    ],
)
def test_a_wrong_settings_file_is_named(run: Any, tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "tuike.toml").write_bytes(text)
    done = run("verify")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert says in done.err
    assert "absent.toml: No such file" in run("verify", TUIKE_CONFIG="absent.toml").err


def test_the_environment_is_refused_as_an_option_is(run: Any) -> None:
    assert "TUIKE_WORKERS" in run("serve", TUIKE_WORKERS="many").err
    assert run("serve", TUIKE_REDIS="redis://r").code == 2


def test_a_port_in_use_is_named_before_anything_starts(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option, other in (("--edge-port", "--admin-port"), ("--admin-port", "--edge-port")):
            done = run("serve", "--data", "d", option, port, other, "0")
            assert (done.code, done.err.count("\n")) == (2, 1)
            assert f"127.0.0.1:{port}: Address already in use; choose another {option}" in done.err


def test_a_second_process_on_the_same_data_directory_is_refused(run: Any, served: Instance) -> None:
    for command in ("serve", "process"):
        done = run(command, "--data", served.data)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "uses this data directory; stop it or choose another --data" in done.err


def test_no_command_opens_a_directory_with_another_secret(run: Any, tmp_path: Path) -> None:
    Data.open(tmp_path / "data", create=True)
    (tmp_path / "data" / "secret").write_text(secrets.token_hex(32))
    for command in ("serve", "edge", "process", "admin", "demo", "verify"):
        done = run(command, "--data", "data")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "not the secret this directory was written under" in done.err


def test_a_first_start_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    whole = Data.open(tmp_path / "data", create=True)
    for lost in (["secret.sum"], ["secret.sum", "version"]):
        for name in lost:
            (whole.root / name).unlink()
        (whole.root / "secret.new").write_text("")
        if "version" in lost:
            for folder in ("touches", "journal", "registry", "metrics", "run"):
                (whole.root / folder).rmdir()
        assert Data.open(whole.root, create=True) == whole


# --- serving ----------------------------------------------------------------------------------------


def test_a_first_start_says_where_the_token_is_and_a_stop_is_no_fault(tmp_path: Path) -> None:
    # longer than the name of a unix socket may be
    data = tmp_path / ("a" * 60) / ("b" * 60)
    data.parent.mkdir()
    with running(data, "--workers", "1") as instance:
        assert instance.data.joinpath("admin.token").stat().st_mode & 0o777 == 0o600
        assert instance.get("merchants")["items"] == []
        assert instance.stop() == 0
    said = data.with_name(f"{data.name}.log").read_text()
    assert f"wrote the admin token to {data}/admin.token" in said
    assert f"edge   http://127.0.0.1:{instance.edge_port}" in said


def test_health_and_metrics_need_no_token(served: Instance) -> None:
    def get(url: str) -> tuple[int, str]:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()

    assert get(f"{served.edge}/healthz") == (200, "ok\n")
    assert get(f"{served.admin}/healthz")[0] == get(f"{served.admin}/readyz")[0] == 200
    text = get(f"{served.admin}/metrics")[1]
    for sample in (
        'affiliate_hits_total{kind="click",outcome="counted"} 2',
        'affiliate_commission_payout_sum{currency="CNY"} 0.00',
        'affiliate_commission_payout_count{currency="CNY"} 0',
        "affiliate_journal_lag_seconds ",
        'affiliate_hit_duration_seconds_bucket{le="+Inf"} ',
        "# TYPE affiliate_conversions_total counter",
        "# TYPE affiliate_click_through_rate gauge",
        "# TYPE affiliate_commission_payout summary",
    ):
        assert f"\n{sample}" in text, sample


def test_the_token_of_the_environment_overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUIKE_ADMIN_TOKEN", "of-mine")
    with running(tmp_path / "data", "--workers", "1") as instance:
        assert instance.call("GET", "merchants", token="of-mine")[0] == 200
        assert instance.call("GET", "merchants", token="other")[0] == 401
        until(lambda: "token in TUIKE_ADMIN_TOKEN" in (tmp_path / "data.log").read_text(), "its last line")


# --- demo, journal, verify ----------------------------------------------------------------------------


def test_the_demo_fills_an_empty_instance_once(run: Any) -> None:
    first = run("demo", "--data", "d", "--edge-port", "9000")
    assert first.code == 0 and "http://127.0.0.1:9000/c/tea-bo" in first.out
    assert run("demo", "--data", "d", "--edge-port", "9000").out == first.out
    assert run("verify", "--data", "d").code == 0
    assert len(list(journal.events(Data.open(Path("d"))))) == 10 + 10, "as many as the demo has, and what was booked"


def test_the_demo_stays_out_of_an_instance_in_use(run: Any, tmp_path: Path) -> None:
    with running(tmp_path / "d", "--workers", "1") as instance:
        instance.merchant("mine")
        done = run("demo", "--data", "d")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "the demo is for an empty one" in done.err


def test_the_journal_is_printed_as_ndjson(run: Any, served: Instance) -> None:
    def clicks() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in run("journal", "cat", "--data", served.data).out.splitlines()]
        assert all(list(line)[: len(FIELDS)] == FIELDS for line in lines)
        return [line for line in lines if line["kind"] == "click"]

    until(lambda: len(clicks()) == 3, "the clicks to be synced")
    plain, private, bot = clicks()
    assert (plain["producer"], plain["seq"], plain["aff"], plain["pid"]) == ("edge-0", 1, "bo", "tea")
    assert (plain["counted"], plain["bot"], plain["prefetch"], plain["reason"]) == (True, False, False, None)
    assert len(plain["id"]) == len(plain["visitor"]) == 32 and private["visitor"] is None
    assert abs(time.mktime(time.strptime(plain["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - time.time()) < 60
    assert (bot["counted"], bot["bot"], bot["reason"]) == (False, True, "bot")


def test_the_journal_is_counted_and_checked(run: Any, served: Instance, tmp_path: Path) -> None:
    stat = run("journal", "stat", "--data", served.data)
    rows = [line.split() for line in stat.out.splitlines()]
    assert stat.code == 0 and ["edge-0", "click", "bot", "1"] in rows and rows[-1][0] == "all"
    check = run("journal", "check", "--data", served.data)
    assert check.code == 0 and "edge-0/" in check.out and "0 damaged" in check.out

    damaged = tmp_path / "damaged"
    shutil.copytree(served.data, damaged, ignore=shutil.ignore_patterns("*.sock"))
    segment = next((damaged / "journal" / "edge-0").glob("*/000000.seg"))
    with segment.open("r+b") as file:
        file.seek(64 + 40)
        file.write(b"\xff" * 8)
    check = run("journal", "check", "--data", damaged)
    assert check.code == 1 and "1 damaged" in check.out and "segment 0, byte 64" in check.out
    verify = run("verify", "--data", served.data)
    assert verify.code == 0 and "FAULT" not in verify.out


# --- import -----------------------------------------------------------------------------------------

PROMOTERS = "id,name,parent,kind\na1,A,a2,member\na2,B,,kol\na3,C,zz,\na 4,D,,\na5,E,,boss\n,F,,\na1,again,,\n"
BAD_PROMOTERS = {4: "unknown_parent", 5: "is no code", 6: "neither member nor kol", 7: "missing id", 8: "conflict"}


def bad_lines(done: Done, name: str) -> dict[int, str]:
    found = (line.partition(f"{name}:")[2].partition(": ") for line in done.err.splitlines() if f"{name}:" in line)
    return {int(number): reason for number, _, reason in found}


@pytest.fixture
def demo(run: Any) -> None:
    assert run("demo", "--data", "data").code == 0


def test_bad_rows_are_named_and_the_rest_goes_in_once(run: Any, demo: None, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PROMOTERS)
    for words in ("2 rows in, 0 were in before, 5 bad\n", "0 rows in, 2 were in before, 5 bad\n"):
        done = run("import", "promoters", "p.csv")
        assert (done.code, done.out) == (1, words)
        bad = bad_lines(done, "p.csv")
        assert bad.keys() == BAD_PROMOTERS.keys()
        assert all(reason in bad[line] for line, reason in BAD_PROMOTERS.items()), bad


@pytest.mark.parametrize(
    ("kind", "text", "bad"),
    [
        ("promoters", "id,name,parent\nb1,B,\nb2,B,zz\n", [3]),
        ("promoters", "id,name\nb1,B\nb 2,B\n", [3]),
        ("promoters", "id,name\nbo,another\nb3,B\n", [2]),
        ("links", "code,promoter,product,url\nl1,bo,tea,\nl2,zz,tea,\nl3,bo,tea,https://evil.example/\n", [3, 4]),
        ("clicks", "time,aff,pid\n2026-01-01T00:00:00Z,bo,tea\nyesterday,bo,tea\n", [3]),
        ("conversions", "time,pid,order_id,amount\n1767225600,tea,1,1.00\n1767225600,tea,2,1.001\n", [3]),
    ],
)
def test_a_strict_import_takes_all_or_nothing(
    run: Any, demo: None, tmp_path: Path, kind: str, text: str, bad: list[int]
) -> None:
    before = len(list(journal.events(Data.open(Path("data")))))
    (tmp_path / "rows.csv").write_text(text)
    done = run("import", kind, "rows.csv", "--strict")
    assert done.code == 1 and sorted(bad_lines(done, "rows.csv")) == bad
    assert len(list(journal.events(Data.open(Path("data"))))) == before


def test_a_strict_import_without_a_bad_row_goes_in(run: Any, demo: None, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,name,parent\nc1,C,c2\nc2,C,bo\n")
    done = run("import", "promoters", "p.csv", "--strict")
    assert (done.code, done.out) == (0, "2 rows in, 0 were in before, 0 bad\n")


def test_gzip_is_known_by_its_bytes_and_half_of_one_is_refused(run: Any, demo: None, tmp_path: Path) -> None:
    rows = "time,aff,pid,ip\n" + "2026-01-01T00:00:00Z,bo,tea,192.0.2.1\n" * 50
    packed = io.BytesIO()
    with gzip.open(packed, "wt") as text:
        text.write(rows)
    (tmp_path / "half.csv.gz").write_bytes(packed.getvalue()[:-9])
    (tmp_path / "named-otherwise.csv").write_bytes(packed.getvalue())
    half = run("import", "clicks", "half.csv.gz")
    assert (half.code, half.err.count("\n")) == (2, 1) and "damaged gzip" in half.err
    done = run("import", "clicks", "named-otherwise.csv")
    assert (done.code, done.out) == (0, "50 rows in, 0 were in before, 0 bad\n")


def test_rows_that_no_reader_takes_are_bad_rows(run: Any, demo: None, tmp_path: Path) -> None:
    good = "1767225600,bo,tea\n"
    (tmp_path / "long.csv").write_text("time,aff,pid\n" + "x" * 200_000 + f",bo,tea\n{good}")
    done = run("import", "clicks", "long.csv")
    assert (done.code, done.out) == (1, "1 rows in, 0 were in before, 1 bad\n")
    assert list(bad_lines(done, "long.csv")) == [2]
    deep = '{"a":' + "[" * 100_000
    (tmp_path / "deep.ndjson").write_text('{"time":1767225600,"aff":"bo","pid":"tea"}\n' + deep + "\n[1]\n{bad\n")
    done = run("import", "clicks", "deep.ndjson")
    assert (done.code, sorted(bad_lines(done, "deep.ndjson"))) == (1, [2, 3, 4])
    assert done.out == "1 rows in, 0 were in before, 3 bad\n"


def test_a_file_without_its_columns_is_refused(run: Any, demo: None, tmp_path: Path) -> None:
    for text in ("", "a,b\n1,2\n"):
        (tmp_path / "rows.csv").write_text(text)
        done = run("import", "clicks", "rows.csv")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "it needs time, aff, pid" in done.err


def test_an_import_brings_up_an_instance_that_has_never_run(run: Any, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,name\na1,A\n")
    assert run("import", "promoters", "p.csv", "--data", "new").out == "1 rows in, 0 were in before, 0 bad\n"
    (tmp_path / "c.csv").write_text("time,aff,pid\n1767225600,a1,tea\n")
    done = run("import", "clicks", "c.csv", "--data", "fresh")
    assert done.code == 1 and "there is no product 'tea'" in done.err


def test_an_import_into_a_running_instance_returns_when_it_is_applied(served: Instance, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,name,parent\nim-1,A,im-2\nim-2,B,\n")
    (tmp_path / "o.ndjson").write_text(
        '{"time":1767225600,"pid":"tea","order_id":"im","amount":"10.00","aff":"im-1","currency":"CNY"}\n'
    )
    tuike("import", "promoters", tmp_path / "p.csv", "--data", served.data)
    tuike("import", "conversions", tmp_path / "o.ndjson", "--data", served.data)
    (item,) = served.get("conversions?order_id=im&merchant=demo-shop")["items"]
    assert [credit["promoter"] for credit in item["credits"]][:2] == ["im-1", "im-2"]
