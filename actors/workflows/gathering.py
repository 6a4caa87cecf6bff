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
    bad = [result for result in results if result.status is Status.FAILURE]
    partial = bool(bad) or any(result.status is Status.PARTIAL for result in results)
    lost = bool(bad) and len(bad) == len(results)
    first = next((result.error for result in results if result.error), None)
    result = Result(
        status=Status.FAILURE if lost else Status.PARTIAL if partial else Status.SUCCESS,
        data=[result.data for result in results],
        artifacts=tuple(artifact for result in results for artifact in result.artifacts),
        metrics=_together(results),
        error=f"{len(bad)} of {len(results)} items failed: {first}" if bad else first,
        failure=bad[0].failure if bad else None,
    )
    return Stage.FAILED if lost else Stage.DONE, result


def failed_result(failure: Failure) -> Result:
    """The result of what ended with an error before an agent could answer."""
    return Result(status=Status.FAILURE, error=failure.message, failure=failure)


def cost_of(result: Result) -> Cost:
    """What a task cost, its delegates included."""
    told = result.metrics
    if not (told.steps or told.tool_calls or told.tokens_used or told.usd):
        return NOTHING
    return Cost(
        steps=told.steps or 0,
        tool_calls=told.tool_calls or 0,
        tokens=told.tokens_used or 0,
        usd=told.usd or 0.0,
    )


def is_priced(result: Result) -> bool:
    """Whether the money in it is known."""
    return result.metrics.tokens_used is None or result.metrics.usd is not None


def _result(branch: Branch) -> Result:
    if branch.stage is Stage.CANCELLED or branch.result is None:
        return failed_result(Failure(code="cancelled", message="it was cancelled"))
    return branch.result


def _together(results: Sequence[Result]) -> Metrics:
    metrics = [result.metrics for result in results]
    spent = sum(map(cost_of, results), NOTHING)
    return Metrics(
        execution_time_ms=sum(one.execution_time_ms for one in metrics),
        tokens_used=spent.tokens if any(one.tokens_used is not None for one in metrics) else None,
        usd=spent.usd if any(one.usd is not None for one in metrics) else None,
        steps=spent.steps if any(one.steps is not None for one in metrics) else None,
        tool_calls=spent.tool_calls if any(one.tool_calls is not None for one in metrics) else None,
    )
