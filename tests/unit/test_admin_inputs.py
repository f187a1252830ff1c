"""What bodies the admin API takes, and what it says to those it does not."""

import json
from typing import Any

import msgspec
import pytest

from tuike.admin import inputs
from tuike.admin.problems import Problem
from tuike.books import defaults

MERCHANT = {"id": "shop", "name": "Shop", "currency": "CNY"}
PRODUCT = {
    "id": "tea",
    "merchant": "shop",
    "name": "Tea",
    "url": "https://shop.example/tea?c={click_id}",
    "commission": {"type": "fixed", "value": "1"},
}
PROMOTER = {"id": "ann", "name": "Ann"}
LINK = {"promoter": "ann", "product": "tea"}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def read(kind: type[inputs.Input], body: Any) -> dict[str, Any]:
    return inputs.data(inputs.read(json.dumps(body).encode(), kind))


@pytest.mark.parametrize(
    ("kind", "body", "filled"),
    [
        (inputs.MerchantBody, MERCHANT, defaults.merchant),
        (inputs.ProductBody, PRODUCT, defaults.product),
        (inputs.PromoterBody, PROMOTER, defaults.promoter),
        (inputs.LinkBody, LINK | {"code": "x"}, defaults.link),
    ],
)
def test_the_schemas_defaults_are_the_bookkeepers(kind: type[inputs.Input], body: Any, filled: Any) -> None:
    assert read(kind, body) == filled(body)


@pytest.mark.parametrize("patch", [inputs.MerchantPatch, inputs.ProductPatch, inputs.PromoterPatch, inputs.LinkPatch])
def test_an_empty_patch_changes_nothing(patch: type[inputs.Input]) -> None:
    assert read(patch, {}) == {}


def test_a_patch_of_attribution_names_only_what_it_changes() -> None:
    body = {"attribution": {"window_days": 60}, "effective_from": "2027-01-01T00:00:00+08:00", "commission": {}}
    assert read(inputs.ProductPatch, body) == {
        "attribution": {"window_days": 60},
        "effective_from": 1_798_732_800_000,
        "commission": {},
    }


@pytest.mark.parametrize(
    ("kind", "body", "named"),
    [
        (inputs.MerchantBody, {"id": "shop"}, "name"),
        (inputs.MerchantBody, MERCHANT | {"id": "a b"}, "$.id"),
        (inputs.MerchantBody, MERCHANT | {"id": "shop\n"}, "$.id"),
        (inputs.MerchantBody, MERCHANT | {"id": "x" * 65}, "$.id"),
        (inputs.MerchantBody, MERCHANT | {"currency": "ABC"}, "ABC"),
        (inputs.MerchantBody, MERCHANT | {"currency": "cny"}, "$.currency"),
        (inputs.MerchantBody, MERCHANT | {"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        (inputs.MerchantBody, MERCHANT | {"timezone": "../../etc/passwd"}, "etc/passwd"),
        (inputs.MerchantBody, MERCHANT | {"settlement": "T-1"}, "$.settlement"),
        (inputs.MerchantBody, MERCHANT | {"refund_days": -1}, "$.refund_days"),
        (inputs.MerchantBody, MERCHANT | {"refund_day": 1}, "refund_day"),
        (inputs.ProductBody, PRODUCT | {"url": "javascript:alert(1)"}, "$.url"),
        (inputs.ProductBody, PRODUCT | {"url": "https://a@evil.example/"}, "$.url"),
        (inputs.ProductBody, PRODUCT | {"url": "https://ok.example\\@evil.example"}, "$.url"),
        (inputs.ProductBody, PRODUCT | {"url": "https://ok.example/\r\nX: 1"}, "$.url"),
        (inputs.ProductBody, PRODUCT | {"cookie_days": 31}, "$.cookie_days"),
        (inputs.ProductBody, PRODUCT | {"attribution": {"model": "magic"}}, "$.attribution.model"),
        (inputs.ProductBody, PRODUCT | {"attribution": {"half_life_days": 0.01}}, "$.attribution.half_life_days"),
        (inputs.ProductBody, PRODUCT | {"commission": "10"}, "$.commission"),
        (inputs.ProductPatch, {"effective_from": "2027-01-01T00:00:00Z"}, "effective_from"),
        (inputs.PromoterBody, PROMOTER | {"tax": {"scheme": "flat"}}, "percent"),
        (inputs.PromoterBody, PROMOTER | {"tax": {"scheme": "flat", "percent": "100.5"}}, "percent"),
        (inputs.PromoterBody, PROMOTER | {"kind": "king"}, "$.kind"),
        (inputs.LinkBody, LINK | {"expires": "2027-01-01T00:00:00"}, "$.expires"),
        (inputs.LinkBody, LINK | {"expires": "0001-01-01T00:00:00+14:00"}, "0001-01-01"),
        (inputs.LinkBody, LINK | {"expires": "9999-12-31T23:59:59-14:00"}, "9999-12-31"),
        (inputs.LinkBody, LINK | {"expires": "1969-12-31T23:59:59Z"}, "1969-12-31"),
        (inputs.ProductBody, PRODUCT | {"commission": {"tiers": nested(inputs.MAX_RULE_DEPTH)}}, "deep"),
        (inputs.ProductPatch, {"commission": {"tiers": nested(900)}}, "deep"),
        (inputs.TokenBody, {"role": "root"}, "$.role"),
        (inputs.TokenBody, {"role": "merchant:"}, "$.role"),
        (inputs.RefundBody, {"reason": "r", "amount": "-1"}, "$.amount"),
        (inputs.RefundBody, {"reason": "r", "amount": 1.5}, "$.amount"),
    ],
)
def test_a_refusal_names_what_is_wrong(kind: type[inputs.Input], body: Any, named: str) -> None:
    with pytest.raises(Problem) as refused:
        read(kind, body)
    assert (refused.value.status, refused.value.code) == (400, "bad_body")
    assert named in refused.value.detail


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"name": "\\ud800"}', b'{"commission": {"x": ' + 100_000 * b"["])
def test_what_is_no_json_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Problem) as refused:
        inputs.read(raw, inputs.ProductBody)
    assert refused.value.code == "bad_json"


def test_every_body_has_a_schema() -> None:
    kinds = [kind for kind in vars(inputs).values() if isinstance(kind, type) and issubclass(kind, inputs.Input)]
    _, components = msgspec.json.schema_components(kinds)
    assert len(components) == len(kinds)
