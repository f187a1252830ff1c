"""Postbacks in the names of other trackers: what the merchants' `dialect` stands for.

Names and statuses are those of the trackers' own pages on postbacks (Everflow: S2S postback URLs; Keitaro: Postback;
Voluum: Parameters in postback URLs; Binom: Postback URL; TUNE: Receiving conversions via postback URL). Ids that are
the other tracker's own (its offer, its account) are not read: the click says what was bought.
"""

import json
from collections.abc import Mapping
from typing import Any

Dialect = dict[str, dict[str, Any]]
"""`names`: theirs to ours, null is not read; `statuses`: theirs, in small letters, to ours."""

TRACKERS: Mapping[str, Dialect] = {
    "everflow": {
        "names": {"transaction_id": "click_id", "verification_token": "token", "nid": None, "oid": None},
        "statuses": {},
    },
    "keitaro": {
        "names": {"subid": "click_id", "tid": "oid", "payout": "amount", "revenue": "amount"},
        "statuses": {"lead": "pending", "sale": "approved", "rebill": "approved"},
    },
    "voluum": {
        "names": {"cid": "click_id", "txid": "oid", "payout": "amount"},
        "statuses": {},
    },
    "binom": {
        "names": {
            "cnv_id": "click_id",
            "payout": "amount",
            "cnv_status": "status",
            "cnv_currency": "currency",
        },
        "statuses": {"hold": "pending", "approve": "approved", "reject": "rejected"},
    },
    "tune": {
        "names": {
            "transaction_id": "click_id",
            "adv_sub": "oid",
            "security_token": "token",
            "offer_id": None,
        },
        "statuses": {},
    },
}


def stored(dialect: str | Dialect | None) -> str | None:
    """What of a body stands in the merchant's row; its maps without order."""
    return None if dialect is None else json.dumps(dialect, sort_keys=True, ensure_ascii=False)


def resolved(text: str | None) -> Dialect | None:
    """What a row stands for: the maps of a tracker, or the merchant's own."""
    if text is None:
        return None
    said = json.loads(text)
    dialect = TRACKERS[said] if isinstance(said, str) else said
    statuses = {theirs.lower(): ours for theirs, ours in dialect.get("statuses", {}).items()}
    return {"names": dict(dialect["names"]), "statuses": statuses}
