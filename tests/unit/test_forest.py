"""The promoter forest: chains at any instant, binding, loops, teams."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from tuike import _core

NONE = 0xFFFF_FFFF
CODES = st.sampled_from("abcdefgh")
STEPS = st.lists(
    st.tuples(st.just("add"), CODES, st.none() | CODES)
    | st.tuples(st.just("set_parent"), CODES, st.none() | CODES, st.integers(0, 50))
    | st.tuples(st.just("bind"), CODES, CODES, st.integers(0, 50)),
    max_size=40,
)


def done(call: Any, *arguments: Any) -> Any:
    """What a call returns, or the code it is refused with."""
    try:
        return call(*arguments)
    except ValueError as error:
        return str(error)


def bind(tree: reference.Tree, promoter: str, parent: str, at: int) -> bool | str:
    """The oracle's bind."""
    for code, name in (("unknown_promoter", promoter), ("unknown_parent", parent)):
        if name not in tree.promoters():
            return code
    if tree.parent(promoter) is not None:
        return False
    return tree.set_parent(promoter, parent, at) or True


@given(STEPS)
def test_any_history_is_that_of_the_oracle(steps: list[tuple[Any, ...]]) -> None:
    forest, tree = _core.Forest(), reference.Tree()
    for what, *arguments in steps:
        expected = bind(tree, *arguments) if what == "bind" else getattr(tree, what)(*arguments)
        assert done(getattr(forest, what), *arguments) == expected
    promoters = tree.promoters()
    assert len(forest) == len(promoters)
    for promoter in promoters:
        assert forest.team(promoter) == tree.team(promoter)
        for at in range(0, 52, 3):
            assert forest.chain(promoter, at, 99) == tree.chain(promoter, at)
            assert forest.chain(promoter, at, 3) == tree.chain(promoter, at)[:3]
    batch = forest.chains(struct.pack(f"<{len(promoters)}I", *range(len(promoters))), 3)
    for i, promoter in enumerate(promoters):
        chain = [promoters[index] for index in struct.unpack_from("<3I", batch, 12 * i) if index != NONE]
        assert chain == tree.chain(promoter)[:3]


@given(STEPS)
def test_a_forest_loaded_and_changed_again_is_the_same(steps: list[tuple[Any, ...]]) -> None:
    live, tree = _core.Forest(), reference.Tree()
    for what, *arguments in steps:
        done(getattr(live, what), *arguments)
        bind(tree, *arguments) if what == "bind" else getattr(tree, what)(*arguments)
    promoters = tree.promoters()
    creation = dict(reversed([(promoter, parent) for _, promoter, parent in tree.edges]))
    parents = [
        -1 if creation[promoter] is None else promoters.index(creation[promoter] or "") for promoter in promoters
    ]
    loaded = _core.Forest()
    loaded.load(promoters, parents)
    seen: set[str] = set()
    for since, promoter, parent in tree.edges:
        if promoter in seen:
            loaded.set_parent(promoter, parent, since)
        seen.add(promoter)
    for promoter in promoters:
        assert loaded.team(promoter) == live.team(promoter)
        for at in range(0, 52, 3):
            assert loaded.chain(promoter, at, 99) == live.chain(promoter, at, 99)


def test_a_change_counts_from_its_instant_and_the_past_stands() -> None:
    forest = _core.Forest()
    forest.load(["a", "b", "c"], [1, -1, -1])
    forest.set_parent("a", "c", 1_000)
    assert forest.chain("a", 999, 3) == ["a", "b"]
    assert forest.chain("a", 1_000, 3) == ["a", "c"]


def test_the_first_bind_stands() -> None:
    forest = _core.Forest()
    forest.load(["a", "b", "c"], [-1, -1, -1])
    assert [forest.bind("a", parent, 5) for parent in ("b", "c", "b")] == [True, False, False]
    assert forest.team("b") == (1, 1, [1])
    assert forest.team("c") == (0, 0, [])


@pytest.mark.parametrize(
    ("ids", "parents", "code"),
    [
        (["x", "y"], [1, 0], "loop"),
        (["x"], [0], "loop"),
        (["x"], [1], "unknown_parent"),
        (["x", "y"], [-1], "unknown_parent"),
        (["x", "x"], [-1, -1], "exists"),
        (["a"], [-1], "exists"),
    ],
)
def test_a_bad_load_changes_nothing(ids: list[str], parents: list[int], code: str) -> None:
    forest = _core.Forest()
    forest.add("a", None)
    with pytest.raises(ValueError, match=f"^{code}$"):
        forest.load(ids, parents)
    assert len(forest) == 1


def test_a_deep_and_a_wide_tree_are_counted() -> None:
    n = 200_000
    deep, wide = _core.Forest(), _core.Forest()
    ids = [f"p{i}" for i in range(n)]
    deep.load(ids, list(range(-1, n - 1)))
    wide.load(ids, [-1] + [0] * (n - 1))
    assert deep.team("p0") == (1, n - 1, [1] * (n - 1))
    assert wide.team("p0") == (n - 1, n - 1, [n - 1])
    assert wide.teams([["p0"], ["nobody"]]) == [(n - 1, n - 1), (0, 0), (0, 0)]
    assert deep.teams([["p0", "p2"]]) == [(2, 2 * n - 4), (n - 3, n * (n - 1) // 2 - 2 * n + 4)]
    with pytest.raises(ValueError, match="loop"):
        deep.set_parent("p0", ids[-1], 0)


def test_a_batch_asks_for_whole_indexes() -> None:
    with pytest.raises(ValueError, match="bad_indexes"):
        _core.Forest().chains(b"123", 3)
    assert _core.Forest().chains(struct.pack("<2I", 0, NONE), 2) == b"\xff" * 16
