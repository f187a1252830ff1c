"""A real instance for tests: `tuike serve` in a process group of its own, and what talks to it."""

import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ports import free_port
from tuike.books import defaults
from waiting import PATIENCE, until

COMMAND_LIMIT = 600.0
"""Seconds for a whole import or verification."""
SAID = 4_000
"""Characters of a log's end that a failure shows."""

Json = dict[str, Any]

NO_FRAUD: Json = dict.fromkeys(defaults.FRAUD, 0) | dict.fromkeys(("self_referral", "datacentres", "mismatch"), False)
"""A test orders a moment after its click, and all its clicks are of one address."""


def signed(secret: str, **pairs: str) -> str:
    """A postback's query string, signed as the contract has it."""
    encoded = sorted((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in pairs.items())
    text = "&".join(f"{name}={value}" for name, value in encoded)
    return f"{text}&sig={hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


def tuike(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the program; with `check`, it has to succeed."""
    command = [sys.executable, "-m", "tuike", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_LIMIT)
    assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def family(group: int) -> dict[int, tuple[int, list[str]]]:
    """The processes of a group that have not ended: their parents and commands."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, of = status.read_text().rpartition(")")[2].split()[:3]
            command = (status.parent / "cmdline").read_bytes().decode().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if int(of) == group and state not in "ZX":
            found[int(status.parent.name)] = (int(parent), command)
    return found


class Instance:
    """One data directory and the service on it."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.edge_port, self.admin_port = free_port(), free_port()
        self.edge = f"http://127.0.0.1:{self.edge_port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.options = options
        self.log = data.parent / f"{data.name}.log"
        self.secrets: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._begins = 0
        """Of what this run says, in the log."""

    def launch(self) -> None:
        command = [sys.executable, "-m", "tuike", "serve", "--data", str(self.data)]
        command += ["--edge-port", str(self.edge_port), "--admin-port", str(self.admin_port), "--segment-mib", "4"]
        with self.log.open("ab") as log:
            self._begins = log.tell()
            self._process = subprocess.Popen([*command, *self.options], start_new_session=True, stdout=log, stderr=log)

    def start(self) -> None:
        """Launches it and waits until it is ready."""
        self.launch()
        try:
            until(self.ready, "the instance to be ready")
        except AssertionError as error:
            error.add_note(f"{self.log} ends with:\n{self.log.read_text()[-SAID:]}")
            raise

    def ready(self) -> bool:
        """Whether it has said where it is, which comes when the demo is filled, and can record a hit."""
        assert self._process is not None
        assert self._process.poll() is None, f"tuike serve ended with {self._process.returncode}"
        if b"\nadmin  http" not in self.log.read_bytes()[self._begins :]:
            return False
        try:
            return bool(urllib.request.urlopen(f"{self.admin}/readyz", timeout=PATIENCE).status == 200)
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL to every process of it at once; returns when all are gone, and what they held with them."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        until(lambda: not self._family(), "the killed processes to end")

    def children(self, name: str) -> list[int]:
        """Process ids of one part: `edge`, `process` or `admin`."""
        assert self._process is not None
        wanted = {"edge": "tuike.edge.worker", "process": "process", "admin": "admin"}[name]
        parent = self._process.pid
        return sorted(pid for pid, (above, command) in self._family().items() if above == parent and wanted in command)

    def _family(self) -> dict[int, tuple[int, list[str]]]:
        assert self._process is not None
        return family(self._process.pid)

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
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def get(self, path: str) -> Json:
        status, document = self.call("GET", path)
        assert status == 200, (path, status, document)
        return document

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text

    def post(self, path: str, **body: Any) -> Json:
        """A write and its outcome; one that a loaded machine answers with a 202 is waited for."""
        status, document = self.call("POST", path, body)
        if status == 202:
            event = f"events/{document['event_id']}"
            until(lambda: self.get(event)["status"] != "waiting", f"the outcome of POST {path}")
            outcome = self.get(event)
            assert outcome["status"] == "applied", (path, outcome)
            document |= outcome["result"]
            return document
        assert status in (200, 201), (path, status, document)
        return document

    def merchant(self, id: str = "shop", **more: Any) -> None:
        self.secrets[id] = self.post("merchants", id=id, name=id, currency="CNY", **more)["secret"]

    def product(self, id: str = "tea", **more: Any) -> None:
        body: Json = {"merchant": "shop", "name": id, "category": "any", "url": f"https://shop.example/{id}"}
        body |= {"allowed_hosts": ["shop.example"], "cookie_days": 30, "hold_days": 7, "pixel_conversions": "hold"}
        body["attribution"] = {"model": "last", "window_days": 30}
        body["commission"] = {"type": "percentage", "value": "10.0"}
        body["fraud"] = NO_FRAUD
        self.post("products", id=id, **(body | more))

    def promoter(self, id: str, parent: str | None = None) -> None:
        self.post("promoters", id=id, name=id, kind="member", **({"parent": parent} if parent else {}))

    def postback(self, merchant: str = "shop", **pairs: str) -> tuple[int, Json]:
        query = signed(self.secrets[merchant], merchant=merchant, ts=str(int(time.time())), **pairs)
        try:
            with urllib.request.urlopen(f"{self.edge}/postback?{query}", timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def click(self, target: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Follows nothing: status, location, cookies."""
        opener = urllib.request.build_opener(_Stay)
        request = urllib.request.Request(self.edge + target, headers=headers)
        try:
            answer = opener.open(request, timeout=PATIENCE)
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
    try:
        instance.start()
        yield instance
    finally:
        if instance._process is not None and instance._process.poll() is None:
            instance.kill()
