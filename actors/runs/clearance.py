"""Clearance: what becomes of one tool call: it runs, is taken back, looked for, asked about, or answered.

Pure. Not responsible for doing it: see `caller.py`. Invariant: a call that was interrupted never simply runs
again, unless its effect class allows it or a person said so.
"""

from collections.abc import Mapping
from typing import assert_never

import msgspec

from ..errors import BadTask
from .approval import About, Verdict
from .budget import ONE_CALL, Cost, Exceeded, exceeded, share
from .call import Call, Stage
from .delegation import Grant
from .effect import EffectClass, Risk
from .record import Failed, Intended
from .state import RunState
from .tool import Tool, unknown_tool

ATTEMPTS = 5  # of one call; a delegate that rests is asked again as often as there is news


class Run(msgspec.Struct, frozen=True):
    """The call may run now."""


class Undo(msgspec.Struct, frozen=True):
    """Take the interrupted call back, then run it."""


class Probe(msgspec.Struct, frozen=True):
    """Find out whether the interrupted call happened, and if nobody can say, ask a person."""


class Ask(msgspec.Struct, frozen=True):
    """Ask a person: whether it may run, or whether it happened."""

    about: About


class Tell(msgspec.Struct, frozen=True):
    """Do not run it: the model is told this; `failed` as an error."""

    content: str
    failed: bool = True


CallAction = Run | Undo | Probe | Ask | Tell


def call_action(call: Call, tools: Mapping[str, Tool], allowed: Risk) -> CallAction:
    """What becomes of one call now. A call that is found intended was interrupted.

    Args:
        tools: What the agent may use.
        allowed: The highest risk that needs no approval.
    """
    tool = tools.get(call.wanted.name)
    if call.stage is Stage.INTENDED:
        return _interrupted(tool.spec.effect, call) if tool else Ask(About.UNKNOWN)
    told = _told(call)
    if told is not None:
        return told
    if tool is None:
        return Tell(unknown_tool(call.wanted.name, tools))
    if call.wanted.unparsed and not call.edited_by:
        return Tell(f"The arguments of {tool.spec.name} are no JSON object; send the call again.")
    try:
        tool.read(call.arguments)
    except BadTask as error:
        return Tell(error.message)
    asks = call.stage is Stage.WANTED and (tool.spec.risk.above(allowed) or tool.spec.approve)
    return Ask(About.APPROVAL) if asks else Run()


def intention(
    state: RunState,
    call_id: str,
    tools: Mapping[str, Tool],
    key: str,
    refused: Exceeded | None,
) -> Intended | Failed:
    """The record that stands before a call runs: with its reservation, or that it does not fit.

    Args:
        tools: What the agent may use, the call's own among them.
        refused: The limit of the shared account that it would pass.
    """
    call = state.call(call_id)
    tool = tools[call.wanted.name]
    grant, reserved = call.grant, call.reserved
    if not call.attempt:
        grant = _grant(state, tools) if tool.spec.delegates else None
        reserved = _reservation(grant)
        own = exceeded(state.budget, state.held, reserved)
        over = own or refused
        if over is not None:
            return Failed(call=call_id, error=str(over), limit=over.limit, account=own is None)
    return Intended(
        call=call_id,
        tool=tool.spec.name,
        arguments=call.arguments,
        key=key,
        effect=tool.spec.effect,
        reserved=reserved,
        attempt=call.attempt + 1,
        grant=grant,
    )


def intended_again(call: Call, tool: Tool, key: str) -> Intended:
    """The record that stands of a delegation that is found again: it is asked for, not made a second time."""
    return Intended(
        call=call.id,
        tool=tool.spec.name,
        arguments=call.arguments,
        key=key,
        effect=tool.spec.effect,
        reserved=call.reserved,
        attempt=call.attempt,
        grant=call.grant,
    )


def _grant(state: RunState, tools: Mapping[str, Tool]) -> Grant:
    """An equal share for each delegation of this step that has none yet, and one for the agent itself."""
    delegating = {name for name, tool in tools.items() if tool.spec.delegates}
    waiting = sum(call.wanted.name in delegating and not call.attempt for call in state.open_calls)
    account = state.started.account if state.started else ""
    return Grant(budget=share(state.budget, state.held, waiting + 1), risk=state.risk, account=account)


def _reservation(grant: Grant | None) -> Cost:
    if grant is None:
        return ONE_CALL
    return ONE_CALL + Cost(tokens=grant.budget.tokens or 0, usd=grant.budget.usd or 0.0)


def _told(call: Call) -> Tell | None:
    """What an answer tells the model; None where there is none, or it lets the call run."""
    decision, unknown = call.decision, call.question is not None and call.question.about is About.UNKNOWN
    if decision is None:
        return None
    by = decision.by or "A person"
    match decision.verdict:
        case Verdict.ACCEPT | Verdict.EDIT:
            return None
        case Verdict.RESPOND:
            return Tell(decision.text, failed=False)
        case Verdict.DENY:
            told = f"{by} looked: it did not work." if unknown else f"Denied by {decision.by or 'a person'}."
            return Tell(f"{told} {decision.text}".strip())
        case Verdict.EXPIRE:
            if unknown:
                return Tell("It was interrupted; whether it happened is not known. Do not simply repeat it.")
            return Tell("Nobody approved it in time, so it was denied.")
        case _:
            assert_never(decision.verdict)


def _interrupted(effect: EffectClass, call: Call) -> CallAction:
    """A call that may run again does; one whose attempts all ended with their process, not for ever."""
    if call.attempt >= ATTEMPTS and call.grant is None and effect is not EffectClass.IRREVERSIBLE:
        return Tell(f"It was interrupted {call.attempt} times in the middle; it is not tried again.")
    match effect:
        case EffectClass.PURE | EffectClass.IDEMPOTENT:
            return Run()
        case EffectClass.COMPENSABLE:
            return Undo()
        case EffectClass.IRREVERSIBLE:
            return Probe()
        case _:
            assert_never(effect)
