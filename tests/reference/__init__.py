"""The oracle: what money, attribution and the tree must come to, slow, obvious and exact.

Independent of the core and written from money.md alone: it imports nothing of tuike. Amounts are integers of the minor
unit, everything between them is a Fraction, the only irrational numbers (time decay) have 80 digits. Time is always a
parameter: milliseconds since 1970 UTC, dates where money.md says dates. Where money.md is silent, the docstrings say
what was decided.

One section, one module: money (1), orders (2), rules and refusals (3), attribution (4), clock, ledger, booking,
settlement and payouts (5), tax (6), the tree. `Books` is all of it together.
"""

from reference.attribution import (
    Credit,
    Journey,
    Judges,
    Settings,
    Touch,
    bound,
    candidates,
    credit,
    decay,
    judge,
    weights,
)
from reference.booking import TIERS, Key, Line, Order
from reference.clock import DAY, HOUR, MINUTE, due, instant, local_date, midnight, parse
from reference.ledger import Ledger, Transfer
from reference.money import CEILING, EXPONENTS, WHOLE, after_refunds, half_even, half_up, largest_remainder, minor_units
from reference.payouts import MINIMUMS, Books, Payout
from reference.refusals import MAX_LEVELS, refusal, refusals
from reference.rules import Credited, Situation, level_weights, overridden, parts, pool, price, split
from reference.tax import labour_tax, platform_tax, run, withheld
from reference.tree import Tree

__all__ = [
    "CEILING",
    "DAY",
    "EXPONENTS",
    "HOUR",
    "MAX_LEVELS",
    "MINIMUMS",
    "MINUTE",
    "TIERS",
    "WHOLE",
    "Books",
    "Credit",
    "Credited",
    "Journey",
    "Judges",
    "Key",
    "Ledger",
    "Line",
    "Order",
    "Payout",
    "Settings",
    "Situation",
    "Touch",
    "Transfer",
    "Tree",
    "after_refunds",
    "bound",
    "candidates",
    "credit",
    "decay",
    "due",
    "half_even",
    "half_up",
    "instant",
    "judge",
    "labour_tax",
    "largest_remainder",
    "level_weights",
    "local_date",
    "midnight",
    "minor_units",
    "overridden",
    "parse",
    "parts",
    "platform_tax",
    "pool",
    "price",
    "refusal",
    "refusals",
    "run",
    "split",
    "weights",
    "withheld",
]
