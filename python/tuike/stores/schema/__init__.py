"""The tables. All of it but `meta` and `tokens` is a fold of the journal.

Times are milliseconds since the Unix epoch, amounts are minor units, ids are hex.
Only the processor writes; everyone else reads.
"""

from tuike.stores.schema.applications import applications, invites
from tuike.stores.schema.base import metadata
from tuike.stores.schema.folds import (
    audit,
    booked,
    damage,
    hit_counts,
    idempotency,
    meta,
    outcomes,
    positions,
    set_aside_sums,
)
from tuike.stores.schema.fraud import bad_touches, fraud_flags, fraud_networks, promoter_hours, promoter_purchases
from tuike.stores.schema.ledger import (
    COUNTING,
    accounts,
    closings,
    contests,
    days,
    entries,
    payouts,
    settlements,
    tiles,
    transfers,
)
from tuike.stores.schema.machines import edges, leases, lost, producers, registry_changes
from tuike.stores.schema.orders import (
    budgets,
    conversions,
    dues,
    funding,
    level_sums,
    path_ends,
    releases,
    sales,
    shares,
    tiers,
    waiting,
)
from tuike.stores.schema.postbacks import refused
from tuike.stores.schema.privacy import erasure_journals, erasures
from tuike.stores.schema.registry import (
    daily_keys,
    links,
    merchants,
    products,
    promoter_parents,
    promoters,
    rules,
    tokens,
)
from tuike.stores.schema.reports import hit_cuts, hit_days, order_cuts, order_days, order_rollups, rollups
from tuike.stores.schema.templates import INSTANCE, templates
from tuike.stores.schema.webhooks import webhook_deliveries, webhook_positions, webhooks

__all__ = [
    "COUNTING",
    "INSTANCE",
    "accounts",
    "applications",
    "audit",
    "bad_touches",
    "booked",
    "budgets",
    "closings",
    "contests",
    "conversions",
    "daily_keys",
    "damage",
    "days",
    "dues",
    "edges",
    "entries",
    "erasure_journals",
    "erasures",
    "fraud_flags",
    "fraud_networks",
    "funding",
    "hit_counts",
    "hit_cuts",
    "hit_days",
    "idempotency",
    "invites",
    "leases",
    "level_sums",
    "links",
    "lost",
    "merchants",
    "meta",
    "metadata",
    "order_cuts",
    "order_days",
    "order_rollups",
    "outcomes",
    "path_ends",
    "payouts",
    "positions",
    "producers",
    "products",
    "promoter_hours",
    "promoter_parents",
    "promoter_purchases",
    "promoters",
    "refused",
    "registry_changes",
    "releases",
    "rollups",
    "rules",
    "sales",
    "set_aside_sums",
    "settlements",
    "shares",
    "templates",
    "tiers",
    "tiles",
    "tokens",
    "transfers",
    "waiting",
    "webhook_deliveries",
    "webhook_positions",
    "webhooks",
]
