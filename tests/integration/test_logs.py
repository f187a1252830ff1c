"""What processes say of themselves: lines with the request's id, and nothing about persons."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from admin_support import Admin

from instance import running
from tuike import logs
from tuike.admin import clicks
from tuike.admin.routes import Service

CLICK = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """What a handler with our formatter has written, of the whole test."""
    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(self.format(record))

    handler = Kept()
    handler.setFormatter(logs.JsonLines())
    logging.getLogger("tuike").addHandler(handler)
    yield said
    logging.getLogger("tuike").removeHandler(handler)


async def test_an_answer_says_the_id_that_was_given_or_one_of_ours(admin: Admin) -> None:
    for given, sound in (("abc-1.2_3", True), ("a b", False), ("x" * 129, False), ("", False)):
        async with admin._session.get("/v1/merchants", headers={"X-Request-Id": given}) as answer:
            said = answer.headers["X-Request-Id"]
            assert answer.status == 401 and (said == given) == sound and said
    async with admin._session.get("/nowhere") as first, admin._session.get("/nowhere") as second:
        assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


async def test_a_fault_is_logged_under_the_requests_id_without_what_it_named(
    admin: Admin, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(service: Service, id: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(clicks, "_asked", fails)
    headers = {"X-Request-Id": "find-me", "Authorization": "Bearer first-token-of-the-tests"}
    async with admin._session.get(f"/v1/clicks/{CLICK}?", headers=headers) as answer:
        assert answer.status == 500
    (line,) = [json.loads(line) for line in lines if "find-me" in line]
    assert (line["level"], line["message"]) == ("error", "GET /v1/clicks/{click_id}")
    assert "a bug" in line["error"] and line["request_id"] == "find-me"
    assert CLICK not in str(lines) and "first-token" not in str(lines)


def test_a_line_is_one_line_whatever_it_says() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("tuike", logging.ERROR, "x", 1, "said %s", ("a\nb",), sys.exc_info())
    text = logs.JsonLines().format(record)
    assert "\n" not in text and json.loads(text)["message"] == "said a\nb"


def test_a_service_says_json_and_nothing_else_where_it_is_asked_to(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "1", "--log-format", "json") as instance:
        instance.kill()
        instance.start()
        instance.merchant()
    ours = [line for line in instance.log.read_text().splitlines() if line.startswith("{")]
    assert not any(line[:2] == "20" for line in instance.log.read_text().splitlines()), instance.log.read_text()
    assert "waiting for the registry" in {json.loads(line)["message"] for line in ours}
