"""Fixtures that all tests may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository: TUIKE_SHARED_DATA, else ../shared/data."""
    folder = Path(os.environ.get("TUIKE_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"REAL DATA NOT TESTED: {folder} is not there (set TUIKE_SHARED_DATA)")
    return folder
