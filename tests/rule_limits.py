"""Rules that say more than anybody may be paid, and the codes that refuse them."""

from typing import Any

Json = dict[str, Any]
HALF = {"type": "percentage", "value": "50"}
LEVEL = {"value": "1"}
ABOVE: dict[str, tuple[Json, str]] = {
    "a rate above half": ({"type": "percentage", "value": "50.0001"}, "above_ceiling"),
    "a hybrid's base above half": ({"type": "hybrid", "base": {"type": "percentage", "value": "51"}}, "above_ceiling"),
    "four of three": ({**HALF, "levels": [{"level": n, **LEVEL} for n in (1, 2, 3, 3)]}, "too_many_levels"),
}
# what a check of a row cannot see; that of lines (`shares`) takes no level above 3
IN_PARTS: dict[str, tuple[Json, str]] = {
    "a fourth level": ({**HALF, "levels": [{"level": 4, **LEVEL}]}, "too_many_levels"),
    "a tier above half": ({"type": "tiered", "tiers": [{"from": "0", "value": "50.5"}]}, "above_ceiling"),
    "an override above half": ({**HALF, "overrides": [{"promoter": "ann", "value": "60"}]}, "above_ceiling"),
}
