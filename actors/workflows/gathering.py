"""Gathering: what becomes of a step when all its branches are over, and what its tasks cost.

Pure. Invariant: the data of a fan-out is in the order of its items, null where an item failed.
"""

from collections.abc import Sequence

from ...bus.errors import Failure
from ...bus.task import Metrics, Result, Status
from ..runs.budget import NOTHING, Cost
from .branch import Branch, Stage, StepState


def gathered(step: StepState) -> tuple[Stage, Result]:
    """How a step ended whose branches are all over: its only branch's end, or all of them together."""
    results = [_result(branch) for branch in step.branches]
    if step.items is None:
        return step.branches[0].stage, results[0]
    failed = [result for result in results if result.status is Status.FAILURE]
    status = _status(results, len(failed))
    told = next((result.error for result in results if result.error), None)
    result = Result(
        status=status,
        data=[result.data for result in results],
        artifacts=tuple(artifact for result in results for artifact in result.artifacts),
        metrics=_together([result.metrics for result in results]),
        error=f"{len(failed)} of {len(results)} items failed: {told}" if failed else told,
        failure=failed[0].failure if failed else None,
    )
    return Stage.FAILED if status is Status.FAILURE else Stage.DONE, result


def failed_result(failure: Failure) -> Result:
    """The result of what ended with an error before an agent could answer."""
    return Result(status=Status.FAILURE, error=failure.message, failure=failure)


def cost_of(result: Result) -> Cost:
    """What a task cost, its delegates included."""
    _, steps, calls, tokens, usd = _told(result.metrics)
    if not any((steps, calls, tokens, usd)):
        return NOTHING
    return Cost(steps=int(steps or 0), tool_calls=int(calls or 0), tokens=int(tokens or 0), usd=usd or 0.0)


def is_priced(result: Result) -> bool:
    """Whether the money in it is known."""
    return result.metrics.tokens_used is None or result.metrics.usd is not None


def _result(branch: Branch) -> Result:
    if branch.stage is Stage.CANCELLED or branch.result is None:
        return failed_result(Failure(code="cancelled", message="it was cancelled"))
    return branch.result


def _status(results: Sequence[Result], failed: int) -> Status:
    if failed:
        return Status.FAILURE if failed == len(results) else Status.PARTIAL
    partial = any(result.status is Status.PARTIAL for result in results)
    return Status.PARTIAL if partial else Status.SUCCESS


def _told(metrics: Metrics) -> tuple[float | None, ...]:
    return (
        metrics.execution_time_ms,
        metrics.steps,
        metrics.tool_calls,
        metrics.tokens_used,
        metrics.usd,
    )


def _together(metrics: Sequence[Metrics]) -> Metrics:
    """The sum of each; None where nobody told it."""
    sums = [_sum(column) for column in zip(*map(_told, metrics), strict=True)]
    return Metrics(
        execution_time_ms=int(sums[0] or 0),
        steps=None if sums[1] is None else int(sums[1]),
        tool_calls=None if sums[2] is None else int(sums[2]),
        tokens_used=None if sums[3] is None else int(sums[3]),
        usd=sums[4],
    )


def _sum(column: Sequence[float | None]) -> float | None:
    known = [value for value in column if value is not None]
    return sum(known) if known else None
