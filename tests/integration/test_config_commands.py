"""`tuike config`: an instance's configuration as a file, out and in."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from instance import tuike
from tuike import _core, configuring, demo
from tuike.data import Data
from tuike.stores import engine, schema

Json = dict[str, Any]

POSTER = '<svg xmlns="http://www.w3.org/2000/svg">{{qr}}</svg>'


@pytest.fixture
def data(tmp_path: Path) -> Data:
    data = Data.open(tmp_path / "data", create=True)
    demo.fill(data, 1, 2)
    given = [{"owner": owner, "poster": POSTER, "texts": ["{{product}}"]} for owner in ("product:tea", "instance")]
    given.append({"owner": "merchant:demo-shop", "texts": ["{{url}}"]})
    apply(data, file_of(tmp_path, {"format": configuring.FORMAT, "templates": given}))
    return data


def exported(data: Data) -> Json:
    document: Json = json.loads(configuring.export(data, configuring.SECTIONS))
    return document


def file_of(tmp_path: Path, document: Json) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return path


def apply(data: Data, path: Path, keys: Path | None = None, *, dry: bool = False) -> list[str]:
    return configuring.apply(data, path, keys, dry=dry).lines


def events(data: Data) -> int:
    """Outcomes in the books: what was applied."""
    books = engine.open_reader(data.database)
    with books.connect() as connection:
        number = connection.scalar(select(func.count()).select_from(schema.outcomes)) or 0
    books.dispose()
    return number


def test_what_is_exported_is_sorted_without_secrets_and_changes_nothing_when_applied(
    data: Data, tmp_path: Path
) -> None:
    text = configuring.export(data, configuring.SECTIONS)
    document = json.loads(text)
    for section, key in configuring.KEYS.items():
        ids = [item[key] for item in document[section]]
        assert ids == sorted(ids) and ids
    books = engine.open_reader(data.database)
    with books.connect() as connection:
        sealed = connection.scalar(select(schema.merchants.c.secret)) or ""
    books.dispose()
    key = _core.unseal(data.secret, "merchant", sealed).decode()
    assert sealed not in text and key not in text and "secret" not in text
    before = events(data)
    assert apply(data, file_of(tmp_path, document)) == []
    assert (events(data), configuring.export(data, configuring.SECTIONS)) == (before, text)


def test_an_empty_instance_becomes_the_one_that_was_exported_and_keeps_its_new_keys(data: Data, tmp_path: Path) -> None:
    document = exported(data)
    document["promoters"][0]["status"] = "blocked"
    document["products"][0]["status"] = "paused"
    path = file_of(tmp_path, document)
    other = Data.open(tmp_path / "other", create=True)
    with pytest.raises(configuring.NotApplied, match="demo-shop: new merchants have postback keys"):
        apply(other, path)
    keys = tmp_path / "keys.json"
    lines = apply(other, path, keys)
    assert lines[0] == "create merchant demo-shop" and len(lines) == 13
    assert exported(other) == document
    books = engine.open_reader(other.database)
    with books.connect() as connection:
        sealed = connection.scalar(select(schema.merchants.c.secret)) or ""
    books.dispose()
    kept = json.loads(keys.read_text())
    assert kept == {"demo-shop": _core.unseal(other.secret, "merchant", sealed).decode()}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert apply(other, path, keys) == []
    assert json.loads(keys.read_text()) == kept


def test_a_change_is_told_member_by_member_and_a_dry_run_makes_none(data: Data, tmp_path: Path) -> None:
    document = exported(data)
    document["merchants"][0]["refund_days"] = 7
    tea = next(item for item in document["products"] if item["id"] == "tea")
    tea["attribution"]["window_days"] = 60
    tea["commission"] = {"type": "fixed", "value": "1.00"}
    document["links"][0]["expires"] = "2030-01-01T00:00:00Z"
    path = file_of(tmp_path, document)
    before = exported(data)
    lines = apply(data, path, dry=True)
    assert lines[0] == "change merchant demo-shop: refund_days 0 -> 7"
    assert lines[1].startswith("change product tea: attribution.window_days 30 -> 60, commission {")
    assert lines[2].startswith(f"change link {document['links'][0]['code']}: expires null -> ")
    assert exported(data) == before
    assert apply(data, path) == lines
    assert exported(data) == document


IMPOSSIBLE: list[tuple[str, Json, str]] = [
    ("merchants", {"currency": "USD"}, "`currency` is CNY and cannot become USD"),
    ("promoters", {"parent": "wen"}, "see PUT /v1/promoters/"),
    ("links", {"promoter": "lin"}, "`promoter` is "),
    ("products", {"commission": {"type": "percentage", "value": "99"}}, "ceiling"),
    ("products", {"commission": {"type": "none"}}, 'no rule has the type "none"'),
    ("products", {"cookie_days": 31}, "cookie_days"),
    ("products", {"colour": "red"}, "colour"),
    ("links", {"url": "https://elsewhere.example/"}, "url_not_allowed"),
    ("templates", {"poster": "<svg>{{qr}}</svg>"}, "the template of instance: bad_poster: <svg> is not of SVG's"),
    ("templates", {"texts": ["{{price}}"]}, "the template of instance: bad_text: text 1"),
    ("templates", {"owner": "promoter:lin"}, "owner"),
    ("templates", {"owner": "product:none"}, "unknown_product"),
]


@pytest.mark.parametrize(("section", "change", "says"), IMPOSSIBLE, ids=[f"{row[0]} {row[1]}" for row in IMPOSSIBLE])
def test_what_is_impossible_is_named_and_nothing_else_is_done(
    data: Data, tmp_path: Path, section: str, change: Json, says: str
) -> None:
    document = exported(data)
    document[section][0] |= change
    document["promoters"].append({"id": "new", "name": "New"})
    before, number = configuring.export(data, configuring.SECTIONS), events(data)
    with pytest.raises(configuring.NotApplied) as refused:
        apply(data, file_of(tmp_path, document))
    assert says in str(refused.value)
    assert (configuring.export(data, configuring.SECTIONS), events(data)) == (before, number)


def test_a_template_is_set_whole_and_one_of_nothing_is_removed(data: Data, tmp_path: Path) -> None:
    document = exported(data)
    of_all, of_shop, of_tea = document["templates"]
    assert [one["owner"] for one in document["templates"]] == ["instance", "merchant:demo-shop", "product:tea"]
    assert (of_all["poster"], of_shop["poster"], of_shop["texts"]) == (POSTER, None, ["{{url}}"])
    of_shop["poster"] = POSTER
    of_tea |= {"poster": None, "texts": []}
    path = file_of(tmp_path, document)
    assert apply(data, path) == [
        "change template merchant:demo-shop: poster",
        "change template product:tea: poster, texts",
    ]
    assert exported(data)["templates"] == [of_all, of_shop]
    assert apply(data, path) == []


def test_promoters_may_stand_before_their_parents_and_not_above_themselves(data: Data, tmp_path: Path) -> None:
    tree = [{"id": "a", "name": "A", "parent": "b"}, {"id": "b", "name": "B", "parent": "lin"}]
    assert apply(data, file_of(tmp_path, {"format": configuring.FORMAT, "promoters": tree})) == [
        "create promoter b under lin",
        "create promoter a under b",
    ]
    loop = [{"id": "x", "name": "X", "parent": "y"}, {"id": "y", "name": "Y", "parent": "x"}]
    with pytest.raises(configuring.NotApplied, match="above itself"):
        apply(data, file_of(tmp_path, {"format": configuring.FORMAT, "promoters": loop}))


def test_the_commands_print_and_apply_and_say_what_is_wrong(data: Data, tmp_path: Path) -> None:
    at = ("--data", data.root)
    whole = tuike("config", "export", *at)
    path = tmp_path / "config.json"
    path.write_text(whole.stdout)
    assert (
        tuike("config", "apply", path, *at, "--dry-run").stdout == "0 changes, none of them made: this was a dry run\n"
    )
    only = json.loads(tuike("config", "export", *at, "--only", "merchants").stdout)
    assert list(only) == ["format", "merchants"]
    path.write_text("{}")
    refused = tuike("config", "apply", path, *at, check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == "tuike: nothing was changed" and "format" in refused.stderr
