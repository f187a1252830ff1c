"""A process with a journal writer that does what it is told, line by line: see test_journal_faults.py."""

import json
import sys
from itertools import count
from typing import Any

from tuike import _core


def flood(writer: _core.Writer) -> None:
    """Appends numbered events, a few at a time, and says which are recorded, until it is killed."""
    start = 0
    for turn in count():
        stop = start + turn % 7 + 1
        writer.append([payload(n) for n in range(start, stop)])
        print(stop, flush=True)
        start = stop


def payload(n: int) -> bytes:
    """The event that is the n-th: of 16 to 315 bytes."""
    return b"%016d" % n + b"." * (n % 300)


def obey(root: str, durability: Any) -> None:
    writer = _core.Writer(root, "p", int(sys.argv[3]), durability=durability)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            if name == "flood":
                flood(writer)
            elif name == "append":
                answer: Any = writer.append([payload(n) for n in range(*arguments)])
            elif name == "read":
                answer = [seq for seq, _ in _core.JournalReader(*arguments)]
            else:
                value = getattr(writer, name)
                answer = value(*arguments) if callable(value) else value
        except OSError as error:
            answer = {"error": type(error).__name__, "reason": error.strerror}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    obey(sys.argv[1], sys.argv[2])
