"""A promoter's risk: which facts make the score, and where they come from."""

from pathlib import Path

import pytest
from books_kit import NOW, VISITOR, Books, touch
from sqlalchemy import insert

from tuike import risk
from tuike.stores import schema

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("facts", "score"),
    [
        ({}, 0),
        ({"clicks_per_visitor": 1.2}, 0),
        ({"clicks_per_visitor": 50.0}, 30),
        ({"clicks_per_visitor": 7.745967}, 15),  # by ratio: the middle of 1.2 and 50
        ({"clicks": 20_000.0, "clicks_per_visitor": 1.0}, 20),
        ({"bot_share": 0.275}, 5),
        ({"refunded_share": None, "flagged_share": 0.9}, 10),
        ({"confirmed_flags": 1.0}, 10),
        (dict.fromkeys((rule.name for rule in risk.RULES), 1e9), 100),
    ],
)
def test_the_score_is_the_sum_of_what_each_fact_earns(facts: dict[str, float | None], score: float) -> None:
    found = risk.score(facts)
    assert found.score == pytest.approx(score, abs=0.02)
    assert found.score == pytest.approx(sum(fact.points for fact in found.facts))
    assert [fact.name for fact in found.facts] == list(risk.WORDS)


def test_weights_come_to_100() -> None:
    assert sum(rule.weight for rule in risk.RULES) == 100


def test_facts_come_from_sums_flags_and_orders(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop()
    row = {"merchant": "shop", "product": "tea", "promoter": "alice", "channel": "", "label_number": 0, "label": ""}
    row |= {"partition": 0, "impressions": 0, "prefetches": 0, "visitors": b""}
    with books.engine.begin() as connection:
        for bucket, clicks in ((NOW // 1000 - 3_600, 90), (NOW // 1000 - 40 * 86_400, 1_000)):
            connection.execute(insert(schema.rollups), row | {"bucket": bucket, "clicks": clicks, "bots": 10})
    books.touches.add(touch("alice", NOW - 3_600_000))
    for n in range(10):
        books.order(f"o{n}", visitor=VISITOR)
    books.order("o0", status="refunded", amount=None)
    books.touches.add(touch("alice", NOW - 1_000, f"{9:032x}"))
    books.order("hasty", visitor=VISITOR)
    with books.engine.begin() as connection:
        facts = {fact.name: fact.value for fact in risk.of_promoter(connection, "alice", NOW).facts}
        nobody = risk.of_promoter(connection, "carol", NOW)
    assert facts == {
        "clicks_per_visitor": None,
        "clicks": 90,
        "bot_share": 0.1,
        "refunded_share": pytest.approx(1 / 11),
        "flagged_share": pytest.approx(1 / 11),
        "confirmed_flags": 0,
    }
    assert (nobody.score, {fact.value for fact in nobody.facts}) == (0, {None, 0.0})
