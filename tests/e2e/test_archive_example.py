"""docs/OPERATIONS.md, the archive: its commands on a running instance; the page has their real output."""

import re
import shlex
from pathlib import Path

from instance import running, tuike

PAGE = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"
CLICKS = """time,aff,pid,visitor,sub1
2025-11-01T08:00:00Z,alice,tea,a1,red
2025-11-01T09:30:00Z,alice,tea,a2,blue
2025-11-01T23:59:59Z,bob,tea,b1,
2025-11-02T00:00:00Z,alice,tea,a1,red
2025-11-02T12:00:00Z,bob,tea,b2,
"""
ORDERS = """time,pid,order_id,amount,visitor
2025-11-01T10:00:00Z,tea,o-1,100.00,a1
2025-11-02T13:00:00Z,tea,o-2,50.00,b2
"""


def test_the_pages_example_has_the_real_output(tmp_path: Path) -> None:
    data = tmp_path / "data"
    found = re.search(r"```text\n(\$ tuike archive.*?)\n```", PAGE.read_text(), re.S)
    assert found is not None
    commands = re.findall(r"^\$ tuike (.*)$", found.group(1), re.M)
    with running(data, "--workers", "1") as instance:
        instance.merchant()
        instance.product()
        instance.promoter("alice")
        instance.promoter("bob")
        for kind, text in (("clicks", CLICKS), ("conversions", ORDERS)):
            (tmp_path / kind).write_text(text)
            tuike("import", kind, tmp_path / kind, "--data", data)
        lines = []
        for command in commands:
            done = tuike(*shlex.split(command.replace("--data DATA", f"--data {data}")))
            lines += [f"$ tuike {command}", *done.stdout.splitlines()]
        assert tuike("archive", "--data", data).stdout == "", "what is archived is not written again"
    assert found.group(1).splitlines() == lines, "\n".join(lines)
