"""Honest traffic: visitors with addresses of their own who click, look, wait a while and perhaps buy."""

import asyncio
import random
import re
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from wire import Line, get

from instance import signed

BROWSERS = 16
RATE = 40.0
"""Visits a second, all browsers together."""
BUYS = 0.3
THINKS = 6.0
"""Seconds from a click to its order: people take longer than the five that are suspicious."""
CROWD_LINES = 4
PIPELINED = 50
BUYER = 20
"""Of so many people of a crowd one buys."""
CLICK_ID = re.compile(r"click_id=([0-9a-f]{32})")
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
)


@dataclass
class Honest:
    """What honest people were answered, and what is theirs by it."""

    port: int
    secret: str
    codes: list[str]
    captured: Path
    """Each order's signed query is added here: on a wire somebody listens."""
    random: random.Random
    latencies: list[float] = field(default_factory=list)
    """Of clicks and views, seconds."""
    order_latencies: list[float] = field(default_factory=list)
    clicks: int = 0
    views: int = 0
    refused: list[str] = field(default_factory=list)
    orders: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By order id: the promoter and what the order pays, in minor units."""
    unanswered: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; whoever has clicked still buys."""
        async with asyncio.TaskGroup() as group:
            for _ in range(BROWSERS):
                group.create_task(self._browse(stop, group))

    async def crowd(self, size: int) -> None:
        """So many people, as fast as they are answered, each of whom clicks once; some buy."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CROWD_LINES):
                group.create_task(self._come(size // CROWD_LINES, group))

    async def _come(self, size: int, group: asyncio.TaskGroup) -> None:
        with closing(Line(self.port)) as line:
            for _ in range(0, size, PIPELINED):
                codes = [self.random.choice(self.codes) for _ in range(PIPELINED)]
                requests = [get(f"/c/{code}", self._address(), self._agent()) for code in codes]
                answers = await line.ask(b"".join(requests), PIPELINED)
                assert [answer.status for answer in answers] == [302] * PIPELINED
                self.clicks += PIPELINED
                for code, answer in list(zip(codes, answers, strict=True))[::BUYER]:
                    if found := CLICK_ID.search(answer.field("Location")):
                        group.create_task(self._buy(code, found[1]))

    def _address(self) -> str:
        return f"{self.random.randint(11, 99)}.{self.random.getrandbits(8)}.{self.random.getrandbits(8)}.7"

    def _agent(self) -> str:
        return f"User-Agent: {self.random.choice(AGENTS)}"

    async def _browse(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        line = Line(self.port)
        while not stop.is_set():
            await asyncio.sleep(self.random.expovariate(RATE / BROWSERS))
            address, agent = self._address(), self._agent()
            code = self.random.choice(self.codes)
            if self.random.random() < 0.3:
                await self._ask(line, get(f"/p.gif?aff={code}&pid=tea", address, agent), 200)
                continue
            where = await self._ask(line, get(f"/c/{code}", address, agent, "Sec-Fetch-Dest: document"), 302)
            found = CLICK_ID.search(where)
            if found is not None and self.random.random() < BUYS:
                group.create_task(self._buy(code, found[1]))
        line.close()

    async def _ask(self, line: Line, request: bytes, status: int) -> str:
        began = time.perf_counter()
        answers = await line.ask(request)
        if not answers:
            self.unanswered += 1
            return ""
        self.latencies.append(time.perf_counter() - began)
        if answers[0].status != status or answers[0].field("Tuike-Recorded"):
            self.refused.append(f"{answers[0].status} to {request.split(b' HTTP')[0].decode()}")
        self.clicks += status == 302
        self.views += status == 200
        return answers[0].field("Location")

    async def _buy(self, code: str, click: str) -> None:
        await asyncio.sleep(THINKS)
        yuan, number = self.random.randint(10, 900), len(self.orders)
        oid = f"honest-{number}"
        self.orders[oid] = (code, yuan * 10)
        ts = str(int(time.time()))
        query = signed(self.secret, merchant="shop", ts=ts, oid=oid, pid="tea", amount=f"{yuan}.00", click_id=click)
        began = time.perf_counter()
        with closing(Line(self.port)) as line:
            answers = await line.ask(get(f"/postback?{query}", "198.18.0.1"))
        self.order_latencies.append(time.perf_counter() - began)
        if [answer.status for answer in answers] != [202]:
            self.refused.append(f"{[answer.status for answer in answers]} to order {oid}")
        with self.captured.open("a") as file:
            file.write(query + "\n")

    def owed(self) -> Counter[str]:
        """What each promoter's orders pay, in minor units: ten percent."""
        sums: Counter[str] = Counter()
        for promoter, commission in self.orders.values():
            sums[promoter] += commission
        return sums
