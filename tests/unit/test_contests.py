"""Contests: prizes out of the platform's revenue, for the first of a period, exactly once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from proof_kit import DAY, START, THREE_LEVELS, World
from tuike.books.contests import awarded
from tuike.replay import replay
from tuike.stores import schema

TODAY = START // 1000 // 86_400 * 86_400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """alice has sold for 200.00, bob and dave for 100.00 each."""
    world = World(tmp_path)
    world.shop(THREE_LEVELS)
    world.promoters()
    for visitor, promoter in enumerate(("alice", "bob", "dave"), start=1):
        world.click(promoter, visitor)
    world.drain()
    for visitor, amount in ((1, 20_000), (2, 10_000), (3, 10_000)):
        world.order(f"o{visitor}", amount, visitor)
    world.drain()
    yield world
    world.stop()


def contest(world: World, **more: Any) -> dict[str, Any]:
    about = {"id": "c", "name": "Cup", "since": TODAY, "until": TODAY + 86_400, "timezone": "UTC"}
    about |= {"metric": "sales", "currency": "CNY", "prizes": ["10.00", "5.00", "0.01"]}
    return outcome(world, world.decide("contest.create", **about | more))


def close(world: World, id: str = "c") -> dict[str, Any]:
    return outcome(world, world.decide("contest.close", id=id))


def outcome(world: World, event: str) -> dict[str, Any]:
    world.drain()
    (row,) = world.rows(select(schema.outcomes).where(schema.outcomes.c.event_id == event))
    return row


def prizes(world: World) -> list[str]:
    found = (
        select(schema.transfers.c.step).where(schema.transfers.c.kind == "prize").order_by(schema.transfers.c.number)
    )
    return [row["step"] for row in world.rows(found)]


def test_the_first_are_paid_once_however_often_it_is_closed(world: World) -> None:
    before = world.balances()
    assert contest(world)["http"] == 201
    world.now += DAY
    first = close(world)
    world.restart()
    again = close(world)
    assert (first["http"], again["http"], again["result"]) == (200, 200, first["result"])
    assert prizes(world) == ["contest:c:1", "contest:c:2", "contest:c:3"]
    after = world.balances()
    won = {name: after[f"promoter:{name}:available"] for name in ("alice", "bob", "dave")}
    # the second and third place are equal: 5.01 in two parts, the unit left to the earlier name
    assert won == {"alice": 1_000, "bob": 251, "dave": 250}
    assert after["platform:revenue"] == before["platform:revenue"] - 1_501
    world.proved()
    assert replay(world.data, 3).fault is None


def test_it_is_closed_after_its_end_alone(world: World) -> None:
    contest(world)
    assert close(world)["code"] == "contest_open"
    assert close(world, "other")["http"] == 404
    assert prizes(world) == []


def test_the_same_again_is_the_same_and_another_under_its_id_is_refused(world: World) -> None:
    contest(world)
    assert (contest(world)["http"], contest(world, name="Bowl")["http"]) == (200, 409)
    assert contest(world, id="d", currency="XYZ")["code"] == "bad_currency"


def test_who_is_blocked_wins_nothing(world: World) -> None:
    contest(world, prizes=["10.00"])
    world.ask("promoter.update", id="alice", status="blocked")
    world.now += DAY
    close(world)
    assert world.balances()["promoter:bob:available"] == 500
    assert "promoter:alice:available" not in world.balances()


def test_orders_of_other_days_count_for_other_contests(world: World) -> None:
    contest(world, since=TODAY + 86_400, until=TODAY + 2 * 86_400)
    world.now += 2 * DAY
    assert '"winners":[]' in close(world)["result"]
    assert prizes(world) == []


@pytest.mark.parametrize(
    ("figures", "prizes", "amounts"),
    [
        ([9, 8, 7], [30, 20, 10], [30, 20, 10]),
        ([9], [30, 20], [30]),
        ([9, 9, 7], [30, 21, 10], [26, 25, 10]),
        ([9, 8, 8, 8], [30, 20], [30, 7, 7, 6]),
        ([9, 9, 9], [1], [1, 0, 0]),
        ([], [30], []),
        ([9, 8], [0, 5], [5]),
        ([9, 9, 8, 7], [0, 0, 5], [5]),
        ([9, 8, 7], [30, 0, 10], [30, 10]),
        ([9, 8], [0, 0, 5], []),
    ],
)
def test_equal_figures_share_the_prizes_of_their_places(
    figures: list[int], prizes: list[int], amounts: list[int]
) -> None:
    ranked = [(f"p{number}", figure, figures.index(figure) + 1) for number, figure in enumerate(figures)]
    assert [won.amount for won in awarded(ranked, prizes)] == amounts
