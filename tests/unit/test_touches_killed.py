"""A touch store whose maker is killed."""

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tuike._core import TouchStore

KILLS = 12
SECONDS = 0.1
"""So long a process makes stores: some each time."""
SEED = 20261130
MAKES = """
import itertools, pathlib, sys
from tuike._core import TouchStore

print("ready", flush=True)
for number in itertools.count():
    TouchStore(str(pathlib.Path(sys.argv[1]) / str(number))).close()
"""


def test_a_store_whose_maker_was_killed_is_opened(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for number in range(KILLS):
        made = tmp_path / str(number)
        made.mkdir()
        maker = subprocess.Popen([sys.executable, "-c", MAKES, made], stdout=subprocess.PIPE)
        assert maker.stdout is not None
        maker.stdout.readline()
        # the moment is what is random here
        time.sleep(chance.uniform(0, SECONDS))
        maker.kill()
        maker.communicate()
        stores = {made / path.name.removesuffix(".new") for path in made.iterdir()}
        for store in stores:
            with closing(TouchStore(str(store))):
                pass
        assert set(made.iterdir()) == stores
