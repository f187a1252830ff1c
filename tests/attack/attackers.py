"""The attackers, a process of their own: `python attackers.py PLAN`, a JSON file; prints what they were answered.

The shop's key is only used where the shop itself signs: for what attackers really buy, and its refunds."""

import asyncio
import json
import random
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from wire import Line, get, rudely

from instance import signed

CLICK_ID = re.compile(r"click_id=([0-9a-f]{32})")
FLOODED = 2_000
"""Requests a second of the floods together, where the service takes so many."""
PIPELINED = 50
SLOW = 200
"""Connections each of those who send slowly, who send nothing, and who do not read."""
DEAF = 20
RING = 5


class Plan(msgspec.Struct):
    port: int
    seconds: float
    seed: int
    secret: str
    captured: str


@dataclass
class Attackers:
    plan: Plan
    random: random.Random
    end: float
    counts: Counter[str]

    @property
    def on(self) -> bool:
        return time.monotonic() < self.end

    def note(self, who: str, *statuses: int) -> None:
        self.counts.update(f"{who} {status}" for status in statuses)

    async def run(self) -> None:
        attacks: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.flood, 4),
            (self.malformed, 4),
            (self.slow, SLOW),
            (self.idle, SLOW),
            (self.deaf, DEAF),
            (self.half_closed, 2),
            (self.names, 1),
            (self.forged_cookies, 1),
            (self.forged_postbacks, 1),
            (self.replays, 1),
            (self.refunds, 1),
            (self.ring, 1),
        ]
        async with asyncio.TaskGroup() as group:
            for attack, how_many in attacks:
                for _ in range(how_many):
                    group.create_task(self._until_the_end(attack))

    async def _until_the_end(self, attack: Callable[[], Awaitable[None]]) -> None:
        """Again and again. What hangs by itself is cut off at the end; buyers finish what they have begun."""
        hangs = attack in (self.slow, self.idle, self.deaf, self.half_closed)
        while self.on:
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(max(0.1, self.end - time.monotonic()) if hangs else None):
                    await attack()
            await asyncio.sleep(0.05)

    # --- floods and rudeness -----------------------------------------------------------------------

    async def flood(self) -> None:
        """One promoter's clicks from a few networks."""
        line = Line(self.plan.port)
        while self.on:
            began = time.monotonic()
            requests = b"".join(
                get("/c/mallory", f"203.0.{self.random.randint(113, 116)}.{self.random.getrandbits(8)}")
                for _ in range(PIPELINED)
            )
            self.note("flood", *(answer.status for answer in await line.ask(requests, PIPELINED)))
            await asyncio.sleep(max(0.0, 4 * PIPELINED / FLOODED - (time.monotonic() - began)))
        line.close()

    async def names(self) -> None:
        """Query names and values that nobody has used before."""
        line = Line(self.plan.port)
        while self.on:
            fresh = "&".join(f"n{self.random.getrandbits(64):x}={self.random.getrandbits(32):x}" for _ in range(20))
            self.note("names", *(a.status for a in await line.ask(get(f"/c/mallory?{fresh}", "203.0.117.1"))))
            await asyncio.sleep(0.02)
        line.close()

    async def malformed(self) -> None:
        self.note("malformed", await rudely(self.plan.port, self._spoilt(), 0.5))

    def _spoilt(self) -> bytes:
        """A request that is broken in one of many ways."""
        pick = self.random
        # far from the link of anybody honest: a changed digit would lead to another's
        sound = bytearray(get("/c/none", "203.0.118.1", "Cookie: a=b"))
        match pick.randrange(6):
            case 0:
                return pick.randbytes(pick.randrange(1, 2_000))
            case 1:
                for _ in range(pick.randrange(1, 6)):
                    sound[pick.randrange(len(sound))] = pick.getrandbits(8)
                return bytes(sound)
            case 2:
                return b"GET /c/none?" + b"a" * pick.randrange(20_000, 200_000) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            case 3:
                fields = b"".join(b"X-%d: y\r\n" % n for n in range(pick.randrange(70, 2_000)))
                return b"GET /c/none HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
            case 4:
                both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /c/none HTTP/1.1\r\n\r\n"
                return b"POST /e HTTP/1.1\r\nHost: x\r\n" + both
            case _:
                return b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n[" % pick.randrange(1 << 34)

    async def slow(self) -> None:
        """A head, or a body, a byte at a time."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.plan.port)
        body = b"POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
        try:
            if self.random.random() < 0.5:
                writer.write(body)
            for byte in b"GET /c/none HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 600:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1.0)
        finally:
            writer.close()

    async def idle(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plan.port)
        try:
            await reader.read()
        finally:
            writer.close()

    async def deaf(self) -> None:
        """Asks for as much as it is let, and reads nothing."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.plan.port, limit=1)
        try:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            while True:
                writer.write(get("/t.js", "203.0.119.1") * 20)
                await writer.drain()
        finally:
            writer.transport.abort()

    async def half_closed(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plan.port)
        try:
            writer.write(get("/t.js", "203.0.119.2"))
            writer.write_eof()
            await reader.read()
        finally:
            writer.close()
        await asyncio.sleep(0.1)

    # --- forgers -----------------------------------------------------------------------------------

    async def forged_cookies(self) -> None:
        """Cookies of nobody's making, and claims that lean on them."""
        line = Line(self.plan.port)
        while self.on:
            hexes = [secrets.token_hex(n) for n in (16, 8, 16, 8)]
            cookie = f"Cookie: tk_vid={hexes[0]}.{hexes[1]}; tk_aff={hexes[2]}.{hexes[3]}.forger"
            claim = f"/conversion?oid=claim-{hexes[0]}&pid=tea&amount=500.00&aff=forger"
            for target in ("/p.gif?aff=forger&pid=tea", claim):
                request = get(target, f"192.0.{self.random.getrandbits(8)}.1", cookie)
                self.note("forged cookie", *(answer.status for answer in await line.ask(request)))
            await asyncio.sleep(0.05)
        line.close()

    async def forged_postbacks(self) -> None:
        """Orders, and refunds of honest orders, under keys that are guessed, cut or old."""
        line = Line(self.plan.port)
        while self.on:
            now = int(time.time())
            order = {"merchant": "shop", "oid": f"forged-{secrets.token_hex(4)}", "pid": "tea", "amount": "500.00"}
            order |= {"aff": "forger", "ts": str(now)}
            refund = {"merchant": "shop", "oid": f"honest-{self.random.randrange(50)}", "pid": "tea", "ts": str(now)}
            sound = signed(self.plan.secret, **(order | {"ts": str(now - 301)}))
            for query in (
                signed(secrets.token_hex(32), **order),
                signed("", **order),
                signed(secrets.token_hex(32), **refund, status="refunded"),
                sound,
                sound[: -self.random.randrange(1, 64)],
                sound + "&aff=forger",
            ):
                self.note("forged order", *(a.status for a in await line.ask(get(f"/postback?{query}", "203.0.120.1"))))
            await asyncio.sleep(0.1)
        line.close()

    async def replays(self) -> None:
        """What the shop sent, again and again."""
        line, seen = Line(self.plan.port), 0
        while self.on:
            heard = self._heard()
            for query in [*heard[seen:], *self.random.sample(heard, min(5, len(heard)))]:
                for _ in range(2):
                    request = get(f"/postback?{query}", "203.0.121.1")
                    self.note("replayed order", *(answer.status for answer in await line.ask(request)))
            seen = len(heard)
            await asyncio.sleep(0.2)
        line.close()

    def _heard(self) -> list[str]:
        return Path(self.plan.captured).read_text().splitlines()

    # --- buyers ------------------------------------------------------------------------------------

    async def _say(self, line: Line, who: str, **pairs: str) -> None:
        """The shop's word on an order."""
        query = signed(self.plan.secret, merchant="shop", ts=str(int(time.time())), pid="tea", **pairs)
        self.note(who, *(answer.status for answer in await line.ask(get(f"/postback?{query}", "198.18.0.1"))))

    async def _click(self, line: Line, code: str, address: str) -> str:
        answers = await line.ask(get(f"/c/{code}", address, "User-Agent: Mozilla/5.0 (X11) Firefox/144.0"))
        found = CLICK_ID.search(answers[0].field("Location")) if answers else None
        if found is None:
            raise EOFError
        return found[1]

    async def refunds(self) -> None:
        """Buys by the own link, and sends everything back: in parts, twice, and more than was bought."""
        line = Line(self.plan.port)
        while self.on:
            oid = f"refund-{secrets.token_hex(4)}"
            click = await self._click(line, "refunder", f"203.0.{self.random.randint(122, 140)}.9")
            bought = {"oid": oid, "amount": "100.00", "click_id": click}
            await self._say(line, "refunder", **bought)
            for part, amount in (("r1", "60.00"), ("r1", "60.00"), ("r2", "60.00"), ("r3", "999.00")):
                await self._say(line, "refunder", oid=oid, amount=amount, refund_id=part, status="refunded")
            await self._say(line, "refunder", oid=oid, status="refunded")
            await self._say(line, "refunder", **bought)
            await asyncio.sleep(0.5)
        line.close()

    async def ring(self) -> None:
        """Buys by each other's links within a second, from one place and on one device, and by their own."""
        line = Line(self.plan.port)
        while self.on:
            one = self.random.randrange(RING)
            for code, cust in ((f"ring{(one + 1) % RING}", f"buyer{one}"), (f"own{one}", f"buyer{one}")):
                click = await self._click(line, code, "203.0.150.9")
                oid = f"{code}-{secrets.token_hex(4)}"
                await self._say(line, "ring", oid=oid, amount="300.00", click_id=click, cust=cust, did="one-device")
            await asyncio.sleep(0.5)
        line.close()


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    attackers = Attackers(plan, random.Random(plan.seed), time.monotonic() + plan.seconds, Counter())
    asyncio.run(attackers.run())
    print(json.dumps(attackers.counts))


if __name__ == "__main__":
    main()
