"""deploy/: alerts and dashboard ask for metrics that there are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "tuike.json"
METRIC = re.compile(r"\b(?:affiliate|tuike)_[a-z0-9_]+")
OF_A_FAMILY = re.compile("_(?:bucket|sum|count)$")


@pytest.mark.parametrize("asker", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_what_is_asked_for_is_told_by_some_process(asker: Path) -> None:
    sources = [path for folder in ("python/tuike", "edge") for path in (ROOT / folder).rglob("*.py")]
    sources += (ROOT / "core_rs" / "src").rglob("*.rs")
    told = {name for path in sources for name in METRIC.findall(path.read_text())}
    asked = set(METRIC.findall(asker.read_text()))
    assert len(asked) > 3
    assert {name for name in asked if not {name, OF_A_FAMILY.sub("", name)} & told} == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="NOT TESTED: promtool is not installed")
def test_prometheus_understands_its_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
