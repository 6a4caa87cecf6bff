"""A run that is prompted over the agent protocol: its words as they come, and its questions to the caller."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client as Raw

from actorium.runtime.synadia import wire
from cluster.harness import Cluster, Node, attached
from eventually import eventually
from servers import TestServer

PROGRAM = '''
import asyncio
from pathlib import Path

from actorium import App
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.config import Agent
from actorium.actors.runs.tool import tool


@tool(effect="irreversible", risk="high")
async def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@tool(effect="pure", risk="low")
async def rest() -> str:
    """Take some time."""
    await asyncio.sleep(0.3)
    return "rested"


talker = in_order(call(("rest", {}), text="I will rest first."), say("Now I am awake."))
payer = in_order(call(("pay", {"amount": 7}), text="It is due."), say("It is done."))
boss = in_order(call(("delegate_task", {"agent": "payer", "task": "pay"})), say("The payer did it."))
shape = in_order(call(("rest", {}), text="{}"), say('{"answer": 42}'))
script = "scripted:querying:"
schema = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
app = App(
    Agent("talker", model=script + "talker", tools=[rest]),
    Agent("payer", model=script + "payer", tools=[pay]),
    Agent("boss", model=script + "boss", delegates=["payer"]),
    Agent("shaped", model=script + "shape", tools=[rest], output=schema),
)
'''


@pytest.fixture(scope="module")
def node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server, and two workers that run the agents above."""
    home = tmp_path_factory.mktemp("querying")
    program = home / "querying.py"
    program.write_text(PROGRAM)
    server = TestServer(nats_binary, home / "nats")
    server.start()
    made = Node(server.url, home, "querying").start(str(program))
    yield made
    made.end()
    server.kill()


@pytest.fixture
async def cluster(node: Node) -> AsyncIterator[Cluster]:
    """What a test sees of it, when both workers are at work."""
    async with attached(node.settings.nats.url) as seen:
        await seen.settled(2)
        yield seen


@pytest.fixture
async def raw(cluster: Cluster) -> AsyncIterator[Raw]:
    """A plain NATS client."""
    client = await nats.connect(cluster.settings.nats.url)
    yield client
    await client.close()


@pytest.fixture
async def agents(raw: Raw) -> AsyncIterator[dict[str, object]]:
    """The agents, as the official client finds them."""
    kit = pytest.importorskip(
        "synadia_ai.agents", reason="synadia-ai-agents is not installed for this Python"
    )
    official = kit.Agents(nc=raw)
    yield {agent.session_name: agent for agent in await official.discover()}
    await official.close()


async def conversation(agent: object, prompt: str, *replies: str) -> tuple[list[str], list[str]]:
    """The pieces of an answer, and the questions before it, which are answered in order."""
    kit = pytest.importorskip("synadia_ai.agents")
    pieces, questions, left = [], [], list(replies)
    async for message in agent.prompt(prompt):
        if isinstance(message, kit.Query):
            questions.append(message.prompt)
            if left:
                await message.reply(left.pop(0))
        elif text := getattr(message, "text", ""):
            pieces.append(text)
    return pieces, questions


async def test_the_words_of_a_run_come_while_it_thinks(agents):
    """Each turn's words are chunks of their own, once; what was told is not told again at the end."""
    pieces, _ = await conversation(agents["talker"], "talk")
    assert len(pieces) >= 2
    assert "".join(pieces) == "I will rest first.\n\nNow I am awake."


async def test_two_callers_of_one_agent_hear_their_own_run(agents):
    """Runs of one agent go side by side, and none of their words reaches the other's caller."""
    told = await asyncio.gather(*(conversation(agents["talker"], f"talk {n}") for n in range(4)))
    assert {"".join(pieces) for pieces, _ in told} == {"I will rest first.\n\nNow I am awake."}


async def test_an_answer_in_json_is_told_whole_and_alone(agents):
    """A caller that reads JSON gets nothing but JSON."""
    pieces, _ = await conversation(agents["shaped"], "shape")
    assert json.loads("".join(pieces)) == {"answer": 42}


async def test_a_question_of_a_run_is_a_query_and_the_reply_its_answer(agents, cluster: Cluster):
    """The caller sees the exact arguments; what it says plainly becomes the decision."""
    pieces, questions = await conversation(agents["payer"], "pay", 'edit {"amount": 5}')
    assert "".join(pieces).endswith("It is done.")
    (question,) = questions
    assert 'payer asks to run pay {"amount":7} (risk high)' in question
    assert "Because: It is due." in question
    answered = [
        pending.decision
        for pending in await cluster.client.approvals(open_only=False)
        if pending.decision is not None and pending.decision.arguments == {"amount": 5}
    ]
    assert [decision.by.startswith("the caller of prompt-") for decision in answered] == [True]


async def test_what_is_not_plain_is_asked_again(agents):
    """A reply that could be anything lets nothing run."""
    _, questions = await conversation(agents["payer"], "pay", "well, if you must", "no")
    assert len(questions) == 2
    assert questions[1].startswith("say one of: accept")


async def test_a_question_of_a_delegate_reaches_the_caller(agents):
    """Whoever prompted the first run is asked for all of them."""
    pieces, questions = await conversation(agents["boss"], "have it paid", "accept")
    assert "".join(pieces).endswith("The payer did it.")
    assert len(questions) == 1


async def test_whoever_answers_elsewhere_ends_the_wait(raw: Raw, cluster: Cluster):
    """A query that nobody replies to does not hold the run; its late reply changes nothing."""
    inbox = raw.new_inbox()
    subscription = await raw.subscribe(inbox)
    await raw.publish(wire.subject("prompt", "default", "payer"), b"pay", reply=inbox)
    told = [json.loads((await subscription.next_msg(20)).data)]
    while told[-1]["type"] != "query":
        told.append(json.loads((await subscription.next_msg(20)).data))
    question = told[-1]["data"]["id"].partition("-")[0]
    await cluster.client.answer(question, "deny", text="not now")
    await raw.publish(told[-1]["data"]["reply_subject"], b"accept")
    while (message := await subscription.next_msg(20)).data:
        assert json.loads(message.data)["type"] != "query"

    async def denied() -> bool:
        return (await cluster.client.desk.find(question)).decision.text == "not now"

    await eventually(denied)
