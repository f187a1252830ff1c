"""The OpenAPI document is what the admin API does: held to it by schemathesis, and by a client generated from it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from instance import Instance, running

HERE = Path(__file__).parents[1] / "openapi"
EXAMPLES = os.environ.get("TUIKE_OPENAPI_EXAMPLES", "1")
"""Requests that schemathesis makes up for each operation, beside those that cover each of its parameters."""
LIMIT = 600.0


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running(tmp_path_factory.mktemp("openapi") / "data", "--demo", "--workers", "1") as instance:
        yield instance


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Runs a module; what it said."""
    given = os.environ | environment
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=given, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-4_000:]}"
    return done.stdout


def token(instance: Instance) -> str:
    return (instance.data / "admin.token").read_text().strip()


def test_schemathesis_finds_no_answer_that_the_contract_does_not_have(instance: Instance, tmp_path: Path) -> None:
    said = run(
        *("-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run"),
        *(f"{instance.admin}/v1/openapi.json", "--header", f"Authorization: Bearer {token(instance)}"),
        *(
            "--phases",
            "coverage,fuzzing",
            # `ast.parse` of Python 3.11 fails now and then in several threads: "recursion depth mismatch"
            "--workers",
            "1",
            "--max-examples",
            EXAMPLES,
            "--seed",
            "1",
            "--generation-database",
            "none",
            "--no-color",
        ),
        folder=tmp_path,
        SCHEMATHESIS_HOOKS="schemathesis_hooks",
        PYTHONPATH=os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
    )
    assert " passed" in said and re.search("[0-9] failed", said) is None, said


def test_a_generated_client_makes_a_product_and_reads_a_report(instance: Instance, tmp_path: Path) -> None:
    generate = ("-m", "openapi_python_client", "generate", "--url", f"{instance.admin}/v1/openapi.json")
    said = run(*generate, "--output-path", tmp_path / "client", folder=tmp_path)
    assert "WARNING parsing" not in said, said
    paths = os.pathsep.join([str(tmp_path / "client"), os.environ.get("PYTHONPATH", "")])
    used = run(HERE / "use_client.py", instance.admin, token(instance), folder=tmp_path, PYTHONPATH=paths)
    assert used == "by-client Asia/Shanghai\n"
