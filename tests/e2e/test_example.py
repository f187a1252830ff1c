"""docs/EXAMPLE.md: one order from sale to recovery, through the real service; the page has its real output."""

import re
from pathlib import Path
from typing import Any

from instance import Instance, running, tuike, until

PAGE = Path(__file__).parents[2] / "docs" / "EXAMPLE.md"
PURSES = ("pending", "available", "reserved", "paid", "tax", "owed")
LEVELS = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1"}]


class Series:
    """The steps of the page, each with what the books say after it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.lines: list[str] = []

    def say(self, step: str) -> None:
        self.lines += ["", step] if self.lines else [step]
        for promoter in ("alice", "bob", "carol"):
            balance = self.instance.balance(promoter)
            held = [f"{purse} {balance[purse]}" for purse in PURSES if balance.get(purse, "0.00") != "0.00"]
            self.lines.append(f"  {promoter:<6} {', '.join(held) or 'nothing'}")
        payable = self.instance.get("ledger/accounts/merchant:shop:payable")["items"][0]["balance"]
        self.lines.append(f"  shop   payable {payable}")

    def order(self, **pairs: str) -> None:
        status, answer = self.instance.postback(oid="o1", pid="tea", **pairs)
        assert status == 202, answer
        event = answer["event_id"]
        until(lambda: self.instance.call("GET", f"events/{event}")[1].get("status") == "applied", "the order's booking")

    def payout(self, path: str, **body: Any) -> Any:
        return self.instance.post(f"payouts{path}", **body)


def series(instance: Instance) -> list[str]:
    its = Series(instance)
    instance.merchant(settlement="T+0")
    for promoter, parent in (("carol", None), ("bob", "carol"), ("alice", "bob")):
        instance.promoter(promoter, parent)
    instance.call("PATCH", "promoters/alice", {"tax": {"scheme": "cn_labour"}})
    commission = {"type": "percentage", "value": "10", "levels": LEVELS}
    instance.product(hold_days=0, commission=commission)
    its.order(amount="20000.00", aff="alice")
    its.say("An order of 20,000.00, credited to alice: 10 %, of which 5, 3 and 1 for three levels")
    its.order(amount="2000.01", status="refunded", refund_id="r1")
    its.say("2,000.01 of it are refunded: each share stands at floor(original x 17,999.99 / 20,000.00)")
    tuike("settle", "--data", instance.data)
    its.say("Settlement: what is due is available")
    payout = its.payout("", promoter="alice")
    its.say(f"A payout to alice reserves {payout['amount']}: tax {payout['tax']}, net {payout['net']}")
    its.payout(f"/{payout['id']}/paid")
    its.say("The payout is paid")
    its.order(status="refunded")
    its.say("The rest is refunded, after the payout: what alice has no more is owed, the others give theirs back")
    instance.post("ledger/prize", promoter="alice", currency="CNY", amount="1000.00", reason="contest of the month")
    its.say("A prize of 1,000.00 enters alice's account: what she owes is recovered first")
    verified = tuike("verify", "--data", instance.data).stdout
    assert "FAULT" not in verified
    its.lines += ["", "tuike verify", *(f"  {line.split(':')[0]}" for line in verified.splitlines())]
    return its.lines


def test_the_pages_example_has_the_real_output(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "1") as instance:
        lines = series(instance)
    found = re.search(r"```text\n(.*?)\n```", PAGE.read_text(), re.S)
    assert found is not None
    assert found.group(1).splitlines() == lines, "\n".join(lines)
