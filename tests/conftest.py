"""Fixtures that all tests may use."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent

# how long an example takes is the machine's business
settings.register_profile("tuike", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tuike")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository: TUIKE_SHARED_DATA, else ../shared/data."""
    folder = Path(os.environ.get("TUIKE_SHARED_DATA") or HERE.parents[1] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"REAL DATA NOT TESTED: {folder} is not there (set TUIKE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload: a disk that fails on demand (see faults.c)."""
    library = tmp_path_factory.mktemp("disk") / "faults.so"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the failing disk")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, HERE / "faults.c"], check=True)
    return library
