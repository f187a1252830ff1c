"""What the registry fills in where a body is silent."""

from typing import Any

Body = dict[str, Any]

MERCHANT: Body = {"timezone": "UTC", "settlement": "T+1", "refund_days": 0, "release_when": "approved"}
ATTRIBUTION: Body = {
    "model": "last",
    "window_days": 30,
    "half_life_days": 7,
    "binding": "none",
    "binding_fallback": False,
    "protect_days": 7,
    "path_reset": False,
    "view_through": False,
    "view_window_hours": 24,
    "coupon_first": False,
    "self_purchase": False,
    "collapse_minutes": 30,
}
# The contract's three. The others hold what would be paid (own purchases above level 1): who wants them says so.
FRAUD: Body = {
    "max_clicks_per_ip_day": 100,
    "min_seconds_to_order": 5,
    "max_devices": 5,
    "max_clicks_before_order": 0,
    "max_visitors_per_fingerprint": 0,
    "max_flood_score": 0,
    "max_refund_percent": 0,
    "self_referral": False,
    "datacentres": True,
    "mismatch": False,
}
PRODUCT: Body = {
    "name": "",
    "category": "",
    "fallback_url": "",
    "allowed_hosts": [],
    "cookie_days": 30,
    "hold_days": 0,
    "pixel_conversions": "hold",
    "attribution": {},
    "fraud": {},
}
PROMOTER: Body = {"name": "", "parent": None, "kind": "member", "tax": {"scheme": "none"}, "customers": []}
LINK: Body = {"url": "", "channel": "", **{f"sub{n}": "" for n in range(1, 6)}, "coupon": "", "expires": None}


def merchant(data: Body) -> Body:
    return MERCHANT | _given(data)


def product(data: Body) -> Body:
    whole = PRODUCT | _given(data)
    whole["attribution"] = ATTRIBUTION | whole["attribution"]
    whole["fraud"] = FRAUD | whole["fraud"]
    return whole


def promoter(data: Body) -> Body:
    return PROMOTER | _given(data)


def link(data: Body) -> Body:
    return LINK | _given(data)


def _given(data: Body) -> Body:
    """Null is the same as absent."""
    return {name: value for name, value in data.items() if value is not None}
