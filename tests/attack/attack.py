"""`make attack`: a real service under attack, with honest traffic beside it. Ends with 1 and the reason where honest
traffic was harmed, something was lost, money went to an attacker, memory stayed taken or the books do not verify.

What memory has to come back to is where it was in a service that is not new: first a crowd of honest people comes,
since caches fill with whatever comes first, a crowd or a flood, and the most that each part took by it is what is
compared with. The processor's are SQLite's pages (64 MiB at most, `stores/engine.py`), which grow with the books, and
the touch store's (`core_rs/src/touches.rs`): write buffers (64 MiB of records at most), which clicks fill, and blocks
(64 MiB at most), which orders fill by looking for their clicks.

A run is a seed: `python tests/attack/attack.py --seconds 300 --seed 1`."""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from attackers import RING, Plan
from honest import Honest

from instance import Instance, running, tuike
from tuike import _core
from waiting import eventually, until

HERE = Path(__file__).parent
HONEST = [f"h{n}" for n in range(5)]
P99_LIMIT = 0.020
"""Seconds, on a machine that has nothing else to do."""
QUIET = 0.5
"""Load of a core, before the run, above which latencies say nothing."""
CROWD = 500_000
"""Honest people who came before the attack: about as many as attackers in five minutes."""
KEPT = 48 << 20
"""Bytes that a process may have kept: pools and arenas that are full once, and what is left of its caches."""
OPTIONS = ("--trusted-proxies", "127.0.0.0/8", "--rate-limit-hits", "600", "--rate-limit-orders", "60000")
SAMPLE_S = 0.5
WARM = 80
"""Honest requests that are answered before it begins."""
ATTACKS = ("flood", "names", "malformed", "forged cookie", "forged order", "replayed order", "refunder", "ring")
"""Those that are answered, by the names under which `attackers.py` counts the answers."""


@dataclass
class Finding:
    """What came out: lines to print, and what is wrong."""

    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def check(self, right: bool, what: str) -> None:
        self.say(f"{'right' if right else 'WRONG'}  {what}")
        if not right:
            self.wrong.append(what)


def set_up(instance: Instance) -> None:
    """The shop, honest promoters, attackers; a ring whose members bought as customers that are known to be theirs."""
    instance.merchant(settlement="T+0")
    # the rules as they are by default: those of other tests order a moment after their clicks
    instance.product(hold_days=0, fraud={})
    for code in (*HONEST, "mallory", "forger", "refunder", *(f"ring{n}" for n in range(RING))):
        parent = f"ring{int(code[-1]) - 1}" if code.startswith("ring") and code != "ring0" else None
        instance.promoter(code, parent)
    for n in range(RING):
        own = [{"merchant": "shop", "cust": f"buyer{n}"}]
        instance.post("promoters", id=f"own{n}", name="Own", customers=own)
    codes = [*HONEST, "mallory", "forger", "refunder", *(f"{who}{n}" for who in ("ring", "own") for n in range(RING))]
    for code in codes:
        instance.post("links", code=code, promoter=code, product="tea")


def memory(instance: Instance) -> dict[str, int]:
    """Bytes of each part's own memory (`RssAnon`)."""
    found = {}
    for part in ("edge", "process", "admin"):
        for number, pid in enumerate(instance.children(part)):
            status = Path(f"/proc/{pid}/status").read_text()
            found[f"{part} {number}"] = int(status.partition("RssAnon:")[2].split()[0]) << 10
    return found


async def run(
    instance: Instance, folder: Path, seconds: float, seed: int, *, crowd: int = CROWD, judge_latency: bool = True
) -> Finding:
    finding = Finding()
    quiet = os.getloadavg()[0] < QUIET
    set_up(instance)
    captured = folder / "captured"
    captured.touch()
    honest = Honest(instance.edge_port, instance.secrets["shop"], HONEST, captured, random.Random(seed))
    before = await crowded(instance, honest, crowd)
    # those of a crowd that orders all at once say nothing
    honest.order_latencies.clear()
    stop = asyncio.Event()
    browsing = asyncio.create_task(honest.run(stop))
    await eventually(lambda: len(honest.latencies) >= WARM, "honest requests to be answered")
    before = {part: max(most, memory(instance)[part]) for part, most in before.items()}
    attacked = await attack(Plan(instance.edge_port, seconds, seed, instance.secrets["shop"], str(captured)), folder)
    stop.set()
    await browsing
    finding.say(f"attackers were answered: {', '.join(f'{n} x {what}' for what, n in sorted(attacked.items()))}")
    idle = set(ATTACKS) - {what.rpartition(" ")[0] for what in attacked}
    finding.check(not idle, f"attacks that nobody answered: {', '.join(sorted(idle)) or 0}")
    taken = sum(n for what, n in attacked.items() if what.startswith("forged order ") and not what[13:].startswith("4"))
    finding.check(taken == 0, f"{taken} forged orders were not refused")
    judge_traffic(finding, honest, judge_latency and quiet, quiet)
    await settled(instance, honest)
    judge_money(finding, instance, honest)
    await judge_memory(finding, instance, before)
    finding.check(instance.stop() == 0, "the service stops as it should")
    judge_journal(finding, instance.data, honest, attacked)
    verified = tuike("verify", "--data", instance.data, check=False)
    said = (verified.stdout + verified.stderr).splitlines()[-1:] if verified.returncode else []
    finding.check(verified.returncode == 0, " ".join([f"`tuike verify` ends with {verified.returncode}", *said]))
    return finding


async def attack(plan: Plan, folder: Path) -> Counter[str]:
    path = folder / "plan.json"
    path.write_bytes(msgspec.json.encode(plan))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), *sys.path])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "attackers.py"), str(path), stdout=subprocess.PIPE, env=environment
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, f"the attackers ended with {process.returncode}"
    return Counter(msgspec.json.decode(said, type=dict[str, int]))


async def crowded(instance: Instance, honest: Honest, crowd: int) -> dict[str, int]:
    """Lets the crowd come, until the books have it all; the most memory that each part had meanwhile."""
    most = memory(instance)

    async def come() -> None:
        await honest.crowd(crowd)
        await counted(instance, honest)

    coming = asyncio.create_task(come())
    while not coming.done():
        await asyncio.wait([coming], timeout=SAMPLE_S)
        most = {part: max(most[part], now) for part, now in memory(instance).items()}
    await coming
    return most


async def counted(instance: Instance, honest: Honest) -> None:
    """Waits until the books have all that honest people did."""

    def known() -> bool:
        sums = instance.get("reports/summary")
        return int(sums["conversions"]) >= len(honest.orders) and int(sums["clicks"]) >= honest.clicks

    await asyncio.to_thread(until, known, "honest clicks and orders to be in the books")


async def settled(instance: Instance, honest: Honest) -> None:
    """Waits until the books have all honest orders, then releases what is due."""
    await counted(instance, honest)
    await asyncio.to_thread(instance.post, "settlements")


# --- judgement -------------------------------------------------------------------------------------


def judge_traffic(finding: Finding, honest: Honest, judged: bool, quiet: bool) -> None:
    asked = len(honest.latencies)
    p99 = percentile(honest.latencies)
    finding.check(honest.unanswered == 0, f"{honest.unanswered} of {asked} honest requests have no answer")
    finding.check(not honest.refused, f"honest requests refused: {honest.refused[:5] or 0}")
    text = f"honest clicks and views: p99 {p99 * 1000:.1f} ms, median {statistics.median(honest.latencies) * 1000:.1f}"
    text += f" ms, of {asked}; orders p99 {percentile(honest.order_latencies) * 1000:.1f} ms"
    if judged:
        finding.check(p99 < P99_LIMIT, f"{text} (limit {P99_LIMIT * 1000:.0f})")
    else:
        finding.say(f"       {text}; not judged: {'asked not to' if quiet else 'the machine has other work'}")


def percentile(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else 0.0


def judge_money(finding: Finding, instance: Instance, honest: Honest) -> None:
    for promoter, owed in sorted(honest.owed().items()):
        got = instance.balance(promoter)["available"]
        finding.check(got == f"{owed / 100:.2f}", f"{promoter} has {got}, earned {owed / 100:.2f}")
    thieves = ["mallory", "forger", "refunder", *(f"{who}{n}" for who in ("own", "ring") for n in range(RING))]
    taken = {promoter: released(instance, promoter) for promoter in thieves}
    finding.check(not any(taken.values()), f"released to attackers: {({k: v for k, v in taken.items() if v}) or 0}")


def released(instance: Instance, promoter: str) -> str:
    """What of a promoter's money left the hold, empty where nothing did."""
    balance = instance.balance(promoter)
    sums = {name: balance.get(name, "0.00") for name in ("available", "reserved", "paid")}
    return ", ".join(f"{name} {amount}" for name, amount in sums.items() if amount.strip("0."))


async def judge_memory(finding: Finding, instance: Instance, before: dict[str, int]) -> None:
    def back() -> bool:
        return all(now <= before[part] + KEPT for part, now in memory(instance).items())

    try:
        await eventually(back, "memory")
        right = True
    except AssertionError:
        right = False
    now = memory(instance)
    text = ", ".join(f"{part} {before[part] >> 20} -> {now[part] >> 20}" for part in now)
    finding.check(right and set(now) == set(before), f"memory in MiB: {text} (may keep {KEPT >> 20} each)")


def judge_journal(finding: Finding, data: Path, honest: Honest, attacked: Counter[str]) -> None:
    """What was answered is there, and what is there of the flood is marked."""
    links: Counter[tuple[str, str]] = Counter()
    views, orders = 0, set()
    for event in journalled(data):
        kind, reason = event["kind"], event.get("reason", "")
        if kind == "click":
            links[event["link"], reason] += 1
        elif kind == "view" and event.get("aff") in HONEST and not reason:
            views += 1
        elif kind == "order":
            orders.add(event["oid"])
    clicks = sum(links[code, ""] for code in HONEST)
    finding.check(clicks == honest.clicks, f"{clicks} honest clicks in the journal, {honest.clicks} answered")
    finding.check(views == honest.views, f"{views} honest views in the journal, {honest.views} answered")
    known = set(honest.orders)
    finding.check(bool(known) and known <= orders, f"{len(known)} honest orders are in the journal")
    flood = sum(number for (code, _), number in links.items() if code == "mallory")
    answered = attacked["flood 302"] + attacked["names 302"]
    marked = links["mallory", "rate_limited"]
    text = f"{flood} clicks of the flood, {answered} answered, {marked} marked rate_limited"
    finding.check(flood >= answered and marked > 0, text)
    forged = [oid for oid in orders if oid.startswith("forged-")]
    finding.check(not forged, f"{len(forged)} forged orders in the journal")


def journalled(data: Path) -> Any:
    for edge in sorted((data / "journal").glob("edge-*/*")):
        for _, payload in _core.JournalReader(str(edge)):
            yield _core.decode_event(payload)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tuike-attack-") as made:
        folder = Path(made)
        with running(folder / "data", *OPTIONS) as instance:
            finding = asyncio.run(run(instance, folder, options.seconds, options.seed))
    print("\n".join(finding.lines))
    sys.exit(1 if finding.wrong else 0)


if __name__ == "__main__":
    main()
