"""docs/CONTRACT_TESTS.md names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "CONTRACT_TESTS.md").read_text()
RUST = ROOT / "core_rs" / "src" / "respond" / "tests"
ROWS = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| row |")]


def test_every_test_that_the_table_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.(?:py|rs))::(\w+)`", TABLE)
    assert len(named) > len(ROWS)
    for file, name in named:
        path = RUST / file if file.endswith(".rs") else ROOT / "tests" / file
        assert path.exists(), file
        assert re.search(rf"\b(?:def|fn) {name}\(", path.read_text()), f"{file} has no {name}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_row_has_a_test(row: str) -> None:
    assert "::" in row.split("|")[2]
