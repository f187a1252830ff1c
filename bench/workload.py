"""The requests: what browsers send for views and clicks and what merchants send for orders."""

import hashlib
import hmac
import random
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

SITE = "track.example.com"
"""The `Host` of all requests."""
VARIANTS = 8192
"""Different requests of a workload; the generator sends them in turn."""
RETURNING = 0.5
"""Share of browsers that have been here before and send their cookies."""
POSTS = 1_000

MERCHANT = "bench"
MERCHANT_SECRET = "bench-merchant-secret"  # noqa: S105 (of an instance that is made for a run)
CURRENCY = "CNY"
PROMOTERS = [f"promoter-{number:04}" for number in range(1000)]
PRODUCTS = [f"product-{number:02}" for number in range(50)]
LINKS = [f"link-{number:04}" for number in range(1000)]

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; 23127PN0CC Build/UKQ1.230804.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/130.0.6723.103 Mobile Safari/537.36 XWEB/1300333 MMWEBSDK/20250201 MicroMessenger/8.0.57.2820",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 "
    "Edg/140.0.0.0",
)
LANGUAGES = ("zh-CN,zh;q=0.9,en;q=0.8", "en-US,en;q=0.9", "zh-CN,zh;q=0.9", "ja,en-US;q=0.9,en;q=0.8")
IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
DOCUMENT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def pixels(cookies: Sequence[str], promoters: Sequence[str] = PROMOTERS, variants: int = VARIANTS) -> bytes:
    """`GET /p.gif` by the script or image tag of shops' pages. `cookies`: of browsers that were here before."""
    chance = random.Random(1)
    requests = []
    for number in range(variants):
        page = f"https://shop.example.com/item/{chance.randrange(10_000)}"
        query = {
            "aff": chance.choice(promoters),
            "pid": chance.choice(PRODUCTS),
            "sub1": f"campaign-{chance.randrange(100)}",
            "ref": page,
            "t": str(1_764_000_000_000 + number),
        }
        requests.append(_get(f"/p.gif?{urlencode(query)}", browser(chance, IMAGE, page, cookies)))
    return b"".join(requests)


def redirects(
    cookies: Sequence[str], links: Sequence[str] = LINKS, variants: int = VARIANTS, posts: int = POSTS
) -> bytes:
    """`GET /c/{code}` by people who follow a promoter's link, which stands under so many posts."""
    chance = random.Random(2)
    requests = []
    for _ in range(variants):
        target = f"/c/{chance.choice(links)}?sub2=post-{chance.randrange(posts)}&utm_source=video"
        requests.append(_get(target, browser(chance, DOCUMENT, "https://video.example.com/", cookies)))
    return b"".join(requests)


def postbacks(cookies: Sequence[str], now: int) -> bytes:
    """Signed `POST /postback` by a merchant's server, good for 300 s from `now` (Unix seconds). Each is an order of a
    click whose id is in the `cookies`."""
    chance = random.Random(3)
    ids = clicks(cookies)
    requests = []
    for number in range(VARIANTS):
        pairs = {
            "oid": f"order-{now}-{number}",
            "pid": chance.choice(PRODUCTS),
            "click_id": chance.choice(ids),
            "amount": f"{chance.randrange(100, 100_000) / 100:.2f}",
            "currency": CURRENCY,
        }
        form = postback(pairs, now)
        fields = {
            "Host": SITE,
            "User-Agent": "shop-orders/2.1",
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(form)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        requests.append(f"POST /postback HTTP/1.1\r\n{head}\r\n{form}".encode())
    return b"".join(requests)


def clicks(cookies: Sequence[str]) -> list[str]:
    """The ids of the clicks in them."""
    return [found[1] for cookie in cookies if (found := re.search(r"tk_aff=([0-9a-f]{32})", cookie))]


def browser(chance: random.Random, accept: str, referer: str, cookies: Sequence[str]) -> dict[str, str]:
    """The head's fields as browsers send them, in their order."""
    fields = {
        "Host": SITE,
        "Connection": "keep-alive",
        "User-Agent": chance.choice(AGENTS),
        "Accept": accept,
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate" if accept == DOCUMENT else "no-cors",
        "Sec-Fetch-Dest": "document" if accept == DOCUMENT else "image",
        "Referer": referer,
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": chance.choice(LANGUAGES),
    }
    if cookies and chance.random() < RETURNING:
        fields["Cookie"] = f"_ga=GA1.1.{chance.randrange(10**9)}.1764000000; {chance.choice(cookies)}"
    return fields


def postback(pairs: Mapping[str, str], now: int) -> str:
    """The query of a postback, signed as the contract has it. `now` in Unix seconds."""
    signed = {**pairs, "merchant": MERCHANT, "ts": str(now)}
    encoded = sorted((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in signed.items())
    text = "&".join(f"{name}={value}" for name, value in encoded)
    return f"{text}&sig={hmac.new(MERCHANT_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}"


def _get(target: str, fields: Mapping[str, str]) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {target} HTTP/1.1\r\n{head}\r\n".encode()
