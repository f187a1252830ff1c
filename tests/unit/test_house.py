"""The house's own rules, kept by a test: who imports whom, how long things are, no floats near money."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "tuike"
LONGEST_FILE = 450
LONGEST_FUNCTION = 60

# a package, and what it may import of tuike besides the modules that all may (those of FREE)
MAY_IMPORT = {
    "edge": {"edge", "demo", "joining"},
    "admin": {
        *("admin", "stores", "reports", "statements", "views", "books.defaults", "books.totals"),
        *("promises", "retention", "risk", "sending"),
    },
    # a contest's ranks are the leaderboard's
    "books": {"books", "stores", "views", "reports"},
    "stores": {"stores"},
}
FREE = {"_core", "clock", "config", "control", "data", "journal_http", "logs", "observing", "__version__"}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (
            path for path in sorted((ROOT / folder).rglob("*.py")) if "edge" not in path.parts or folder == "edge"
        )


def imported(path: Path) -> Iterator[str]:
    """Modules of tuike that a file imports, without the first name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tuike":
            module = (node.module or "").removeprefix("tuike").removeprefix(".")
            for alias in node.names:
                yield f"{module}.{alias.name}".removeprefix(".")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    folder = ROOT / "edge" if package == "edge" else PACKAGE / package
    allowed = MAY_IMPORT[package] | FREE
    for path in sorted(folder.rglob("*.py")):
        if "migrations" in path.parts:
            continue
        for module in imported(path):
            parts = module.split(".")
            names = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
            assert names & allowed, f"{path.name} of {package} imports tuike.{module}"


def test_only_the_command_line_and_the_edge_itself_import_the_edge() -> None:
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources("python")
        if any(module.split(".")[0] == "edge" for module in imported(path))
    }
    assert importers == {"cli.py"}


@pytest.mark.parametrize("module", ["cli", "edge.serving", "edge.worker"])
def test_the_command_line_and_an_edge_load_no_sql(module: str) -> None:
    program = f"import sys, tuike.{module}; print(sorted({{'alembic', 'redis', 'sqlalchemy'}} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_files_and_functions_are_short_enough_to_read() -> None:
    for path in sources("python", "edge"):
        if "migrations" in path.parts:  # a migration is a list of tables, and is never changed
            continue
        text = path.read_text()
        assert text.count("\n") <= LONGEST_FILE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{path}: {node.name} has {length} lines"
    for path in sorted((ROOT / "core_rs").rglob("*.rs")):
        if "tests" not in path.name and "tests" not in path.parts:
            assert path.read_text().count("\n") <= LONGEST_FILE, path


def test_no_float_holds_money() -> None:
    for path in sorted((PACKAGE / "books").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.Name) and node.id == "float"), f"{path}:{node.lineno}"
