"""Bodies, queries and answers of /v1/fraud."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from tuike.admin.answers import Answer, Next
from tuike.admin.inputs import MAX_REASON, Input
from tuike.admin.queries import Page

MAX_NETWORKS = 20_000
"""Of one list; a body has no room for more of them either."""

Rule = Literal[
    "",
    "clicks_per_ip_day",
    "seconds_to_order",
    "devices",
    "clicks_before_order",
    "visitors_per_fingerprint",
    "flood",
    "refunds",
    "self_referral",
    "ring",
    "datacentre",
    "referrer_mismatch",
    "agent_mismatch",
]
Network = Annotated[str, Meta(max_length=49)]


class FlagDecision(Input):
    """May be empty. `reason` is another name of `note`, as other decisions have it."""

    note: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""


class NetworksBody(Input):
    """The whole list: what it had before is gone. `192.0.2.0/24`, `2001:db8::/32`; narrower ones than a hit keeps of an
    address (/24, IPv6 /48) are left out and counted."""

    networks: Annotated[list[Network], Meta(max_length=MAX_NETWORKS)]


class Flags(Page):
    """The newest first."""

    status: Literal["", "open", "cleared", "confirmed"] = ""
    rule: Rule = ""
    promoter: str = ""
    merchant: str = ""
    product: str = ""
    conversion: str = ""


class Flag(Answer):
    """`score` is 1 to 100; `evidence` has what was seen (`value`) and what the product allows (`limit`)."""

    id: str
    rule: str
    score: int
    evidence: dict[str, Any]
    status: Literal["open", "cleared", "confirmed"]
    conversion: str
    promoter: str
    merchant: str
    product: str
    created: str
    decided_by: str | None
    decided_at: str | None
    note: str


class FlagPage(Answer):
    items: list[Flag]
    next: Next


class NetworkList(Answer):
    id: str
    networks: int
    narrow: int
    updated: str


class NetworkLists(Answer):
    items: list[NetworkList]
    next: Next
