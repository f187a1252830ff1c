"""`--ceiling` from the command line to the books: what is refused, and what orders pay before and after it changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from admin_support import Admin, product, serving
from click.testing import CliRunner
from sqlalchemy import select

from instance import running
from tuike import cli, configuring, demo
from tuike.data import Data
from tuike.replay import replay
from tuike.stores import engine, schema
from tuike.verify import verify

SIXTY = {"type": "fixed", "value": "60"}
ABOVE_TEN = {"type": "percentage", "value": "10.0001"}


@pytest.mark.parametrize("command", [["serve"], ["admin"], ["demo"], ["config", "apply", __file__]], ids=" ".join)
@pytest.mark.parametrize("value", ["0", "0.0000", "50.0001", "100", "x", "", "-1", "1e1", "12.00001", "5 %"])
def test_a_ceiling_that_cannot_be_is_named(command: list[str], value: str, tmp_path: Path) -> None:
    said = f"{value!r} is no percentage above 0 and at most 50, with up to 4 decimals"
    named = ["--data", str(tmp_path / "data")]
    done = CliRunner().invoke(cli.program, [*command, *named, "--ceiling", value])
    assert done.exit_code == 2 and said in " ".join(done.output.split()), done.output
    if value:  # an empty variable is none
        done = CliRunner(env={"TUIKE_CEILING": value}).invoke(cli.program, [*command, *named])
        assert done.exit_code == 2 and said in " ".join(done.output.split()), done.output
    assert not (tmp_path / "data").exists()


async def _refused(admin: Admin, method: str, path: str, body: Any, ceiling: str) -> None:
    status, problem = await admin.call(method, path, body)
    assert (status, problem["code"]) == (422, "above_ceiling"), problem
    assert problem["detail"] == f"`value` is above the platform's ceiling of {ceiling} %"


async def _paid(admin: Admin, oid: str) -> tuple[str, str, int]:
    """The pool of an order of 100.00, and ceiling and number of the version that paid it."""
    id = await admin.order(oid=oid, amount=10_000, aff="ann")
    why = await admin.get(f"/v1/conversions/{id}/why")
    return why["pool"], why["rule"]["ceiling"], why["rule"]["version"]


async def test_the_api_writes_rules_under_the_ceiling_of_then_and_orders_keep_to_it(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", ceiling=100_000) as admin:
        await admin.shop(SIXTY)
        preview = {"rule": ABOVE_TEN, "amount": "100.00", "currency": "CNY", "depth": 3}
        await _refused(admin, "POST", "/v1/products", product("cup", "shop", ABOVE_TEN), "10")
        await _refused(admin, "PATCH", "/v1/products/tea", {"commission": ABOVE_TEN}, "10")
        await _refused(admin, "POST", "/v1/rules/preview", preview, "10")
        shown = await admin.post("/v1/rules/preview", preview | {"rule": SIXTY})
        assert (shown["ceiling"], shown["pool"]) == ("10.00", "10.00")
        assert await _paid(admin, "o1") == ("10.00", "10", 1)
    async with serving(tmp_path / "data", ceiling=123_456) as admin:
        assert await _paid(admin, "o2") == ("10.00", "10", 1)
        assert (await admin.call("POST", "/v1/products", product("tea", "shop", SIXTY)))[0] == 200
        await admin.call("PATCH", "/v1/products/tea", {"name": "Tea!"})
        assert await _paid(admin, "o3") == ("10.00", "10", 1)
        await admin.call("PATCH", "/v1/products/tea", {"commission": SIXTY})
        assert await _paid(admin, "o4") == ("12.34", "12.3456", 2)
    data = Data.open(tmp_path / "data")
    for report in (verify(data), replay(data, 3)):
        assert report.fault is None, report.text()


async def test_whoever_sends_a_ceiling_with_a_product_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", ceiling=100_000) as admin:
        await admin.shop()
        for method, path, body in (
            ("POST", "/v1/products", product("cup", "shop", SIXTY, ceiling=500_000)),
            ("PATCH", "/v1/products/tea", {"commission": SIXTY, "ceiling": 500_000}),
        ):
            status, problem = await admin.call(method, path, body)
            assert (status, problem["code"]) == (400, "bad_body")


def test_the_option_reaches_the_api_of_a_service(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "1", "--ceiling", "12.5") as instance:
        body = {"rule": SIXTY, "amount": "100.00", "currency": "CNY", "depth": 1}
        assert instance.call("POST", "rules/preview", body)[1]["ceiling"] == "12.50"


# --- rules that commands write ------------------------------------------------------------------------


def _ceilings(data: Data) -> dict[tuple[str, int], int]:
    books = engine.open_reader(data.database)
    columns = schema.rules.c
    with books.connect() as connection:
        rows = connection.execute(select(columns.product, columns.version, columns.ceiling)).all()
    books.dispose()
    return {(row.product, row.version): row.ceiling for row in rows}


def test_a_file_is_applied_under_the_ceiling_and_an_unchanged_rule_is_no_change(tmp_path: Path) -> None:
    data = Data.open(tmp_path / "data", create=True)
    demo.fill(data, 1, 2)
    file = tmp_path / "config.json"
    file.write_text(configuring.export(data, configuring.SECTIONS))
    assert configuring.apply(data, file, None, dry=False, ceiling=1).lines == []
    document = json.loads(file.read_text())
    next(item for item in document["products"] if item["id"] == "tea")["commission"] = {
        "type": "percentage",
        "value": "9",
    }
    file.write_text(json.dumps(document))
    with pytest.raises(configuring.NotApplied, match=r"above the platform's ceiling of 8\.9999 %"):
        configuring.apply(data, file, None, dry=False, ceiling=89_999)
    assert len(configuring.apply(data, file, None, dry=False, ceiling=90_000).lines) == 1
    assert _ceilings(data) == {("app", 1): 500_000, ("tea", 1): 500_000, ("tea", 2): 90_000}


def test_the_demo_is_under_the_ceiling_or_stays_out(tmp_path: Path) -> None:
    data = Data.open(tmp_path / "data", create=True)
    with pytest.raises(demo.NotFilled, match=r"product tea cannot have its rule: above_ceiling: .* of 14\.9999 %"):
        demo.fill(data, 1, 2, 149_999)
    demo.fill(data, 1, 2, 150_000)
    assert _ceilings(data) == {("app", 1): 150_000, ("tea", 1): 150_000}
