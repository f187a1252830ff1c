"""`tuike demo`: a small instance to look at: one merchant, two products, a tree of promoters, links."""

import json
import secrets
from typing import Any

from sqlalchemy import func, select

from tuike import _core
from tuike.clock import wall
from tuike.data import Data
from tuike.stores import engine, schema
from tuike.submission import Submission

PRODUCER = "demo"
MERCHANT = "demo-shop"
CURRENCY = "CNY"

# whoever tries it out orders a moment after the click, which is no fraud here, and settles the same day
DEMO = {"hold_days": 0, "fraud": {"min_seconds_to_order": 0}}
SETTLEMENT = "T+0"
PRODUCTS = (
    {
        "id": "tea",
        "name": "Spring tea",
        "category": "food",
        "url": "https://shop.example/tea?from={aff}&click_id={click_id}",
        "commission": {
            "type": "percentage",
            "value": "15.0",
            "levels": [{"level": 1, "value": "10.0"}, {"level": 2, "value": "3.0"}, {"level": 3, "value": "1.0"}],
        },
    },
    {
        "id": "app",
        "name": "Reading app",
        "category": "software",
        "url": "https://app.example/install",
        "commission": {"type": "fixed", "value": "5.00", "levels": [{"level": 1, "value": "4.00"}]},
    },
)
PROMOTERS = (
    ("lin", "Lin", None, "kol"),
    ("mei", "Mei", "lin", "member"),
    ("bo", "Bo", "mei", "member"),
    ("wen", "Wen", "lin", "member"),
)
LINKS = (
    ("tea-bo", "bo", "tea", "wechat"),
    ("tea-wen", "wen", "tea", "douyin"),
    ("app-mei", "mei", "app", "web"),
)


class NotFilled(Exception):
    """The instance has merchants of its own, or a ceiling below the demo's rules; the demo stays out."""


def fill(data: Data, edge_port: int, admin_port: int, ceiling: int = _core.Rule.MAX_CEILING) -> str:
    """Fills an empty instance, once, with rules under this ceiling (a rate of 1e-6); what to open. Raises NotFilled."""
    with Submission(data, PRODUCER) as submission:
        if submission.total == 0:
            _refuse_used(data)
            _refuse_above(ceiling)
            submission.append(_events(data, ceiling))
        submission.wait()
    return _text(data, edge_port, admin_port)


def _merchants_secret(data: Data) -> str:
    """What the demo's shop signs its orders with."""
    with engine.open_reader(data.database).connect() as connection:
        sealed = connection.scalar(select(schema.merchants.c.secret).where(schema.merchants.c.id == MERCHANT))
    return _core.unseal(data.secret, "merchant", sealed).decode() if sealed else ""


def _refuse_used(data: Data) -> None:
    if not engine.exists(data.database):
        return
    with engine.open_reader(data.database).connect() as connection:
        if connection.execute(select(func.count()).select_from(schema.merchants)).scalar_one():
            raise NotFilled(f"{data.root}: this instance has merchants already; the demo is for an empty one")


def _refuse_above(ceiling: int) -> None:
    for product in PRODUCTS:
        try:
            _core.Rule(json.dumps(product["commission"]), CURRENCY, ceiling)
        except ValueError as error:
            raise NotFilled(f"the demo's product {product['id']} cannot have its rule: {error}") from error


def _events(data: Data, ceiling: int) -> list[dict[str, Any]]:
    under = DEMO | {"ceiling": ceiling}
    secret = _core.seal(data.secret, "merchant", secrets.token_hex(32).encode(), secrets.token_bytes(12))
    writes: list[tuple[str, dict[str, Any]]] = [
        (
            "merchant.create",
            {"id": MERCHANT, "name": "Demo shop", "currency": CURRENCY, "settlement": SETTLEMENT, "secret": secret},
        ),
        *(
            ("product.create", {"merchant": MERCHANT, "allowed_hosts": ["shop.example"], **under, **product})
            for product in PRODUCTS
        ),
        *(
            ("promoter.create", {"id": id, "name": name, "kind": kind} | ({"parent": parent} if parent else {}))
            for id, name, parent, kind in PROMOTERS
        ),
        *(
            ("link.create", {"code": code, "promoter": promoter, "product": product, "channel": channel})
            for code, promoter, product, channel in LINKS
        ),
    ]
    now = wall()
    return [
        {
            "kind": "registry",
            "id": secrets.token_hex(16),
            "at": now,
            "body": json.dumps({"op": op, "data": body, "actor": "demo", "idem": None, "fingerprint": None}).encode(),
        }
        for op, body in writes
    ]


def _text(data: Data, edge_port: int, admin_port: int) -> str:
    edge, admin = f"http://127.0.0.1:{edge_port}", f"http://127.0.0.1:{admin_port}"
    links = "\n".join(f"  {edge}/c/{code}   {promoter} promotes {product}" for code, promoter, product, _ in LINKS)
    size = f"{len(PRODUCTS)} products, {len(PROMOTERS)} promoters, {len(LINKS)} links"
    order = f"amount=2400.00&click_id=$click&merchant={MERCHANT}&oid=demo-$(date +%s)&pid=tea&ts=$(date +%s)"
    return f"""The demo is in: merchant {MERCHANT}, {size}.
Open the dashboard, with the token in {data.admin_token}:
  {admin}/
Follow a link:
{links}
Load a pixel:
  {edge}/p.gif?aff=bo&pid=tea
Click once more and send an order for it, as the shop's server would:
  click=$(curl -s -A Mozilla/5.0 -o /dev/null -w '%{{redirect_url}}' {edge}/c/tea-bo | sed 's/.*click_id=//')
  order="{order}"
  sig=$(printf %s "$order" | openssl dgst -sha256 -hmac {_merchants_secret(data)} | sed 's/.* //')
  curl "{edge}/postback?$order&sig=$sig"
It appears under Live. Open it to see why it pays whom, and refund a part; then settle under Settlement and pay bo
under Payouts. Once the day is over (UTC), bo's page under Promoters has the statement, which anyone can check:
  tuike verify --statement FILE
Read the API:
  {admin}/v1/docs
  curl -H "Authorization: Bearer $(cat {data.admin_token})" {admin}/v1/reports/summary"""
