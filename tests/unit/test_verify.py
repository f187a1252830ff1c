"""verify: what holds is proved; what was tampered with is named."""

from pathlib import Path

import pytest
from proof_kit import Story, World


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_is_proved(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path)
    Story(world, seed).run(120)
    world.proved()
    world.stop()
    world.proved()
