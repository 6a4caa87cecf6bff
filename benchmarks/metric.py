"""Metric: one number that was measured, what it was measured beside, and the goal it is held against.

Invariant: a goal is judged on the value or on the ratio, never on both; without one it is shown only.
"""

from typing import Any, Literal

import msgspec


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A bound of DESIGN.md section 11.

    Attributes:
        on: Whether the value or the ratio to the other side is held against it.
        at_most: False: it is a floor.
        later: The bound once the hot path replaces stock nats-py; shown, not judged.
    """

    limit: float
    on: Literal["value", "ratio"] = "value"
    at_most: bool = True
    later: float | None = None


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number.

    Attributes:
        beside: The same of the other side, from the same rounds.
        ratio: Median over the rounds of ours divided by the other side's.
        detail: Everything else that was seen: other quantiles, CPU per message, counts.
    """

    name: str
    value: float
    unit: str
    beside: float | None = None
    other: str = ""
    ratio: float | None = None
    goal: Goal | None = None
    detail: dict[str, Any] = {}

    @property
    def met(self) -> bool | None:
        """Whether the goal is held; None where there is none."""
        if self.goal is None:
            return None
        judged = self.ratio if self.goal.on == "ratio" else self.value
        if judged is None:
            return None
        return judged <= self.goal.limit if self.goal.at_most else judged >= self.goal.limit


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How much to measure.

    Attributes:
        peers: Whether other runtimes are measured too.
        absent: Filled by who measures: peers that could not be, and why.
    """

    quick: bool = False
    peers: bool = False
    absent: dict[str, str] = {}

    @property
    def rounds(self) -> int:
        """Rounds in which both sides are measured, one after the other."""
        return 5 if self.quick else 7

    def count(self, full: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else full


def table(metrics: list[Metric]) -> str:
    """The metrics as text, one a line."""
    head = ("metric", "value", "other side", "ratio", "goal", "")
    rows = [head, *(_row(metric) for metric in metrics)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _row(metric: Metric) -> tuple[str, ...]:
    goal = metric.goal
    bound = ""
    if goal is not None:
        unit = "x" if goal.on == "ratio" else metric.unit
        bound = f"{'<=' if goal.at_most else '>='} {_number(goal.limit)} {unit}"
    verdict = {True: "met", False: "MISSED", None: ""}[metric.met]
    return (
        metric.name,
        f"{_number(metric.value)} {metric.unit}",
        "" if metric.beside is None else f"{_number(metric.beside)} {metric.unit} {metric.other}",
        "" if metric.ratio is None else f"{metric.ratio:.2f} x",
        bound,
        verdict,
    )


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
