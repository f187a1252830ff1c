"""A real instance for tests: `tuike serve` in a process group of its own, and what talks to it."""

import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

START_LIMIT = 60.0
ANSWER_LIMIT = 10.0

Json = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(true: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    """Waits for a condition."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"waited {limit:.0f} s for {what}"
        time.sleep(0.01)


def signed(secret: str, **pairs: str) -> str:
    """A postback's query string, signed as the contract has it."""
    encoded = sorted((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in pairs.items())
    text = "&".join(f"{name}={value}" for name, value in encoded)
    return f"{text}&sig={hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


def tuike(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the program; with `check`, it has to succeed."""
    command = [sys.executable, "-m", "tuike", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Instance:
    """One data directory and the service on it."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.edge_port, self.admin_port = free_port(), free_port()
        self.edge = f"http://127.0.0.1:{self.edge_port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.options = options
        self.secrets: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tuike", "serve", "--data", str(self.data)]
        command += ["--edge-port", str(self.edge_port), "--admin-port", str(self.admin_port), "--segment-mib", "4"]
        log = (self.data.parent / f"{self.data.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen([*command, *self.options], start_new_session=True, stdout=log, stderr=log)
        until(self.ready, f"the instance to be ready; see {log.name}", START_LIMIT)

    def ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"tuike serve ended with {self._process.returncode}"
        try:
            return urllib.request.urlopen(f"{self.admin}/readyz", timeout=ANSWER_LIMIT).status == 200
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill(self) -> None:
        """SIGKILL to every process of it at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def children(self, name: str) -> list[int]:
        """Process ids of one part: `edge`, `process` or `admin`."""
        assert self._process is not None
        wanted = {"edge": "tuike.edge.worker", "process": "process", "admin": "admin"}[name]
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
                command = (status.parent / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if parent == self._process.pid and wanted in command:
                found.append(int(status.parent.name))
        return sorted(found)

    # --- talking to it ---------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Json | None = None, token: str | None = None) -> tuple[int, Json]:
        """One call of the admin API: status and document."""
        headers = {"Authorization": f"Bearer {token or (self.data / 'admin.token').read_text().strip()}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.admin}/v1/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_LIMIT) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def get(self, path: str) -> Json:
        status, document = self.call("GET", path)
        assert status == 200, (path, status, document)
        return document

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=ANSWER_LIMIT) as answer:
            text: str = answer.read().decode()
            return text

    def post(self, path: str, **body: Any) -> Json:
        status, document = self.call("POST", path, body)
        assert status in (200, 201), (path, status, document)
        return document

    def merchant(self, id: str = "shop", **more: Any) -> None:
        self.secrets[id] = self.post("merchants", id=id, name=id, currency="CNY", **more)["secret"]

    def product(self, id: str = "tea", **more: Any) -> None:
        body: Json = {"merchant": "shop", "name": id, "category": "any", "url": f"https://shop.example/{id}"}
        body |= {"allowed_hosts": ["shop.example"], "cookie_days": 30, "hold_days": 7, "pixel_conversions": "hold"}
        body["attribution"] = {"model": "last", "window_days": 30}
        body["commission"] = {"type": "percentage", "value": "10.0"}
        self.post("products", id=id, **(body | more))

    def promoter(self, id: str, parent: str | None = None) -> None:
        self.post("promoters", id=id, name=id, kind="member", **({"parent": parent} if parent else {}))

    def postback(self, merchant: str = "shop", **pairs: str) -> tuple[int, Json]:
        query = signed(self.secrets[merchant], merchant=merchant, ts=str(int(time.time())), **pairs)
        try:
            with urllib.request.urlopen(f"{self.edge}/postback?{query}", timeout=ANSWER_LIMIT) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def click(self, target: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Follows nothing: status, location, cookies."""
        opener = urllib.request.build_opener(_Stay)
        request = urllib.request.Request(self.edge + target, headers=headers)
        try:
            answer = opener.open(request, timeout=ANSWER_LIMIT)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            cookies = dict(re.findall(r"^([^=]+)=([^;]*)", "\n".join(answer.headers.get_all("Set-Cookie") or []), re.M))
            return answer.status, answer.headers.get("Location", ""), cookies

    def balance(self, promoter: str, currency: str = "CNY") -> Json:
        items = self.get(f"promoters/{promoter}/balance")["items"]
        return next((item for item in items if item["currency"] == currency), {"pending": "0.00"})


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@contextmanager
def running(data: Path, *options: str) -> Iterator[Instance]:
    """An instance that is started and, in the end, killed if it still runs."""
    instance = Instance(data, *options)
    instance.start()
    try:
        yield instance
    finally:
        if instance._process is not None and instance._process.poll() is None:
            instance.kill()
