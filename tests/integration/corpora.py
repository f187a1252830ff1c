"""Public test corpora of HTTP in the folder of real data (the fixture `shared_data`)."""

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote


def load(data: Path, name: str) -> Any:
    return json.loads((data / "http" / name).read_text())


def at_a_link(request: bytes) -> bytes:
    """The same request, asking for a link, so that what is wrong with it stands between it and an event. One whose
    target itself is wrong stays as it is."""
    return re.sub(rb"\A([A-Za-z-]+ +)/[!-~]*(?= )", rb"\g<1>/c/1", request)


def llhttp(data: Path) -> list[tuple[str, bytes, dict[str, Any]]]:
    """llhttp's own cases for strict parsing: name, bytes, the case."""
    cases = [case for case in load(data, "llhttp_cases.json")["tests"] if case["kind"] == "http"]
    return [(case["name"], base64.b64decode(case["input_b64"]), case) for case in cases]


def probe_cases(data: Path) -> list[tuple[dict[str, Any], bytes]]:
    """Http11Probe's single requests: the case, its bytes."""
    cases = load(data, "http11probe_some.json")["tests"]
    return [
        (case, base64.b64decode(case["payload_b64"]).replace(b"{HOST}", b"t.example"))
        for case in cases
        if case["kind"] == "single" and case["payload_b64"]
    ]


def probes(data: Path) -> list[tuple[str, bytes]]:
    """The same: name, bytes."""
    return [(case["id"], request) for case, request in probe_cases(data)]


def queries(data: Path) -> list[bytes]:
    """web-platform-tests' query strings, as they are and percent-encoded."""
    texts = [case["input"] for case in load(data, "wpt_urlencoded-parser-data.json")]
    return [query for text in texts for query in (text.encode(), quote(text, safe="&=+%").encode())]


def urls(data: Path) -> list[str]:
    """web-platform-tests' URL inputs."""
    return [case["input"] for case in load(data, "urltestdata.json") if isinstance(case, dict)]
