"""Real kills under real load: what was answered is counted once, and the books are those of a quiet run."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from instance import Instance
from load import acknowledged, begin, finish, prove, shop
from waiting import until

KILLS = 10
SEED = 20251123


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with shop(tmp_path / "data") as instance:
        yield instance


def test_ten_kills_of_everything_lose_nothing_that_was_answered(instance: Instance, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    clients = begin(instance)
    for _ in range(KILLS):
        before = acknowledged(clients)
        until(lambda before=before: acknowledged(clients) > before, "the load to run again")
        # the moment is what is random here; in the early ones the processor is still starting
        time.sleep(chance.uniform(0.02, 2.0))
        instance.kill()
        instance.launch()
    until(instance.ready, "the instance to be ready")
    finish(clients)
    prove(instance, clients, tmp_path)


@pytest.mark.parametrize("part", ["process", "edge"])
def test_a_killed_part_is_started_again_and_nothing_is_lost(part: str, instance: Instance, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    clients = begin(instance)
    for _ in range(3):
        before = acknowledged(clients)
        until(lambda before=before: acknowledged(clients) > before + 500, "the load to run on")
        victim = chance.choice(instance.children(part))
        os.kill(victim, signal.SIGKILL)
        until(
            lambda victim=victim: (
                len(now := instance.children(part)) == (2 if part == "edge" else 1) and victim not in now
            ),
            f"a new {part}",
        )
    finish(clients)
    until(instance.ready, "the instance to be ready")
    prove(instance, clients, tmp_path)
