"""A short run of `make chaos`, with a fixed seed, on MariaDB; test_fault_matrix.py has PostgreSQL."""

from pathlib import Path

from chaos import Run
from cluster import cluster
from load import stock

SEED = 20251206
SECONDS = 30.0


def test_whatever_goes_wrong_at_random_each_event_is_applied_once(tmp_path: Path) -> None:
    with cluster("--spares", "1", "--database", "mysql") as machines:
        stock(machines)
        Run(SEED, SECONDS, long=False).on(machines, tmp_path / "quiet")
