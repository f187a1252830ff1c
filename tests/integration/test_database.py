"""One machine with its books on a real PostgreSQL or MariaDB server: every command, and what happens without it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from instance import Instance, running, tuike
from sql_servers import Server
from tuike.stores import engine, migrations, moving
from waiting import until

PRODUCTS = 12
"""Rows of an import."""


def test_every_command_works_on_a_server(server_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    where = ("--data", str(data), "--database", server_url)
    with running(data, "--workers", "1", "--database", server_url, "--database-read", server_url) as instance:
        fill(instance)
        (tmp_path / "p.csv").write_text("id,name\n" + "".join(f"p{n},P{n}\n" for n in range(PRODUCTS)))
        tuike("import", "promoters", tmp_path / "p.csv", "--strict", *where)
        assert len(instance.get("promoters?limit=100")["items"]) == PRODUCTS + 3
        assert instance.get("promoters/carol/team")["by_level"] == {"1": 1, "2": 1}
        until(lambda: instance.get("reports/summary")["clicks"] == 3, "the clicks to be in the reports")
        report = instance.get("reports/summary?group_by=sub1")
        assert [(item["sub1"], item["clicks"]) for item in report["items"]] == [("red", 3)]
        assert report["sales"] == "300.00"
        assert instance.metrics().count("affiliate_conversions_total{") == 3
        assert "3 orders released" in tuike("settle", *where).stdout
        assert instance.balance("alice")["available"] == "15.00"
        assert instance.stop() == 0
    assert not (data / "books.sqlite").exists()
    assert "ok" in tuike("verify", *where).stdout
    assert "no difference" in tuike("replay", *where).stdout
    tuike("verify", "--attribution", *where)
    assert (
        tuike("process", "--data", data, "--database", server_url.replace("tuike:", "nobody:"), check=False).returncode
        == 2
    )


def test_one_data_directory_keeps_a_servers_books(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data", "--workers", "1", "--database", server_url) as instance:
        instance.merchant()
        done = tuike("process", "--data", tmp_path / "strange", "--database", server_url, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "the books were made under another secret than" in done.stderr
        monkeypatch.setenv("TUIKE_SECRET", (tmp_path / "data" / "secret").read_text().strip())
        done = tuike("process", "--data", tmp_path / "second", "--database", server_url, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"{(tmp_path / 'data' / 'machine').read_text().strip()} keeps these books" in done.stderr
        assert "word" not in done.stderr  # of the URL
        instance.merchant("mart")


def test_the_demo_goes_into_a_server_once(server_url: str, tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "data"), "--database", server_url)
    tuike("demo", *where)
    tuike("demo", *where)
    assert tuike("demo", "--data", tmp_path / "data2", "--database", server_url, check=False).returncode == 2
    tuike("verify", *where)


def test_reports_and_lists_come_from_the_copy_and_from_the_books_where_it_is_away(
    sql_server: Callable[[str], Server], tmp_path: Path
) -> None:
    server = sql_server("postgresql")
    url, copy = server.create(), server.create()
    with running(tmp_path / "data", "--workers", "1", "--database", url, "--database-read", copy) as instance:
        instance.merchant()
        assert [item["id"] for item in instance.get("merchants")["items"]] == ["shop"]  # the copy has no tables yet
        books, made = engine.open_reader(engine.parse(url)), engine.open_writer(engine.parse(copy))
        migrations.upgrade(made)
        with books.begin() as connection:
            moving.move(connection, made, lambda done, whole: None)
        books.dispose()
        made.dispose()
        instance.merchant("mart")
        assert instance.get("merchants/mart")["id"] == "mart"
        assert [item["id"] for item in instance.get("merchants")["items"]] == ["shop"]
        server.drop(copy)
        assert [item["id"] for item in instance.get("merchants")["items"]] == ["mart", "shop"]


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    tuike("demo", "--data", tmp_path / "data")
    done = tuike("verify", "--data", tmp_path / "data", "--database", "postgresql://u:word@127.0.0.1:1/n", check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("tuike: the database cannot be read: ")
    assert "word" not in done.stderr


def fill(instance: Instance) -> None:
    """A shop, a tree of three, three clicks with a label, three orders."""
    instance.merchant(settlement="T+0")
    levels = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1"}]
    instance.product(hold_days=0, commission={"type": "percentage", "value": "10", "levels": levels})
    for promoter, parent in (("carol", None), ("bob", "carol"), ("alice", "bob")):
        instance.promoter(promoter, parent)
    instance.post("links", code="go", promoter="alice", product="tea", channel="wechat")
    for number in range(3):
        assert instance.click("/c/go?sub1=red")[0] == 302
        status, _ = instance.postback(oid=f"o{number}", pid="tea", amount="100.00", aff="alice")
        assert status in (200, 202), status
    until(lambda: len(instance.get("conversions")["items"]) == 3, "the orders to be booked")
