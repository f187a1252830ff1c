"""What a check of the books found: what holds, or the first thing that does not, and where."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not hold, and where."""

    check: str
    place: str
    detail: str


@dataclass(slots=True)
class Report:
    """What was proved, with how much of it there was; or the first fault."""

    proved: list[str] = field(default_factory=list)
    fault: Fault | None = None

    def text(self) -> str:
        lines = [f"ok     {line}" for line in self.proved]
        if self.fault is not None:
            lines.append(f"FAULT  {self.fault.check}: {self.fault.place}: {self.fault.detail}")
        return "\n".join(lines)


class Found(Exception):
    """Carries the first fault out of a check, to whoever runs the checks."""

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(f"{place}: {detail}")
        self.place = place
        self.detail = detail
