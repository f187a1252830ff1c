"""Real journeys through the real service: its credits are those that two public packages agree on."""

import csv
import gzip
from pathlib import Path

from instance import Instance, running, tuike

START = 1_760_000_000
HOUR = 3_600
MODELS = ("first", "last")
FOLDER = "attribution"


def test_first_and_last_credit_the_channels_of_real_journeys_exactly(shared_data: Path, tmp_path: Path) -> None:
    journeys = _journeys(shared_data)
    with running(tmp_path / "data", "--workers", "1") as instance:
        instance.merchant()
        for model in MODELS:
            instance.product(model, attribution={"model": model, "window_days": 30})
        _bring(
            instance,
            "promoters",
            tmp_path,
            [("id", "name"), *((name, name) for name in sorted(set().union(*journeys)))],
        )
        clicks = [
            (START + HOUR * step, name, MODELS[n % 2], f"v{n}", name)
            for n, journey in enumerate(journeys)
            for step, name in enumerate(journey)
        ]
        _bring(instance, "clicks", tmp_path, [("time", "aff", "pid", "visitor", "channel"), *clicks])
        orders = [
            (START + HOUR * len(journey), model, f"o{n}", "100.00", f"v{n}")
            for n, journey in enumerate(journeys)
            for model in MODELS
        ]
        _bring(instance, "conversions", tmp_path, [("time", "pid", "order_id", "amount", "visitor"), *orders])
        with (shared_data / FOLDER / "ca_paths_10000_expected.csv").open() as file:
            expected = list(csv.DictReader(file))
        for model in MODELS:
            wanted = {row["channel_name"]: int(float(row[f"{model}_touch_conversions"])) for row in expected}
            for dimension in ("promoter", "channel"):
                query = f"reports/summary?from=2025-01-01T00:00:00Z&product={model}&group_by={dimension}"
                items = instance.get(query)["items"]
                assert {
                    item[dimension]: (item["conversions"], item["sales"], item["commission"]) for item in items
                } == {name: (orders, f"{100 * orders}.00", f"{10 * orders}.00") for name, orders in wanted.items()}
        tuike("verify", "--data", instance.data)


def _journeys(shared_data: Path) -> list[list[str]]:
    """The channels of each conversion, in their order."""
    with gzip.open(shared_data / FOLDER / "ca_paths_10000.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return [row["path"].split(" > ") for row in rows for _ in range(int(row["total_conversions"]))]


def _bring(instance: Instance, kind: str, folder: Path, rows: list[tuple[object, ...]]) -> None:
    path = folder / f"{kind}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert (
        f"{len(rows) - 1} rows in, 0 were in before, 0 bad"
        in tuike("import", kind, path, "--data", instance.data).stdout
    )
