"""What supervisors, Prometheus and readers of the contract find."""

import asyncio
import contextlib
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
from admin_support import LEVELS, Admin, click
from prometheus_client.parser import text_string_to_metric_families

from tuike import _core
from tuike.admin.app import RESOURCES, first_token
from tuike.data import Data
from tuike.edge.app import Service
from waiting import eventually

SAMPLE = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? (-?[0-9.e+-]+|\+Inf|NaN)')


@contextlib.asynccontextmanager
async def edge_of(admin: Admin) -> AsyncIterator[int]:
    """A real edge on the instance's data directory; its port."""
    data = admin.data
    with socket.create_server(("127.0.0.1", 0)) as listener:
        edge = _core.Edge(str(data.root), "edge-0", 7, secret=data.secret, seed=secrets.token_bytes(32))
        service = Service(edge, listener)
        await service.start()
        try:
            yield listener.getsockname()[1]
        finally:
            await service.close()


async def test_metrics_are_those_of_the_contract(admin: Admin) -> None:
    await admin.shop(LEVELS)
    sent = click("ann", channel='a"b\\c')
    view = click("ann", channel='a"b\\c', kind="view")
    await admin.record([sent, view, click("ann", kind="view", channel='a"b\\c')])
    await admin.order(oid="1", amount=10_000, click=sent["id"])
    status, text = await admin.text("/metrics")
    assert status == 200
    lines = text.splitlines()
    for line in lines:
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line
    for line in (
        'affiliate_conversions_total{level="1",product="tea"} 1',
        'affiliate_conversions_total{level="2",product="tea"} 1',
        'affiliate_click_through_rate{channel="a\\"b\\\\c"} 0.5',
        'affiliate_commission_payout_sum{currency="CNY"} 8.00',
        'affiliate_commission_payout_count{currency="CNY"} 2',
        "# TYPE affiliate_commission_payout summary",
        "# TYPE affiliate_hits_total counter",
        "# TYPE affiliate_hit_duration_seconds histogram",
    ):
        assert line in lines
    families = {family.name: family for family in text_string_to_metric_families(text)}
    types = (
        ("affiliate_hits", "counter"),
        ("affiliate_conversions", "counter"),
        ("affiliate_commission_payout", "summary"),
    )
    for name, kind in (*types, ("affiliate_hit_duration_seconds", "histogram")):
        assert families[name].type == kind, name
    (rate,) = families["affiliate_click_through_rate"].samples
    assert (rate.labels, rate.value) == ({"channel": 'a"b\\c'}, 0.5)
    (lag,) = (float(line.split()[1]) for line in lines if line.startswith("affiliate_journal_lag_seconds "))
    assert 0 <= lag < 5


async def test_an_instance_is_ready_while_an_edge_can_record(admin: Admin) -> None:
    status, text = await admin.text("/readyz")
    assert (status, msgspec.json.decode(text)["code"]) == (503, "not_ready")
    async with edge_of(admin):

        async def ready() -> bool:
            return bool((await admin.text("/readyz"))[0] == 200)

        await eventually(ready, "the edge's sign of life")
        _, text = await admin.text("/metrics")
        assert 'affiliate_edge_up{producer="edge-0"} 1' in text
        admin.service.draining = True
        status, text = await admin.text("/readyz")
        assert (status, msgspec.json.decode(text)["detail"]) == (503, "draining")


async def test_a_link_works_at_a_real_edge_as_soon_as_its_write_is_answered(admin: Admin) -> None:
    await admin.shop()
    async with edge_of(admin) as port:
        for n in range(5):
            link = await admin.post("/v1/links", {"code": f"l{n}", "promoter": "ann", "product": "tea"})
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /c/{link['code']} HTTP/1.1\r\nHost: t.example\r\nUser-Agent: x\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 302 ")
            writer.close()
            await writer.wait_closed()


async def test_the_contract_names_every_route_and_every_reference_resolves(admin: Admin) -> None:
    _, text = await admin.text("/v1/openapi.json")
    document = msgspec.json.decode(text)
    assert document["openapi"] == "3.1.0"
    for route in RESOURCES:
        operation = document["paths"][route.path][route.method.lower()]
        names = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert names == set(re.findall("{([a-z_]+)}", route.path))
        assert ("requestBody" in operation) == (route.body is not None)
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


async def test_the_page_shows_every_route_and_loads_nothing(admin: Admin) -> None:
    status, text = await admin.text("/v1/docs")
    assert status == 200
    for route in RESOURCES:
        assert f"{route.method} {route.path}" in text
    assert not re.search(r"<script|src=|https?://", text)


def test_the_first_start_writes_a_token_that_only_its_owner_reads(tmp_path: Path, capsys: Any) -> None:
    data = Data.open(tmp_path / "data", create=True)
    token = first_token(data, {})
    assert first_token(data, {}) == token
    assert data.admin_token.stat().st_mode & 0o777 == 0o600
    assert str(data.admin_token) in capsys.readouterr().err
    assert first_token(data, {"TUIKE_ADMIN_TOKEN": "mine"}) == "mine"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
