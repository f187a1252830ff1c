"""The peer: what most people would write. A pixel on aiohttp and uvloop that records nothing.

`python plain_aiohttp.py PORT`
"""

import sys

import uvloop
from aiohttp import web

GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
HEADERS = {"Cache-Control": "no-store"}


async def pixel(request: web.Request) -> web.Response:
    if not request.query.get("aff") or not request.query.get("pid"):
        raise web.HTTPBadRequest
    return web.Response(body=GIF, content_type="image/gif", headers=HEADERS)


def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/p.gif", pixel)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main(int(sys.argv[1]))
