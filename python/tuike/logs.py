"""What every process says of itself on stderr: lines for people, or JSON (`--log-format json`) for what collects them.

A line says nothing about persons: no address, no id of a visitor or customer, no query; a request is named by its
route and its id.
"""

import json
import logging
import os
import time
from contextvars import ContextVar

VARIABLE = "TUIKE_LOG_FORMAT"
FORMATS = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; empty: none is."""


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.gmtime(record.created)
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if of := request_id.get():
            line["request_id"] = of
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        of = request_id.get()
        return f"{super().format(record)}{f' (request {of})' if of else ''}"


def configure() -> None:
    """Once, at a process's start; the format is what TUIKE_LOG_FORMAT says."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if os.environ.get(VARIABLE) == "json" else TextLines(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
