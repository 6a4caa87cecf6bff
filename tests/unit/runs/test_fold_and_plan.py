"""Any run, whatever its model, tools and people do: what it promises holds after every record.

A pure driver stands in for the engine: it asks the plan, and makes up what came of it.
"""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.actors.models.errors import BadRequest, ContextOverflow, ModelOverloaded
from actorium.actors.models.port import ModelResponse, StopReason, Text, ToolCall, Usage
from actorium.actors.runs import plan
from actorium.actors.runs.answer import result_of
from actorium.actors.runs.approval import About, Decision, Question, Verdict
from actorium.actors.runs.budget import LIMITS, Budget, Cost
from actorium.actors.runs.call import Stage
from actorium.actors.runs.clearance import Ask, Probe, Run, Tell, Undo, call_action, intention
from actorium.actors.runs.config import AgentConfig
from actorium.actors.runs.delegation import DELEGATE, delegate_tool
from actorium.actors.runs.effect import Risk
from actorium.actors.runs.record import (
    Answered,
    Asked,
    Compacted,
    Decided,
    Done,
    Ended,
    Failed,
    Intended,
    Objected,
    Requested,
    RunRecord,
    Unanswered,
    Undone,
    Unknown,
)
from actorium.actors.runs.state import RunState, fold
from actorium.actors.runs.tool import tool
from actorium.bus.task import Task


@tool(effect="pure")
def look(n: int = 0) -> int: ...
@tool(effect="idempotent")
def keep(n: int = 0) -> int: ...
@tool(effect="compensable", undo=lambda n: None)
def book(n: int = 0) -> int: ...
@tool(effect="irreversible")
def send(n: int = 0) -> int: ...
@tool(effect="irreversible", risk="high")
def pay(n: int = 0) -> int: ...


TOOLS = {t.spec.name: t for t in (look, keep, book, send, pay, delegate_tool(["bob"]))}
BUDGETS = st.builds(
    Budget,
    steps=st.integers(1, 6),
    tool_calls=st.integers(0, 8),
    tokens=st.none() | st.integers(0, 4000),
    usd=st.none(),
)


class World:
    """Makes up what comes of everything, from what hypothesis draws."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.config = AgentConfig(model="m", delegates=("bob",), budget=data.draw(BUDGETS))
        self.state = RunState()
        self.packed: list[bytes] = []
        self.settled: set[str] = set()
        self.answered: set[int] = set()

    def draw(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def write(self, record: RunRecord) -> None:
        before, self.state = self.state, fold(self.state, record)
        self.packed.append(msgspec.json.encode(record))
        for name in LIMITS:
            assert getattr(self.state.spent, name) >= getattr(before.spent, name)
        assert self.state.spent.tool_calls <= self.state.budget.tool_calls
        assert self.state.step <= self.state.budget.steps
        assert self.state.budget.tokens is None or self.state.held.tokens <= self.state.budget.tokens
        if isinstance(record, Answered):
            assert record.step not in self.answered
            self.answered.add(record.step)
        if isinstance(record, Done | Failed):
            assert record.call not in self.settled
            self.settled.add(record.call)

    def ask_model(self) -> None:
        step, ahead = self.state.step + 1, Cost(steps=1, tokens=300)
        if plan.exceeded(self.state.budget, self.state.held, ahead):
            self.finish(plan.spent_up(self.state, plan.exceeded(self.state.budget, self.state.held, ahead)))
            return
        self.write(Requested(step=step, model="m", reserved=ahead))
        match self.draw("answer", "answer", "answer", "error", "overflow", "bad", "crash"):
            case "answer":
                self.write(Answered(step=step, response=self.response(), cost=Cost(steps=1, tokens=200)))
            case "error":
                self.write(Unanswered(step=step, failure=ModelOverloaded("full").failure()))
            case "overflow":
                self.write(Unanswered(step=step, failure=ContextOverflow("full").failure()))
            case "bad":
                self.write(Unanswered(step=step, failure=BadRequest("what?").failure()))
            case "crash":
                pass

    def response(self) -> ModelResponse:
        names = self.data.draw(st.lists(st.sampled_from([*TOOLS, "gone"]), max_size=4))
        calls = [
            ToolCall(id="same", name=n, arguments=self.arguments(n), unparsed=self.draw("", "", "{"))
            for n in names
        ]
        stop = StopReason.TOOL_USE if calls else self.draw(*StopReason)
        text = (Text(self.draw("", "words")),)
        return ModelResponse(
            parts=(*text, *calls), stop=stop, provider="p", model="m", usage=Usage(input=100, output=100)
        )

    def arguments(self, name: str):
        return {"agent": "bob", "task": "it"} if name == DELEGATE else self.draw({"n": 1}, {"n": 2}, {"x": 1})

    def work(self, call) -> None:
        match call_action(call, TOOLS, self.state.risk):
            case Tell(content, failed):
                kind = Failed(call=call.id, error=content, cost=call.reserved)
                self.write(kind if failed else Done(call=call.id, content=content, cost=call.reserved))
            case Ask(about):
                self.ask(call, about)
            case Run():
                self.run(call)
            case Undo():
                self.write(Undone(call=call.id))
            case Probe():
                self.ask(call, About.UNKNOWN)

    def run(self, call) -> None:
        assert call.stage is not Stage.SETTLED
        record = intention(self.state, call.id, TOOLS, f"r/{call.id}", None)
        self.write(record)
        if isinstance(record, Intended):
            assert record.attempt == call.attempt + 1
            cost = Cost(tool_calls=1, tokens=min(record.reserved.tokens, 50))
            match self.draw("done", "done", "failed", "crash"):
                case "done":
                    self.write(Done(call=call.id, content=self.draw("1", "2"), cost=cost))
                case "failed":
                    self.write(Failed(call=call.id, error="no", cost=cost))
                case "crash":
                    pass

    def ask(self, call, about: About) -> None:
        question = Question(
            id="q",
            run="r",
            agent="a",
            call=call.id,
            tool=call.wanted.name,
            arguments={},
            hash=call.id,
            about=about,
        )
        self.write((Unknown if about is About.UNKNOWN else Asked)(call=call.id, question=question))

    def person(self, call) -> None:
        stale = fold(
            self.state, Decided(call=call.id, decision=Decision(verdict=Verdict.ACCEPT, hash="other"))
        )
        assert stale.calls == self.state.calls
        decision = Decision(verdict=self.draw(*Verdict), hash=call.question.hash, arguments={"n": 9})
        self.write(Decided(call=call.id, decision=decision))

    def finish(self, end: plan.Finish) -> None:
        result = result_of(self.state, end.why, end.status, end.error, end.limit, structured=False)
        self.write(Ended(why=end.why, result=result, limit=end.limit))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_run_ends_within_its_budget_and_repeats_nothing(data):
    world = World(data)
    world.write(plan.beginning("it", "t", Task(spec="go"), world.config))
    for _ in range(300):
        if world.state.ended:
            break
        match plan.next_step(world.state, world.config, elapsed=0.0):
            case plan.AskModel():
                world.ask_model()
            case plan.WriteOff():
                world.write(Unanswered(step=world.state.asking.step, cost=Cost(tokens=300)))
            case plan.Work(calls):
                assert not {call.id for call in calls} & world.settled
                for call in calls:
                    world.work(call)
            case plan.Wait():
                for call in world.state.open_calls:
                    world.person(call)
            case plan.Object(text):
                world.write(Objected(text=text))
            case plan.Compact(keep):
                world.write(Compacted(keep=keep))
            case plan.Finish() as end:
                world.finish(end)
    again = RunState()
    for packed in world.packed:
        again = fold(again, msgspec.json.decode(packed, type=RunRecord))
    assert again == world.state
    assert world.state.ended or world.state.asking or world.state.step < world.config.budget.steps


def test_a_run_that_was_granted_less_has_less():
    """And no grant gives it more."""
    config = AgentConfig(model="m", budget=Budget(usd=2.0), risk=Risk.MEDIUM)
    for limit, risk in ((1.0, Risk.LOW), (9.0, Risk.HIGH)):
        grant = plan.Grant(budget=Budget(usd=limit, depth=0), risk=risk, account="team")
        started = plan.beginning("a", "t", Task(), config, grant=grant)
        assert started.budget.usd == min(limit, 2.0)
        assert started.budget.depth == 0
        assert started.risk is (Risk.LOW if risk is Risk.LOW else Risk.MEDIUM)
        assert started.account == "team"
