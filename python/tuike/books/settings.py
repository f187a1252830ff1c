"""A product's attribution settings, as deciding an order asks for them."""

import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HALF_LIFE_MIN_MS = HOUR_MS

Model = Literal["first", "last", "linear", "time_decay", "position"]
Binding = Literal["first", "last", "mixed"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in milliseconds. `binding` is None where clicks bind nobody."""

    model: Model
    window: int
    half_life: int
    binding: Binding | None
    binding_fallback: bool
    protection: int
    path_reset: bool
    view_through: bool
    view_window: int
    coupon_first: bool
    self_purchase: bool
    collapse: int


@lru_cache(4_096)
def read(text: str) -> Settings:
    """From the JSON of a product's row, which has every member. A part of a day is taken to the nearest millisecond,
    from the decimal as it is written."""
    given = json.loads(text, parse_float=Decimal)
    half_life = round(Fraction(given["half_life_days"]) * DAY_MS)
    return Settings(
        model=given["model"],
        window=given["window_days"] * DAY_MS,
        half_life=max(HALF_LIFE_MIN_MS, half_life),
        binding=None if given["binding"] == "none" else given["binding"],
        binding_fallback=given["binding_fallback"],
        protection=given["protect_days"] * DAY_MS,
        path_reset=given["path_reset"],
        view_through=given["view_through"],
        view_window=given["view_window_hours"] * HOUR_MS,
        coupon_first=given["coupon_first"],
        self_purchase=given["self_purchase"],
        collapse=given["collapse_minutes"] * MINUTE_MS,
    )
