"""Public test corpora of HTTP, where they are: beside the clone, never in the repository."""

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "http"


def load(name: str) -> Any:
    """A corpus; skips the test, loudly, where it is not there."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{path} is missing: this corpus was NOT tested")
    return json.loads(path.read_text())


def at_a_link(request: bytes) -> bytes:
    """The same request, asking for a link, so that what is wrong with it stands between it and an event. One whose
    target itself is wrong stays as it is."""
    return re.sub(rb"\A([A-Za-z-]+ +)/[!-~]*(?= )", rb"\g<1>/c/1", request)


def llhttp() -> list[tuple[str, bytes, dict[str, Any]]]:
    """llhttp's own cases for strict parsing: name, bytes, the case."""
    cases = [case for case in load("llhttp_cases.json")["tests"] if case["kind"] == "http"]
    return [(case["name"], base64.b64decode(case["input_b64"]), case) for case in cases]


def probe_cases() -> list[tuple[dict[str, Any], bytes]]:
    """Http11Probe's single requests: the case, its bytes."""
    cases = [
        case for case in load("http11probe_some.json")["tests"] if case["kind"] == "single" and case["payload_b64"]
    ]
    return [(case, base64.b64decode(case["payload_b64"]).replace(b"{HOST}", b"t.example")) for case in cases]


def probes() -> list[tuple[str, bytes]]:
    """The same: name, bytes."""
    return [(case["id"], request) for case, request in probe_cases()]


def queries() -> list[bytes]:
    """web-platform-tests' query strings, as they are and percent-encoded."""
    texts = [case["input"] for case in load("wpt_urlencoded-parser-data.json")]
    return [query for text in texts for query in (text.encode(), quote(text, safe="&=+%").encode())]


def urls() -> list[str]:
    """web-platform-tests' URL inputs."""
    return [case["input"] for case in load("urltestdata.json") if isinstance(case, dict)]
