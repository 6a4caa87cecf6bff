"""What becomes of a call: a table of effect classes, answers and crashes."""

import pytest

from actorium.actors.models.port import ToolCall
from actorium.actors.runs.approval import About, Decision, OnExpiry, Question, Verdict
from actorium.actors.runs.budget import Budget, Cost, Exceeded
from actorium.actors.runs.call import Call, Stage
from actorium.actors.runs.clearance import Ask, Probe, Run, Tell, Undo, call_action, intention
from actorium.actors.runs.config import AgentConfig
from actorium.actors.runs.delegation import DELEGATE, delegate_tool
from actorium.actors.runs.effect import Risk
from actorium.actors.runs.plan import Finish, beginning, next_step
from actorium.actors.runs.record import Failed, Intended
from actorium.actors.runs.state import RunState
from actorium.actors.runs.tool import tool
from actorium.bus.task import Task

EFFECTS = {"pure": Run(), "idempotent": Run(), "compensable": Undo(), "irreversible": Probe()}


def made(effect="pure", risk="low", approve=""):
    undo = (lambda n: None) if effect == "compensable" else None

    @tool(effect=effect, risk=risk, approve=approve, undo=undo)
    def act(n: int) -> int: ...

    return {"act": act}


def call(
    stage=Stage.WANTED, *, name="act", arguments=None, verdict=None, about=About.APPROVAL, **more
) -> Call:
    given = {"n": 1} if arguments is None else arguments
    question = Question(
        id="q", run="r", agent="a", call="1/1", tool=name, arguments=given, hash="h", about=about
    )
    decision = Decision(verdict=verdict, hash="h", by="ann", text="because") if verdict else None
    return Call(
        id="1/1",
        wanted=ToolCall(id="x", name=name, arguments=given, **more),
        arguments=given,
        stage=stage,
        question=question if verdict else None,
        decision=decision,
    )


@pytest.mark.parametrize(("effect", "action"), EFFECTS.items())
def test_an_interrupted_call_gets_what_its_effect_class_says(effect, action):
    assert call_action(call(Stage.INTENDED), made(effect), Risk.LOW) == action


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_interrupted_call_that_was_approved_is_interrupted_all_the_same(effect):
    """The approval was for the attempt that died; and what was approved is not asked for again."""
    assert call_action(call(Stage.INTENDED), made(effect, risk="high"), Risk.LOW) == EFFECTS[effect]
    assert call_action(call(Stage.CLEARED), made(effect, risk="high"), Risk.LOW) == Run()


def test_an_interrupted_call_whose_tool_is_gone_is_asked_about():
    assert call_action(call(Stage.INTENDED), {}, Risk.HIGH) == Ask(About.UNKNOWN)


@pytest.mark.parametrize(
    ("risk", "allowed", "approve", "action"),
    [
        ("low", Risk.LOW, "", Run()),
        ("medium", Risk.LOW, "", Ask(About.APPROVAL)),
        ("medium", Risk.MEDIUM, "", Run()),
        ("high", Risk.MEDIUM, "", Ask(About.APPROVAL)),
        ("low", Risk.HIGH, "finance", Ask(About.APPROVAL)),
    ],
)
def test_what_is_riskier_than_allowed_is_asked_for(risk, allowed, approve, action):
    assert call_action(call(), made(risk=risk, approve=approve), allowed) == action


@pytest.mark.parametrize(
    ("about", "verdict", "action"),
    [
        (About.APPROVAL, Verdict.ACCEPT, Run()),
        (About.APPROVAL, Verdict.EDIT, Run()),
        (About.APPROVAL, Verdict.RESPOND, Tell("because", failed=False)),
        (About.APPROVAL, Verdict.DENY, Tell("Denied by ann. because")),
        (About.APPROVAL, Verdict.EXPIRE, Tell("Nobody approved it in time, so it was denied.")),
        (About.UNKNOWN, Verdict.ACCEPT, Run()),
        (About.UNKNOWN, Verdict.EDIT, Run()),
        (About.UNKNOWN, Verdict.RESPOND, Tell("because", failed=False)),
        (About.UNKNOWN, Verdict.DENY, Tell("ann looked: it did not work. because")),
        (
            About.UNKNOWN,
            Verdict.EXPIRE,
            Tell("It was interrupted; whether it happened is not known. Do not simply repeat it."),
        ),
    ],
)
def test_an_answer_means_what_it_says(about, verdict, action):
    settled = call(Stage.CLEARED, verdict=verdict, about=about)
    assert call_action(settled, made("irreversible", risk="high"), Risk.LOW) == action


def test_nobody_is_asked_about_a_call_that_could_not_run():
    """Wrong arguments, no JSON, a name that is not there: the model is told."""
    for wrong in (call(arguments={"n": "x"}), call(unparsed='{"n": 1'), call(name="axt")):
        action = call_action(wrong, made(risk="high"), Risk.LOW)
        assert isinstance(action, Tell)
        assert action.failed


def running(*calls: Call, **limits) -> RunState:
    config = AgentConfig(model="m", budget=Budget(**limits))
    started = beginning("a", "t", Task(), config, account="team")
    return RunState(started=started, calls=calls)


def test_a_call_that_does_not_fit_says_which_limit():
    tools = made()
    refused = intention(running(call(), tool_calls=0), "1/1", tools, "k", None)
    assert (refused.limit, refused.account) == ("tool_calls", False)
    refused = intention(running(call()), "1/1", tools, "k", Exceeded("usd", 1, 2))
    assert (refused.limit, refused.account) == ("usd", True)
    assert isinstance(refused, Failed)


def test_delegates_of_one_step_share_what_is_left_equally():
    calls = tuple(
        Call(id=f"1/{n}", wanted=ToolCall(id="x", name=DELEGATE), arguments={"agent": "b", "task": "t"})
        for n in (1, 2, 3)
    )
    state, slices = running(*calls, tokens=4000, usd=4.0, seconds=60.0, depth=2), []
    for number in (0, 1, 2):
        record = intention(state, calls[number].id, {"delegate_task": delegate_tool(["b"])}, "k", None)
        assert isinstance(record, Intended)
        slices.append(record.grant)
        intended = Call(
            id=record.call,
            wanted=calls[number].wanted,
            arguments={},
            stage=Stage.INTENDED,
            attempt=1,
            reserved=record.reserved,
        )
        others = tuple(intended if c.id == record.call else c for c in state.calls)
        state = RunState(started=state.started, calls=others)
    assert slices[0] == slices[1] == slices[2]
    assert slices[0].budget == Budget(
        steps=None, tool_calls=None, seconds=60.0, tokens=1000, usd=1.0, depth=1
    )
    assert slices[0].account == "team"
    assert state.held == Cost(tool_calls=3, tokens=3000, usd=3.0)


def test_a_question_that_expires_with_halt_ends_the_run():
    waiting = call(Stage.CLEARED, verdict=Verdict.EXPIRE)
    halting = Question(
        id="q", run="r", agent="a", call="1/1", tool="act", arguments={}, hash="h", on_expiry=OnExpiry.HALT
    )
    state = RunState(
        calls=(
            Call(
                id="1/1",
                wanted=waiting.wanted,
                arguments={},
                stage=Stage.CLEARED,
                decision=waiting.decision,
                question=halting,
            ),
        )
    )
    end = next_step(state, AgentConfig(model="m"), elapsed=0.0)
    assert isinstance(end, Finish)
    assert (end.why, end.status) == ("expired", "partial")
