"""The failing disk that several tests use."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the failing disk")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, HERE / "faults.c"], check=True)
    return library
