"""Secrets are compared in constant time: by `hmac.compare_digest` in Python, by `constant_time_eq` in Rust.

A look at the sources. What has a secret's name and is none stands in a list, with what it is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"(^|_)(token|signature|sig|mac|secret|cookie|nonce|password|expected|shown|given)(_hash)?$")
NO_SECRETS = {
    ("stores/leases.py", "row.token == held[row.name]"): "a lease's number",
}
NO_RUST_SECRETS = ("*status == given",)  # a word of a dialect
COMPARING = {
    "admin/auth.py": 1,  # the first token
    "admin/session.py": 1,  # the dashboard's cookie
    "data.py": 2,  # the instance's secret and its sum
    "journal_http.py": 1,  # between machines
}
RUST_SECRET = re.compile(
    r"\b\w*(signature|secret|cookie|mac|given)\w*(\(.*\))?\s*[!=]=|[!=]=\s*&?\w*(signature|secret|mac|given)\b"
)


def python() -> Iterator[tuple[str, ast.AST]]:
    for folder, under in ((ROOT / "python" / "tuike", ""), (ROOT / "edge", "edge/")):
        for path in sorted(folder.rglob("*.py")):
            if under or not path.is_relative_to(folder / "edge"):
                yield under + path.relative_to(folder).as_posix(), ast.parse(path.read_text())


def name_of(node: ast.expr) -> str:
    """The last name of what is compared; empty: it has none, or is a column of SQL."""
    match node:
        case ast.Attribute(value=ast.Attribute(attr="c")):
            return ""
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Call(func=func):
            return name_of(func)
    return ""


def is_suspect(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return False
    sides = (node.left, *node.comparators)
    # what is compared with a constant, or with a column, tells nobody how much of it was right
    known = any(isinstance(side, ast.Constant) or ".c." in ast.unparse(side) for side in sides)
    return not known and any(SECRET.search(name_of(side)) for side in sides)


def test_python_compares_no_secret_but_by_compare_digest() -> None:
    found = {(path, ast.unparse(node)) for path, tree in python() for node in ast.walk(tree) if is_suspect(node)}
    assert found == NO_SECRETS.keys()


def test_each_door_that_knows_a_secret_compares_it_in_constant_time() -> None:
    calls = {
        path: sum(isinstance(node, ast.Call) and name_of(node) == "compare_digest" for node in ast.walk(tree))
        for path, tree in python()
    }
    assert {path: count for path, count in calls.items() if count} == COMPARING


def test_rust_compares_no_secret_but_by_constant_time_eq() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "core_rs" / "src").rglob("*.rs"))
        if "tests" not in path.parts and path.name != "tests.rs"
        for line in path.read_text().split("#[cfg(test)]")[0].splitlines()
        if RUST_SECRET.search(line.split("//")[0]) and not any(known in line for known in NO_RUST_SECRETS)
    ]
    assert found == []


def test_a_comparison_that_tells_by_its_time_is_found() -> None:
    for line in ("a = token == sent", "a = x.secret != given()", "a = cookie == _sign(b)"):
        assert any(is_suspect(node) for node in ast.walk(ast.parse(line))), line
    for line in ("if signature(secret, pairs) == given {", "if mac != text {", "a == secret"):
        assert RUST_SECRET.search(line), line
