"""Measured figures, their comparison with the floor and with budgets, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One figure: `floor[i]` and `product[i]` were measured one after the other."""

    what: str
    unit: str
    product: Sequence[float]
    floor: Sequence[float] = ()
    least_of_floor: float | None = None
    """Minimum of `ratio`; it holds on any machine. None: no such budget."""
    budget: float | None = None
    """Limit in the row's own unit; a time holds on a quiet machine only. None: no such budget."""
    better: Literal["more", "less"] = "less"

    @property
    def ratio(self) -> float | None:
        """Median of product/floor over the rounds (floor/product where less is better); None: there is no floor."""
        if not self.floor:
            return None
        pairs = list(zip(self.product, self.floor, strict=True))
        return median(p / f if self.better == "more" else f / p for p, f in pairs)

    @property
    def met(self) -> bool | None:
        """Whether every budget is met; None: the row has no budget."""
        results = []
        if self.least_of_floor is not None and self.ratio is not None:
            results.append(self.ratio >= self.least_of_floor)
        if self.budget is not None:
            value = median(self.product)
            results.append(value >= self.budget if self.better == "more" else value < self.budget)
        return all(results) if results else None

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what, "unit": self.unit, "better": self.better, "product": list(self.product),
            "floor": list(self.floor), "ratio": self.ratio, "least_of_floor": self.least_of_floor,
            "budget": self.budget, "met": self.met,
        }  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table of medians, with minimum and maximum in brackets."""
    head = ("", "floor", "jobpools", "of the floor", "budget", "")
    lines = [head, *[_cells(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    )


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≥" if row.better == "more" else "<"
    budgets = [] if row.least_of_floor is None else [f"≥ {row.least_of_floor:g} of the floor"]
    budgets += [] if row.budget is None else [f"{sign} {_number(row.budget)}"]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    result = {True: "pass", False: "MISS", None: ""}[row.met]
    return (
        f"{row.what}, {row.unit}".removesuffix(", "),
        _spread(row.floor),
        _spread(row.product),
        ratio,
        ", ".join(budgets),
        result,
    )


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    middle = _number(median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))}..{_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
