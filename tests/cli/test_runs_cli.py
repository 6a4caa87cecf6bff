"""run and approvals: one-shots, lists, trees, logs, cancels and answers, over real workers."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Screen, Terminal, environment_of, one_line
from cli.warm import Warm

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
    with Path("paid").open("a") as paid:
        paid.write(f"{amount}\\n")
    return f"paid {amount}"


@tool(effect="pure", risk="low")
async def look(seconds: float) -> str:
    """Look for a while."""
    await asyncio.sleep(seconds)
    return "seen"


greet = in_order(say("hello"))
payer = in_order(call(("pay", {"amount": 7}), text="It is due"), say("done"))
looker = in_order(call(("look", {"seconds": 100})), say("I saw it"))


def give(*agents):
    return call(*(("delegate_task", {"agent": agent, "task": "do it"}) for agent in agents))


boss = in_order(give("greeter", "payer"), say("both are done"))


def team(request):
    """An agent that gives parts to whoever may be given some, or does its part."""
    names = [tool for tool in request.tools if tool.name == "delegate_task"]
    if not names:
        return say("my part")
    (helper,) = names[0].schema["properties"]["agent"]["enum"]
    return in_order(give(helper, helper), say("all parts"))(request)


waiter = in_order(give("looker"), say("it was seen"))
script = "scripted:thinking:"
app = App(
    Agent("boss", model=script + "boss", delegates=["greeter", "payer"]),
    Agent("greeter", model=script + "greet"),
    Agent("payer", model=script + "payer", tools=[pay]),
    Agent("brief", model=script + "payer", tools=[pay], approval_ttl=1.0),
    Agent("waiter", model=script + "waiter", delegates=["looker"]),
    Agent("looker", model=script + "looker", tools=[look]),
)
'''


def written(home: Path) -> None:
    (home / "thinking.py").write_text(PROGRAM)


@pytest.fixture(scope="module")
def node(nats_binary: Path, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a node that runs the agents above."""
    home = tmp_path_factory.mktemp("thinking")
    terminal = Terminal(home, warm, ANTHROPIC_API_KEY="", **environment_of(nats_binary))
    written(terminal.home)
    with terminal.node("thinking.py"):
        yield terminal


@pytest.fixture
def alone(tmp_path: Path, nats_binary: Path, warm: Warm) -> Terminal:
    """A terminal where nothing runs, with the program at hand."""
    terminal = Terminal(tmp_path / "home", warm, **environment_of(nats_binary))
    written(terminal.home)
    return terminal


def paid(terminal: Terminal) -> list[int]:
    file = terminal.home / "paid"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def asked(terminal: Terminal, run: str) -> dict[str, object]:
    """The open question of a run, once there is one."""
    limit = time.monotonic() + 20
    while True:
        for question in terminal.json("approvals", "ls"):
            if question["run"] == run:
                return question
        assert time.monotonic() < limit, f"{run} asks nothing"


def awaited(process: "subprocess.Popen[str]", text: str) -> str:
    """What a process says on stderr up to a line that holds a text."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it never said {text!r}:\n{said}")


# --- one-shots --------------------------------------------------------------------------------------------


def test_a_one_shot_runs_on_the_workers_that_are_up(node: Terminal) -> None:
    """The answer alone is on stdout, every record of the run and its delegates on stderr."""
    done = node.run("run", "do both", "thinking.py", "--yes", "--task-id", "both")
    assert (done.returncode, done.stdout) == (0, "both are done\n"), done.stderr
    assert "greeter/boss/both/1/1/1 ended     success" in done.stderr
    assert "payer/boss/both/1/2/1 tool      1/1 pay" in done.stderr
    assert 7 in paid(node)


def test_a_one_shot_starts_all_it_needs_and_leaves_nothing(alone: Terminal) -> None:
    """Where nothing runs, workers and a server come and go with the task."""
    told = alone.json("run", "do both", "thinking.py", "--yes")
    assert (told["status"], told["data"]) == ("success", "both are done")
    assert told["run"].startswith("boss/")
    assert "no NATS is running" in one_line(alone.run("agent", "ls"))


def test_a_model_alone_makes_an_agent(node: Terminal) -> None:
    """Without a program the task is done by an agent that is made for it, with the tools that were named."""
    done = node.run("run", "greet me", "--model", "scripted:thinking:greet")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    told = node.json("run", "pay", "--model", "scripted:thinking:payer", "--tools", "thinking:pay", "--yes")
    assert told["data"] == "done"


def test_an_agent_that_is_made_for_a_task_has_a_helper(alone: Terminal) -> None:
    """It may be given parts of the task side by side, and has no helper itself."""
    done = alone.run("run", "in parts", "--model", "scripted:thinking:team", "--task-id", "parts")
    assert (done.returncode, done.stdout) == (0, "all parts\n"), done.stderr
    for part in ("1/1", "1/2"):
        assert re.search(rf"helper-\w+/assistant-\w+/parts/{part}/1 ended     success", done.stderr)


def test_workers_of_another_program_are_told_from_their_own(node: Terminal) -> None:
    """What they do not have, or have otherwise, is said with what can be done; nothing starts."""
    for agent, told in (
        ("newcomer", "no agent 'newcomer'"),
        ("payer", "agent 'payer' otherwise than other.py"),
    ):
        program = PROGRAM.replace(
            'Agent("boss", model=script + "boss"', f'Agent("{agent}", model=script + "boss"'
        )
        program = program.replace('Agent("payer", model=script + "payer", tools=[pay]),', "")
        (node.home / "other.py").write_text(program)
        done = node.run("run", "do both", "other.py", "--agent", agent)
        assert done.returncode == 1
        assert f"the workers that are up have {told}" in one_line(done)
        assert "ACTORIUM_DATA=DIR actorium run" in one_line(done)
    apart = node.run("run", "hi", "other.py", "--agent", "greeter", ACTORIUM_DATA=str(node.home / "apart"))
    assert (apart.returncode, apart.stdout) == (0, "hello\n"), apart.stderr


def test_a_stopped_agent_is_said_to_be_stopped(node: Terminal) -> None:
    """Its task would wait, and whoever gave it with it."""
    node.run("agent", "stop", "greeter")
    try:
        done = node.run("run", "hi", "--agent", "greeter")
        assert done.returncode == 1
        assert one_line(done) == "error: agent 'greeter' is stopped: actorium agent restart greeter"
    finally:
        node.run("agent", "restart", "greeter")
    assert node.run("run", "hi", "--agent", "greeter").stdout == "hello\n"


def test_a_key_that_the_workers_lack_is_said_to_be_theirs(node: Terminal) -> None:
    """They read their own environment, not that of the command."""
    done = node.run("run", "hello", "--model", "anthropic:claude-opus-5-5", ANTHROPIC_API_KEY="of-this-side")
    assert done.returncode == 1
    assert "no key: set ANTHROPIC_API_KEY" in done.stderr
    assert "keys are read where the workers run" in done.stderr


def test_options_may_stand_before_the_command(node: Terminal) -> None:
    """`run --json ls` lists runs, and begins none of a task `ls`."""
    done = node.run("run", "--json", "ls")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)
    done = node.run("run", "--nats", "nowhere://x", "ls", "--all")
    assert "nowhere://x" in one_line(done)


def test_an_id_that_is_taken_by_another_task_is_told(node: Terminal) -> None:
    """Else the old task's result would be shown as that of this one."""
    words = ["--agent", "greeter", "--task-id", "taken"]
    assert node.run("run", "hi", *words).returncode == 0
    assert node.run("run", "hi", *words).returncode == 0
    done = node.run("run", "something else", *words)
    assert done.returncode == 2
    assert "was started before with another task" in done.stderr.splitlines()[-1]


def test_fewer_tools_may_go_with_a_stored_task(node: Terminal) -> None:
    done = node.run("task", "send", "payer", "pay", "--tools", "", "--wait", "--task-id", "told-few")
    assert done.returncode == 0, done.stderr
    (call,) = node.json("run", "show", "payer/told-few")["steps"][0]["calls"]
    assert "There is no tool 'pay'" in call["content"]


def test_a_missing_key_is_named(alone: Terminal) -> None:
    """Nothing starts for a model that cannot answer."""
    done = alone.run("run", "hello", ANTHROPIC_API_KEY="")
    assert done.returncode == 1
    assert "set ANTHROPIC_API_KEY" in one_line(done)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["run", "lst"], "'ls'"),
        (["run", "do it", "thinking.py", "--agent", "bos"], "'boss'"),
        (["run", "do it", "thinking.py", "--model", "scripted:thinking:greet"], "leave out APP"),
        (["run", "do it", "thinking.py", "--tools", "delegat_task"], "'delegate_task'"),
        (["run", "do it", "--budget", "usdd=1"], "'usd'"),
        (["run", "do it", "--budget", "usd=much"], "usd=much"),
        (["run", "do it", "--model", "antropic:x"], "anthropic"),
    ],
)
def test_a_mistake_is_one_line_that_helps(alone: Terminal, words: list[str], hint: str) -> None:
    """What is mistyped is told before anything starts."""
    done = alone.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert hint in one_line(done)


def test_over_budget_is_exit_4(node: Terminal) -> None:
    """A limit narrows what the agent may spend, and says which it was."""
    done = node.run("run", "pay", "thinking.py", "--agent", "payer", "--budget", "steps=1", "--yes")
    assert done.returncode == 4, done.stderr
    assert "steps" in done.stderr.splitlines()[-1]


def test_a_task_may_be_given_with_fewer_tools_than_its_agent_has(node: Terminal) -> None:
    """What is not named is unknown to the model, whichever agent it is: one of APP, or of the workers."""
    before = paid(node)
    for number, words in enumerate((["thinking.py", "--agent", "payer"], ["--agent", "payer"])):
        run = f"few-{number}"
        done = node.run("run", "pay", *words, "--tools", "", "--yes", "--task-id", run)
        assert done.returncode == 0, done.stderr
        (call,) = node.json("run", "show", f"payer/{run}")["steps"][0]["calls"]
        assert "There is no tool 'pay'" in call["content"]
    done = node.run("run", "pay", "thinking.py", "--agent", "payer", "--tools", "pay", "--yes")
    assert (done.returncode, paid(node)) == (0, [*before, 7]), done.stderr


def test_a_timeout_calls_the_run_off_and_is_exit_5(node: Terminal) -> None:
    """Nothing of it goes on behind the back of who waited."""
    words = ["run", "wait", "thinking.py", "--agent", "waiter", "--task-id", "late", "--timeout", "1"]
    done = node.run(*words)
    assert done.returncode == 5, done.stderr
    assert "looker/waiter/late/1/1/1: cancelled" in done.stderr
    assert node.json("run", "show", "waiter/late")["state"] == "failure"


def test_ctrl_c_cancels_with_receipts_and_is_exit_130(node: Terminal) -> None:
    """The run and its delegates are called off before the command ends."""
    process = node.start("run", "wait", "thinking.py", "--agent", "waiter", "--task-id", "cut")
    awaited(process, "tool      1/1 look")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "waiter/cut: cancelled\n  looker/waiter/cut/1/1/1: cancelled" in said
    assert node.json("run", "show", "cut")["state"] == "failure"


def test_ctrl_c_cancels_on_workers_of_its_own_too(alone: Terminal) -> None:
    """The cancel comes before the drain, or the run would go on at the next start."""
    process = alone.start("run", "wait", "thinking.py", "--agent", "waiter", "--task-id", "cut")
    awaited(process, "tool      1/1 look")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "looker/waiter/cut/1/1/1: cancelled" in said
    assert "Traceback" not in said


def test_a_question_is_asked_where_somebody_types(node: Terminal) -> None:
    """What is not understood is asked again; an edit runs with the new arguments."""
    done = node.run(
        "run", "pay", "thinking.py", "--agent", "payer", "--ask", body='perhaps\nedit {"amount": 11}\n'
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert done.stderr.count("accept | edit {JSON}") == 2
    assert '"amount": 7' in done.stderr
    assert 11 in paid(node)


def test_without_a_terminal_the_command_that_answers_is_told(node: Terminal) -> None:
    """The run waits meanwhile, and the one-shot with it; a denial is read by the model."""
    process = node.start("run", "pay", "thinking.py", "--agent", "payer", "--task-id", "told")
    said = awaited(process, "actorium approvals accept")
    (question,) = re.findall(r"actorium approvals accept (\w+)", said)
    before = paid(node)
    assert node.json("approvals", "deny", question, "too much")["decision"]["text"] == "too much"
    assert process.communicate(timeout=30)[0] == "done\n"
    assert paid(node) == before


def test_a_terminal_sees_a_tree_and_is_asked_in_it(node: Terminal) -> None:
    """On a terminal the tree is drawn over itself, stands still while it asks, and stays at the end."""
    screen = Screen(node, "run", "pay", "thinking.py", "--agent", "payer", "--task-id", "drawn")
    screen.until("> ")
    screen.type("accept")
    assert screen.end() == 0, screen.shown
    last = screen.shown[screen.shown.rindex("\x1b[J") :]
    assert "✓ payer/drawn success" in last
    assert "✓ pay" in last
    assert "accepted by" in last


# --- runs -------------------------------------------------------------------------------------------------


def test_live_and_ended_runs_are_listed(node: Terminal) -> None:
    """A live run says what it waits for; --all has those that ended, with their cost."""
    node.json("task", "send", "payer", "pay", "--task-id", "listed")
    question = asked(node, "payer/listed")
    (live,) = (one for one in node.json("run", "ls") if one["run"] == "payer/listed")
    assert (live["state"], live["asks"]) == ("parked", [question["id"]])
    node.json("approvals", "deny", str(question["id"]))
    node.json("task", "send", "payer", "pay", "--task-id", "listed", "--wait")
    assert "payer/listed" not in [one["run"] for one in node.json("run", "ls")]
    (ended,) = (one for one in node.json("run", "ls", "--all") if one["run"] == "payer/listed")
    assert (ended["state"], ended["why"], ended["tokens"] > 0) == ("success", "completed", True)


def test_a_run_is_shown_with_its_delegates(node: Terminal) -> None:
    """The tree holds steps, calls, what was decided, and what delegates did, from their own ledgers."""
    node.run("run", "do both", "thinking.py", "--yes", "--task-id", "shown")
    shown = node.run("run", "show", "boss/shown").stdout
    assert "✓ boss/shown success · 2 steps" in shown
    assert "✓ greeter/boss/shown/1/1/1 success" in shown
    assert "│" in shown
    assert re.search(r'✓ pay \{"amount":7\}  accepted by \w+  → paid 7', shown)
    told = node.json("run", "show", "shown")  # the task id alone
    greet, pay = told["steps"][0]["calls"]
    assert greet["run"]["answer"] == "hello"
    assert pay["run"]["steps"][0]["calls"][0]["decision"]["verdict"] == "accept"


def test_logs_are_the_ledger_line_by_line(node: Terminal) -> None:
    """All records of a run that ended; with -f those of a live one until it ends."""
    node.run("run", "hi", "thinking.py", "--agent", "greeter", "--task-id", "logged")
    lines = node.run("run", "logs", "greeter/logged").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["started", "step", "step", "ended"]
    node.json("task", "send", "payer", "pay", "--task-id", "followed")
    question = asked(node, "payer/followed")
    process = node.start("run", "logs", "-f", "payer/followed")
    assert process.stdout is not None
    while "asks" not in process.stdout.readline() or "pay" not in process.stdout.readline():
        break
    node.json("approvals", "accept", str(question["id"]))
    rest, _ = process.communicate(timeout=30)
    assert rest.splitlines()[-1].endswith("ended     success: completed")


def test_a_live_run_is_cancelled_by_its_name(node: Terminal) -> None:
    """With receipts; again it says the same, and a stranger's name is exit 3."""
    node.json("task", "send", "payer", "pay", "--task-id", "unwanted")
    asked(node, "payer/unwanted")
    assert node.json("run", "cancel", "unwanted", "--reason", "not now")["cancelled"]
    assert "cancelled: not now" in node.run("run", "show", "payer/unwanted").stdout
    assert node.json("approvals", "ls") == []
    assert node.json("run", "cancel", "nobody", status=3)["error"]["code"] == "not_found"


def test_a_run_is_woken_and_its_chain_proven(node: Terminal) -> None:
    """resume has the owner look; verify proves every record, and finds a checkpoint again."""
    node.json("task", "send", "payer", "pay", "--task-id", "proven")
    asked(node, "payer/proven")
    assert node.json("run", "resume", "payer/proven")["woken"]
    checkpoint = node.run("run", "verify", "payer/proven").stdout.strip()
    count, _, head = checkpoint.partition(":")
    assert int(count) > 1
    assert len(head) == 64
    node.json("run", "cancel", "payer/proven")
    assert node.run("run", "verify", "payer/proven", "--checkpoint", checkpoint).returncode == 0
    forged = f"{count}:{'0' * 64}"
    assert node.run("run", "verify", "payer/proven", "--checkpoint", forged).returncode == 1
    assert node.json("run", "resume", "payer/proven", status=1)["woken"] is False


# --- approvals --------------------------------------------------------------------------------------------


def test_a_question_shows_all_that_its_answer_allows(node: Terminal) -> None:
    """Exact arguments, risk, why, who asks, how long, and what follows when nobody answers."""
    node.json("task", "send", "payer", "pay", "--task-id", "told-all")
    question = str(asked(node, "payer/told-all")["id"])
    shown = node.run("approvals", "show", question[:8]).stdout
    for words in (
        '"amount": 7',
        "risk high",
        "It is due",
        "payer/told-all",
        "23 h 59 min; then it is denied",
    ):
        assert words in shown
    assert question in node.run("approvals", "ls").stdout
    assert "23 h 59 min left" in node.run("approvals", "ls", "--all").stdout
    before = paid(node)
    answered = node.json("approvals", "edit", question, "--arguments", '{"amount": 13}', "--by", "ann")
    assert answered["decision"]["by"] == "ann"
    node.json("task", "send", "payer", "pay", "--task-id", "told-all", "--wait")
    assert paid(node) == [*before, 13]


def test_an_answer_to_what_was_not_shown_is_refused(node: Terminal) -> None:
    """Another hash, a second answer and an unknown question are errors with their own exit status."""
    node.json("task", "send", "payer", "pay", "--task-id", "bound")
    question = asked(node, "payer/bound")
    words = ["approvals", "accept", str(question["id"])]
    refused = node.json(*words, "--hash", "0" * 64, status=4)
    assert "for other arguments" in refused["error"]["message"]
    assert node.json(*words, "--hash", str(question["hash"])[:12])["decision"]["verdict"] == "accept"
    assert "was answered by" in node.json(*words, status=4)["error"]["message"]
    assert node.json("approvals", "accept", "nothing", status=3)["error"]["code"] == "not_found"


def test_a_response_takes_the_place_of_the_call(node: Terminal) -> None:
    """The agent reads the text as its result, and nothing runs."""
    node.json("task", "send", "payer", "pay", "--task-id", "responded")
    question = str(asked(node, "payer/responded")["id"])
    before = paid(node)
    node.json("approvals", "respond", question, "paid by hand")
    node.json("task", "send", "payer", "pay", "--task-id", "responded", "--wait")
    told = node.json("run", "show", "payer/responded")
    assert told["steps"][0]["calls"][0]["content"] == "paid by hand"
    assert paid(node) == before
