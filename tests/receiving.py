"""Where webhooks are posted to in tests: a server in threads of its own that keeps what it got."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    url: str
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Ids and bodies, in the order in which they came."""

    @property
    def orders(self) -> list[str]:
        return [body["data"]["order_id"] for _, body in self.got]

    def firsts(self) -> dict[str, dict[str, Any]]:
        """What came, by its id; what came again has to be the same."""
        kept: dict[str, dict[str, Any]] = {}
        for id, body in self.got:
            assert kept.setdefault(id, body) == body, id
        return kept


@contextlib.contextmanager
def receiving() -> Iterator[Received]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.got.append((self.headers["webhook-id"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
