"""The promoter tree, with every parent that anybody ever had."""

from dataclasses import dataclass, field


@dataclass
class Tree:
    """Every edge there ever was, in the order it was made: (since, promoter, parent)."""

    edges: list[tuple[int, str, str | None]] = field(default_factory=list)
    changed: int = 0

    def promoters(self) -> list[str]:
        return list(dict.fromkeys(promoter for _, promoter, _ in self.edges))

    def add(self, promoter: str, parent: str | None) -> str | None:
        if promoter in self.promoters():
            return "exists"
        if parent is not None and parent not in self.promoters():
            return "unknown_parent"
        self.edges.append((0, promoter, parent))  # counts from always
        return None

    def set_parent(self, promoter: str, parent: str | None, at: int) -> str | None:
        if promoter not in self.promoters():
            return "unknown_promoter"
        if parent is not None and parent not in self.promoters():
            return "unknown_parent"
        if parent is not None and promoter in self.chain(parent):
            return "loop"
        self.changed = max(self.changed, at)  # no change counts from before the last one
        self.edges.append((self.changed, promoter, parent))
        return None

    def parent(self, promoter: str, at: int | None = None) -> str | None:
        parents = [parent for since, child, parent in self.edges if child == promoter and (at is None or since <= at)]
        return parents[-1]

    def chain(self, promoter: str, at: int | None = None) -> list[str]:
        chain = [promoter]
        while (parent := self.parent(chain[-1], at)) is not None:
            chain.append(parent)
        return chain

    def team(self, promoter: str) -> tuple[int, int, list[int]]:
        """Direct, total, and the count on each level below."""
        depths = [self.chain(other).index(promoter) for other in self.promoters() if promoter in self.chain(other)]
        by_level = [depths.count(level) for level in range(1, max(depths) + 1)]
        return sum(by_level[:1]), sum(by_level), by_level
