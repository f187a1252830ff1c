"""Promoters unlike the others, by scikit-learn's IsolationForest; comes with the extra `tuike[ml]`.

It needs no labels: which promoters a few random cuts of the facts set apart. It explains nothing, so it stands beside
the rules of `tuike.risk` and in place of none of them.
"""

import math
from collections.abc import Mapping, Sequence

from sklearn.ensemble import IsolationForest

from tuike.risk import RULES

TREES = 200


class Outliers:
    """Fitted on what is known of many promoters; facts are those of `tuike.risk`, None where they are not known."""

    def __init__(self, promoters: Sequence[Mapping[str, float | None]], seed: int) -> None:
        self._forest = IsolationForest(n_estimators=TREES, random_state=seed)
        self._forest.fit([_columns(facts) for facts in promoters])

    def scores(self, promoters: Sequence[Mapping[str, float | None]]) -> list[float]:
        """How far each stands apart, 0 to 1."""
        found = self._forest.score_samples([_columns(facts) for facts in promoters])
        return [-float(score) for score in found]


def _columns(facts: Mapping[str, float | None]) -> list[float]:
    return [math.log1p(facts.get(rule.name) or 0.0) for rule in RULES]
