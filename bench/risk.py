"""How well a promoter's risk is told: average precision on labelled publishers (FDMA 2012), where 0.027 is chance.

    python bench/risk.py DATA [--seed 1]

`DATA` holds fdma2012_publishers_{train,validation}.csv.gz. Prints a line for the rules of `tuike.risk` alone, which are
given of each publisher what the rollups hold (clicks, and different visitors: here, addresses), and, where scikit-learn
is there (`pip install tuike[ml]`), one for `tuike.risk_model`'s unlabelled model of the same facts and one for a forest
that was fitted on the train file alone, of all columns. Exit code 1 where the rules come to less than 0.20, or the
forest to less than 0.35.
"""

import argparse
import csv
import gzip
import importlib.util
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuike import risk

RULES_AT_LEAST = 0.20
MODEL_AT_LEAST = 0.35
FRAUD = "1"
PER = ("distinct_iplong", "distinct_agent", "distinct_referer", "distinct_cid", "distinct_cntr")
"""Clicks for each different one of these are columns for the model, too."""

Row = dict[str, str]


def rows(data: Path, which: str) -> list[Row]:
    with gzip.open(data / f"fdma2012_publishers_{which}.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def average_precision(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """The mean, over the frauds, of the precision at each one's score; equal scores are one step."""
    order = sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])
    found = seen = 0
    total = 0.0
    while seen < len(order):
        score, step, frauds = order[seen][0], seen, 0
        while step < len(order) and order[step][0] == score:
            frauds += order[step][1]
            step += 1
        found, seen = found + frauds, step
        total += frauds * found / seen
    return total / max(1, found)


def facts(row: Row) -> dict[str, float | None]:
    """What the rollups would hold of a publisher."""
    clicks = float(row["total_clicks"])
    return {"clicks": clicks, "clicks_per_visitor": clicks / max(1.0, float(row["distinct_iplong"]))}


def columns(table: Sequence[Row]) -> list[list[float]]:
    names = [name for name in table[0] if name != "status"]
    return [
        [float(row[name] or 0) for name in names]
        + [math.log1p(float(row["total_clicks"]) / max(1.0, float(row[name]))) for name in PER]
        for row in table
    ]


def forest(train: Sequence[Row], seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(300, min_samples_leaf=2, max_features=0.2, random_state=seed, n_jobs=1)
    return model.fit(columns(train), [row["status"] == FRAUD for row in train])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    train, validation = rows(given.data, "train"), rows(given.data, "validation")
    labels = [row["status"] == FRAUD for row in validation]
    by_rules = average_precision(labels, [risk.score(facts(row)).score for row in validation])
    print(f"{len(validation)} publishers, {sum(labels)} of them fraud")
    print(f"rules, no model: {by_rules:.3f} (at least {RULES_AT_LEAST:.2f})")
    enough = by_rules >= RULES_AT_LEAST
    if importlib.util.find_spec("sklearn") is None:
        print("models: scikit-learn is not installed")
        return 0 if enough else 1
    from tuike.risk_model import Outliers

    outliers = Outliers([facts(row) for row in train], given.seed)
    alone = average_precision(labels, outliers.scores([facts(row) for row in validation]))
    print(f"isolation forest, the same facts, no labels: {alone:.3f}")
    model = forest(train, given.seed)
    by_model = average_precision(labels, [likely[1] for likely in model.predict_proba(columns(validation))])
    print(f"random forest, fitted on train, all columns: {by_model:.3f} (at least {MODEL_AT_LEAST:.2f})")
    return 0 if enough and by_model >= MODEL_AT_LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
