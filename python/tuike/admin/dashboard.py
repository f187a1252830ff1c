"""/ and /assets: the dashboard's files, as they were built into `static/`. Nothing on the page is from elsewhere."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tuike.admin.problems import not_found
from tuike.admin.routes import Call, Route

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
NOT_BUILT = "The dashboard was not built: run `make setup`. The API is at /v1/docs.\n"
# Of files whose names change with their content.
FOR_GOOD = "public, max-age=31536000, immutable"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class File:
    body: bytes
    packed: bytes
    media: str
    tag: str
    caching: str

    def answer(self, request: web.Request) -> web.Response:
        headers = HEADERS | {"Cache-Control": self.caching, "ETag": self.tag, "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == self.tag:
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self.media
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=self.body, headers=headers)
        return web.Response(body=self.packed, headers=headers | {"Content-Encoding": "gzip"})


def load(folder: Path) -> dict[str, File]:
    """The files by their paths below `folder`; none where the page was not built."""
    return {
        path.relative_to(folder).as_posix(): _file(path, "no-cache" if path.name == INDEX else FOR_GOOD)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _file(path: Path, caching: str) -> File:
    body = path.read_bytes()
    media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media.startswith("text/"):
        media += "; charset=utf-8"
    return File(body, gzip.compress(body, mtime=0), media, f'"{hashlib.sha256(body).hexdigest()[:32]}"', caching)


FILES = load(STATIC)


async def index(call: Call) -> web.Response:
    if INDEX not in FILES:
        return web.Response(text=NOT_BUILT, headers=HEADERS)
    return FILES[INDEX].answer(call.request)


async def asset(call: Call) -> web.Response:
    file = FILES.get(f"assets/{call.path('name')}")
    if file is None:
        raise not_found(f"file {call.path('name')}")
    return file.answer(call.request)


ANYONE: frozenset[str] = frozenset()

ROUTES = (
    Route("GET", "/", index, "The dashboard", ANYONE),
    Route("GET", "/assets/{name}", asset, "A file of the dashboard", ANYONE),
)
