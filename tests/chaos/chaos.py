"""One random run of everything that can go wrong, under load, on the topology of deploy/local-cluster; then the proof.

make chaos [MINUTES=10] [SEED=n] [DATABASE=postgresql|mysql]
make chaos ARGS="--each 3"    instead, each fault so many times, and what was measured: on a quiet machine
"""

import argparse
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults import FAULTS, Fault
from scaled_load import goes_on, p99, prove, prove_books, recovers, under_load

from cluster import Cluster, cluster
from load import acknowledged, stock

TOGETHER = 0.3
"""How often a second fault comes while the first lasts."""
SILENCES = ("edges cut off from Redis", "Redis out of memory")
"""Edges are not heard meanwhile, and whoever is not heard for `promises.LATE_AFTER_S` is late: what others receive is
decided without its clicks. Of two faults these come second and end first, so that they take no longer than their own
time."""
ASKS_THE_BOOKS = ("process", "database")
"""Faults of these parts need the database, or take it away: no two of them at a time."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be done: the same for the same seed, but for what the machine makes of it."""

    seed: int
    seconds: float
    long: bool
    say: Callable[[str], None] = print

    def on(self, machines: Cluster, folder: Path) -> None:
        """AssertionError says what was lost, applied twice, refused or too slow."""
        dice = random.Random(self.seed)
        struck = dict.fromkeys(FAULTS, 0)
        end = time.monotonic() + self.seconds
        with under_load(machines) as clients:
            goes_on(clients)
            while time.monotonic() < end:
                for name in (names := _chosen(dice, struck)):
                    struck[name] += 1
                self._strike(machines, names, dice)
                goes_on(clients)
                if dice.random() < 0.5:  # else the next fault comes upon the backlog of this one
                    self.say(f"  normal after {recovers(machines):.1f} s")
            self.say(f"in the end, normal after {recovers(machines):.1f} s")
        hits, orders = acknowledged(clients), sum(len(client.orders) for client in clients)
        self.say(f"{sum(struck.values())} faults, {hits} hits, {orders} orders, p99 {1000 * p99(clients):.1f} ms")
        prove(machines, clients)
        prove_books(machines, folder)
        self.say("each hit and order was applied once; the books are those of an undisturbed run")

    def _strike(self, machines: Cluster, names: list[str], dice: random.Random) -> None:
        repairs = []
        try:
            for name in names:
                fault: Fault = FAULTS[name]
                self.say(f"- {name}")
                repairs.append(fault.strike(machines, dice))
                time.sleep(dice.uniform(0, fault.long if self.long else fault.short))
        finally:
            for repair in reversed(repairs):
                repair()


@dataclass(slots=True)
class Matrix:
    """Each fault a number of times, one by one, with what was measured. What fails is said, and the next is tried."""

    machines: Cluster
    dice: random.Random
    failed: int = 0

    def on(self, times: int) -> None:
        for name, fault in FAULTS.items():
            for time_of_it in range(times):
                print(f"{name} {time_of_it + 1}/{times}: {self._tried(partial(self._strike, fault))}", flush=True)
            with tempfile.TemporaryDirectory(prefix="tuike-quiet-") as quiet:
                books = self._tried(partial(prove_books, self.machines, Path(quiet, "data")))
            print(f"{name}: books equal and verify 0: {books}", flush=True)

    def _strike(self, fault: Fault) -> str:
        with under_load(self.machines) as clients:
            goes_on(clients)
            before = [len(client.took) for client in clients]
            began = time.monotonic()
            repair = fault.strike(self.machines, self.dice)
            try:
                time.sleep(fault.long)
            finally:
                repair()
            lasted = time.monotonic() - began
            repaired = time.monotonic()
            goes_on(clients)
            recovers(self.machines)
            normal = time.monotonic() - repaired
            hits = sum(len(client.took) for client in clients) - sum(before)
            slowest = 1000 * p99(clients, before)
        fives = sum(len(client.failed) for client in clients)
        measured = (
            f"lasted {lasted:.1f} s, {hits} hits, 5xx {fives}, p99 {slowest:.1f} ms, lag normal after {normal:.1f} s"
        )
        once = self._tried(partial(prove, self.machines, clients, math.inf))
        return f"{measured}, each applied once: {once}"

    def _tried(self, proof: Callable[[], str | None]) -> str:
        try:
            return proof() or "yes"
        except AssertionError as error:
            self.failed += 1
            return f"NO, {error}"


def _chosen(dice: random.Random, struck: dict[str, int]) -> list[str]:
    """One of the faults that came least often, and perhaps one of another part."""
    least = min(struck.values())
    first = dice.choice([name for name, times in struck.items() if times == least])
    part = FAULTS[first].part
    not_with = ASKS_THE_BOOKS if part in ASKS_THE_BOOKS else (part,)
    others = [name for name in FAULTS if FAULTS[name].part not in not_with]
    both = [first, dice.choice(others)] if dice.random() < TOGETHER else [first]
    return sorted(both, key=SILENCES.__contains__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--database", choices=("postgresql", "mysql"), default="postgresql")
    parser.add_argument("--each", type=int, default=0)
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="tuike-chaos-") as folder,
        cluster("--spares", "1", "--database", chosen.database) as machines,
    ):
        stock(machines)
        if chosen.each:
            matrix = Matrix(machines, random.Random(chosen.seed))
            matrix.on(chosen.each)
            sys.exit(min(1, matrix.failed))
        run = Run(chosen.seed, 60 * chosen.minutes, long=True, say=lambda text: print(text, flush=True))
        run.on(machines, Path(folder, "quiet"))


if __name__ == "__main__":
    main()
