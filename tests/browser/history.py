"""A month of the demo's past, as another tracker would have exported it: a weekly rhythm, and one odd day."""

import csv
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAYS = 30
CLICKS_A_DAY = 40
ODD_DAY = 9
"""So many days ago there were far more clicks."""
PROMOTERS = (
    ("bo", "tea", "wechat", 4),
    ("wen", "tea", "douyin", 3),
    ("mei", "app", "web", 1),
    ("mei", "tea", "web", 2),
)
LABELS = ("spring", "post-12", "live-room", "")
ORDERS_OF_TEA = 0.09
ORDERS_OF_APP = 0.2


def write(folder: Path, now: datetime) -> tuple[Path, Path]:
    """Files for `tuike import`: clicks, and conversions of some of their visitors."""
    chance = random.Random(20261128)
    clicks, orders = folder / "clicks.csv", folder / "conversions.csv"
    with clicks.open("w", newline="") as click_file, orders.open("w", newline="") as order_file:
        click_rows, order_rows = csv.writer(click_file), csv.writer(order_file)
        click_rows.writerow(["time", "aff", "pid", "visitor", "channel", "sub1"])
        order_rows.writerow(["time", "pid", "order_id", "amount", "visitor", "status"])
        for ago in range(DAYS, 0, -1):
            for number in range(_many(ago)):
                at = now - timedelta(days=ago) + timedelta(seconds=chance.randrange(86_400 - 7_200))
                aff, pid, channel, _ = chance.choices(PROMOTERS, [weight for *_, weight in PROMOTERS])[0]
                visitor = f"v-{ago}-{number}"
                click_rows.writerow([_text(at), aff, pid, visitor, channel, chance.choice(LABELS)])
                if chance.random() < (ORDERS_OF_TEA if pid == "tea" else ORDERS_OF_APP):
                    amount = "18.00" if pid == "app" else f"{chance.randrange(4_000, 39_900) / 100:.2f}"
                    later = at + timedelta(seconds=chance.randrange(60, 7_000))
                    status = "pending" if ago < 3 and chance.random() < 0.4 else "approved"
                    order_rows.writerow([_text(later), pid, f"D-{ago:02}{number:03}", amount, visitor, status])
    return clicks, orders


def _many(ago: int) -> int:
    rhythm = 1 + 0.35 * math.sin(2 * math.pi * ago / 7)
    return round(CLICKS_A_DAY * rhythm * (3 if ago == ODD_DAY else 1))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
