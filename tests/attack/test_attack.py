"""The attack run of `make attack`, short: its latencies are no measure on a machine that runs tests."""

from pathlib import Path

from attack import OPTIONS, run
from instance import running

SECONDS = 20.0


async def test_honest_traffic_and_the_books_stand_an_attack(tmp_path: Path) -> None:
    with running(tmp_path / "data", *OPTIONS, "--workers", "2") as instance:
        finding = await run(instance, tmp_path, SECONDS, seed=7, crowd=0, judge_latency=False)
    assert not finding.wrong, "\n".join(finding.lines)
