"""Webhooks: what happens in the books is posted to who asked for it, signed, in order, until it is taken."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_support import LEVELS, Admin, Json, click, serving
from aiohttp import web

from instance import running
from receiving import receiving
from tuike.sending import guard, sender
from waiting import eventually, until

EVENTS = ["conversion.created", "conversion.refunded", "conversion.rejected", "message.set_aside"]


class Receiver:
    """What was posted, in order; answers with the first of `answers`, then with 200."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, text="no" * 1_000, headers={"Location": f"{self.url}/elsewhere"})

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    @property
    def bodies(self) -> list[Json]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{any:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(sender, "FIRST_PAUSE_MS", 20)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with serving(tmp_path / "data", webhook_allow_private=True) as admin:
        yield admin


async def made(admin: Admin, receiver: Receiver, events: list[str] = EVENTS) -> str:
    """The secret of a new webhook `hook`."""
    answer = await admin.post("/v1/webhooks", {"id": "hook", "url": receiver.url, "events": events})
    secret: str = answer["secret"]
    return secret


async def sent(receiver: Receiver, number: int) -> None:
    async def enough() -> bool:
        return len(receiver.got) >= number

    await eventually(enough, f"{number} deliveries")


async def listed(admin: Admin, status: str, number: int) -> list[Json]:
    found: list[Json] = []

    async def enough() -> bool:
        found[:] = (await admin.get(f"/v1/webhooks/hook/deliveries?status={status}"))["items"]
        return len(found) >= number

    await eventually(enough, f"{number} deliveries that are {status}")
    return found


async def test_what_happens_is_sent_signed_and_in_the_books_order(admin: Admin, receiver: Receiver) -> None:
    await admin.shop(LEVELS)
    touch = click("ann")
    await admin.record([touch])
    await admin.order(oid="before", amount=100, visitor=touch["visitor"])
    secret = await made(admin, receiver)
    first = await admin.order(oid="o1", amount=10_000, visitor=touch["visitor"])
    await admin.post(f"/v1/conversions/{first}/refund", {"amount": "50.00", "reason": "half"}, key="r1")
    second = await admin.order(oid="o2", amount=100, status="pending")
    await admin.post(f"/v1/conversions/{second}/approve", {"reason": "not asked for"})
    await admin.post(f"/v1/conversions/{first}/reject", {"reason": "all of it"})
    await sent(receiver, 4)
    assert [(body["type"], body["data"]["order_id"]) for body in receiver.bodies] == [
        ("conversion.created", "o1"),
        ("conversion.refunded", "o1"),
        ("conversion.created", "o2"),
        ("conversion.rejected", "o1"),
    ]
    assert [credit["amount"] for credit in receiver.bodies[1]["data"]["credits"]] == ["2.50", "1.50"]
    assert receiver.bodies[-1]["data"] == await admin.get(f"/v1/conversions/{first}")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    for headers, body in receiver.got:
        said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
    assert len(set(receiver.ids)) == 4


async def test_what_is_not_taken_is_sent_again_and_holds_up_what_is_behind_it(admin: Admin, receiver: Receiver) -> None:
    await admin.shop()
    await made(admin, receiver)
    receiver.answers = [500, 429, 302]
    for n in range(3):
        await admin.order(oid=f"o{n}", amount=100)
    await sent(receiver, 6)
    assert [body["data"]["order_id"] for body in receiver.bodies] == ["o0"] * 4 + ["o1", "o2"]
    assert len(set(receiver.ids)) == 3
    delivered = await listed(admin, "delivered", 3)
    assert [one["attempts"] for one in delivered] == [1, 1, 4]


async def test_what_is_given_up_is_seen_and_can_be_sent_again(
    admin: Admin, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MAX_ATTEMPTS", 2)
    await admin.shop()
    await made(admin, receiver)
    receiver.answers = [503, 400]
    await admin.order(oid="lost", amount=100)
    await admin.order(oid="next", amount=100)
    await sent(receiver, 3)
    (dead,) = await listed(admin, "dead", 1)
    assert (dead["attempts"], dead["code"], len(dead["detail"])) == (2, 400, sender.MAX_DETAIL)
    receiver.answers = [500]
    path = f"/v1/webhooks/hook/deliveries/{dead['delivery']}/replay"
    assert (await admin.post(path, None))["status"] == "dead"
    again = await admin.post(path, None)
    assert (again["status"], again["code"], again["id"]) == ("delivered", 200, receiver.ids[0])
    assert receiver.ids[-1] == receiver.ids[0] and receiver.bodies[-1] == receiver.bodies[0]
    assert await listed(admin, "dead", 0) == []
    for unknown in ("99999999", "x", "-1", "9" * 30):
        assert (await admin.call("POST", f"/v1/webhooks/hook/deliveries/{unknown}/replay"))[0] == 404
    assert "webhook.replay" in {item["action"] for item in (await admin.get("/v1/audit"))["items"]}


async def test_a_pause_and_a_restart_lose_nothing_and_a_deleted_one_gets_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with serving(tmp_path / "data", webhook_allow_private=True) as admin:
        await admin.shop()
        await made(admin, receiver)
        await admin.order(oid="o1", amount=100)
        await sent(receiver, 1)
        await listed(admin, "delivered", 1)
        await admin.call("PATCH", "/v1/webhooks/hook", {"status": "paused"})
        await admin.order(oid="o2", amount=100)
    async with serving(tmp_path / "data", webhook_allow_private=True) as admin:
        await admin.order(oid="o3", amount=100)
        await admin.call("PATCH", "/v1/webhooks/hook", {"status": "active"})
        await sent(receiver, 3)
        assert [body["data"]["order_id"] for body in receiver.bodies] == ["o1", "o2", "o3"]
        assert (await admin.call("DELETE", "/v1/webhooks/hook"))[0] == 200
        assert (await admin.call("GET", "/v1/webhooks/hook"))[0] == 404
        await admin.order(oid="o4", amount=100)
        await made(admin, receiver)
        await admin.order(oid="o5", amount=100)
        await sent(receiver, 4)
        assert receiver.bodies[-1]["data"]["order_id"] == "o5"
        assert len(await listed(admin, "", 1)) == 1


async def test_a_webhook_is_an_admins_and_its_secret_is_shown_once(admin: Admin, receiver: Receiver) -> None:
    body = {"id": "hook", "url": receiver.url, "events": ["payout.paid"]}
    shown = await admin.post("/v1/webhooks", body)
    secret = shown.pop("secret")
    assert await admin.get("/v1/webhooks/hook") == shown
    assert (await admin.get("/v1/webhooks"))["items"] == [shown]
    status, again = await admin.call("POST", "/v1/webhooks", body)
    assert (status, "secret" in again) == (200, False)
    assert (await admin.call("POST", "/v1/webhooks", body | {"events": EVENTS}))[0] == 409
    assert (await admin.call("POST", "/v1/webhooks", body | {"id": "x", "events": ["conversion.*"]}))[0] == 400
    assert secret not in str(await admin.get("/v1/audit"))
    for role in ("finance", "viewer"):
        token = await admin.token(role)
        for method, path in (("GET", ""), ("GET", "/hook"), ("GET", "/hook/deliveries"), ("DELETE", "/hook")):
            assert (await admin.call(method, f"/v1/webhooks{path}", token=token))[0] == 403


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://localhost/",
        "https://intranet/",
        "https://db.internal/",
        "https://0.0.0.0/",
        "https://[::127.0.0.1]/",
        "https://[fec0::1]/",
        # what aiohttp's reader makes addresses of
        "https://127.0.0。1/",
        "https://127.0.0.①/",
        "https://169.254.169。254/",
        "https://[::1/",
    ],
)
def test_nothing_is_sent_to_what_is_not_the_internet(url: str) -> None:
    assert guard.why_not(url) != ""


async def test_a_url_that_is_not_the_internets_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as admin:
        for url in ("http://example.com/", "https://127.0.0.1/hook"):
            body = {"id": "x", "url": url, "events": ["payout.paid"]}
            status, problem = await admin.call("POST", "/v1/webhooks", body)
            assert (status, problem["code"]) == (422, "url_not_allowed"), problem
        await admin.post("/v1/webhooks", {"id": "x", "url": "https://example.com/", "events": ["payout.paid"]})
        status, problem = await admin.call("PATCH", "/v1/webhooks/x", {"url": "https://192.168.0.1/"})
        assert (status, problem["code"]) == (422, "url_not_allowed")


def test_addresses_that_carry_others_are_not_public() -> None:
    for address in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"):
        assert guard.is_public(address), address
    for address in ("::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fe80::1%eth0", "224.0.0.1", "fd00::1"):
        assert not guard.is_public(address), address


async def test_a_name_that_leads_to_a_private_address_leads_nowhere() -> None:
    with pytest.raises(guard.Forbidden, match="no public address"):
        await guard.PublicResolver().resolve("localhost", 443)


def test_attempts_go_from_12_seconds_to_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE_MS", 12_000)
    pauses = [sender.pause(attempts, 0) / 1000 for attempts in range(1, sender.MAX_ATTEMPTS)]
    assert (pauses[0], pauses[1], pauses[-1]) == (12, 24, 86_400)
    assert sender.pause(5, 0.99) < sender.pause(5, 0)


def test_kills_lose_nothing_and_leave_the_order_as_it_was(tmp_path: Path) -> None:
    with receiving() as received, running(tmp_path / "data", "--workers", "1", "--webhook-allow-private") as instance:
        instance.merchant()
        instance.product()
        instance.post("webhooks", id="hook", url=received.url, events=["conversion.created"])
        wanted = []
        for part in range(3):
            for n in range(5):
                order = f"o{part}-{n}"
                assert instance.postback(oid=order, pid="tea", amount="1.00")[0] == 202
                wanted.append(order)
            until(lambda: bool(received.got), "a first delivery")
            instance.kill()
            instance.start()
        until(lambda: set(wanted) <= set(received.orders), "all deliveries")
        assert [body["data"]["order_id"] for body in received.firsts().values()] == wanted
