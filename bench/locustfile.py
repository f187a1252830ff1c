"""A day at a shop, for locust: people see views, follow links, come back, and some of them order.

Needs an instance made by `bench/registry.py`. `bench/README.md` says how to run it.
"""

import random
import time
import uuid
from urllib.parse import parse_qs, urlsplit

from locust import FastHttpUser, between, task

import workload


class Visitor(FastHttpUser):
    """One browser; its cookies come back with each request, until its owner clears them."""

    wait_time = between(0.05, 0.5)

    def on_start(self) -> None:
        self.chance = random.Random()
        self.arrive()

    def arrive(self) -> None:
        """A person who has not been here before."""
        self.client.cookiejar.clear()
        self.agent = self.chance.choice(workload.AGENTS)
        self.product = self.chance.choice(workload.PRODUCTS)
        self.click: str | None = None

    @task(60)
    def view(self) -> None:
        query = {
            "aff": self.chance.choice(workload.PROMOTERS),
            "pid": self.product,
            "ref": f"https://shop.example.com/item/{self.chance.randrange(10_000)}",
            "t": str(time.time_ns()),
        }
        with self.client.get(
            "/p.gif", params=query, headers=self.head(workload.IMAGE), name="/p.gif", catch_response=True
        ) as answer:
            if answer.status_code == 200 and answer.headers.get("Tuike-Recorded") == "0":
                answer.failure("not recorded")

    @task(30)
    def follow(self) -> None:
        """Follows a link, often again one of a promoter who was followed before."""
        code = self.chance.choice(workload.LINKS)
        with self.client.get(
            f"/c/{code}",
            headers=self.head(workload.DOCUMENT),
            name="/c/{code}",
            allow_redirects=False,
            catch_response=True,
        ) as answer:
            if answer.status_code != 302:
                answer.failure(f"status {answer.status_code}")
                return
            answer.success()
            target = urlsplit(answer.headers["Location"])
            self.click = parse_qs(target.query)["click_id"][0]
            self.product = target.path.strip("/")

    @task(5)
    def order(self) -> None:
        """The merchant's server reports an order of the last click; one in ten is sent twice."""
        if self.click is None:
            return
        pairs = {
            "oid": uuid.uuid4().hex,
            "pid": self.product,
            "click_id": self.click,
            "amount": f"{self.chance.randrange(100, 100_000) / 100:.2f}",
            "currency": workload.CURRENCY,
        }
        for _ in range(2 if self.chance.random() < 0.1 else 1):
            query = workload.postback(pairs, int(time.time()))
            with self.client.post(
                "/postback",
                data=query,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                name="/postback",
                catch_response=True,
            ) as answer:
                if answer.status_code != 202:
                    answer.failure(f"status {answer.status_code}")

    @task(5)
    def leave(self) -> None:
        self.arrive()

    def head(self, accept: str) -> dict[str, str]:
        return {"User-Agent": self.agent, "Accept": accept, "Accept-Language": workload.LANGUAGES[0]}
