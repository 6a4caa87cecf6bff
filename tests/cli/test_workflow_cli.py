"""workflow: files checked, drawn, deployed and run; runs listed, shown and steered; over real workers."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import COMMAND, Terminal, environment_of, interrupt, one_line
from cli.warm import Warm

PROGRAM = """
import asyncio
from typing import Any

from actorium import Actor, App, Context, Task


class Work(Actor):
    async def receive(self, message: Task, ctx: Context) -> Any:
        if message.action == "slow":
            await asyncio.sleep(message.spec)
        if message.action == "fail":
            raise ValueError("no luck")
        return message.inputs


app = App(Work.named("work"))
"""
FLOW = """
name = "flow"

[inputs]
n = "integer"
text = { type = "string", default = "none" }

[[steps]]
id = "each"
agent = "work"
inputs = "${item}"
for_each = ["a", "b"]

[[steps]]
id = "go"
wait_signal = "go"
when = "inputs.n > 5"

[[steps]]
id = "end"
agent = "work"
inputs = { all = "${steps.each.data}", n = "${inputs.n}", text = "${inputs.text}" }
depends_on = "go"
"""
BAD = FLOW.replace('agent = "work"', 'agent = "wrk"').replace("steps.each.data", "steps.eich.data")
END = {"all": ["a", "b"], "n": 3, "text": "none"}


def written(home: Path) -> None:
    (home / "work.py").write_text(PROGRAM)
    (home / "flow.toml").write_text(FLOW)
    (home / "bad.toml").write_text(BAD)


@pytest.fixture(scope="module")
def node(nats_binary: Path, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a node that runs an agent which does what steps say."""
    terminal = Terminal(tmp_path_factory.mktemp("workflows"), warm, **environment_of(nats_binary))
    written(terminal.home)
    with terminal.node("work.py"):
        yield terminal


@pytest.fixture
def alone(tmp_path: Path, nats_binary: Path, warm: Warm) -> Terminal:
    """A terminal where nothing runs, with the files at hand."""
    terminal = Terminal(tmp_path / "home", warm, **environment_of(nats_binary))
    written(terminal.home)
    return terminal


# --- files ------------------------------------------------------------------------------------------------


def test_all_that_is_wrong_with_a_file_is_told_with_its_lines(alone: Terminal) -> None:
    """Without a server; agents are known where a program is named."""
    assert alone.run("workflow", "validate", "flow.toml").stdout == "flow.toml: flow can work: 3 steps\n"
    found = alone.json("workflow", "validate", "bad.toml", "--app", "work.py", status=1)
    assert [problem["line"] for problem in found] == [10, 21, 22]
    lines = alone.run("workflow", "validate", "bad.toml", "--app", "work.py").stdout.splitlines()
    assert lines[0] == "bad.toml:10: steps.each.agent: there is no agent 'wrk', did you mean 'work'?"
    assert "bad.toml:22: steps.end.inputs.all: " in lines[2]
    assert "there is no step 'eich', did you mean 'each'?" in lines[2]


def test_a_file_that_does_not_read_is_told_with_its_line(alone: Terminal) -> None:
    """Broken TOML, and a file that is no workflow."""
    (alone.home / "broken.toml").write_text('name = "x"\nsteps = [\n')
    assert "broken.toml:" in one_line(alone.run("workflow", "validate", "broken.toml"))
    (alone.home / "none.toml").write_text('nam = "x"\n')
    assert "none.toml:1" in alone.run("workflow", "validate", "none.toml").stdout


@pytest.mark.parametrize("command", ["validate", "graph", "deploy", "run"])
@pytest.mark.parametrize("file", ["flw.toml", "flw.py", "flw.json"])
def test_a_file_that_is_not_there_is_wrong_usage(alone: Terminal, command: str, file: str) -> None:
    """Exit 2 with the nearest name, whatever is done with it."""
    (alone.home / "flow.py").write_text("")
    (alone.home / "flow.json").write_text("{}")
    told = alone.run("workflow", command, file)
    assert told.returncode == 2
    assert one_line(told).startswith(f"error: there is no file {file}, did you mean flow.")


def test_what_does_not_fit_hides_nothing_else_that_is_wrong(alone: Terminal) -> None:
    """A field that is unknown, a step that is, and an agent that is: told at once, each with its line."""
    (alone.home / "flow.toml").write_text(BAD.replace('depends_on = "go"', 'dependson = "go"'))
    found = alone.json("workflow", "validate", "flow.toml", "--app", "work.py", status=1)
    assert [problem["line"] for problem in found] == [10, 21, 22, 23]


def test_files_are_held_against_each_other(alone: Terminal) -> None:
    """Two workflows that run each other for ever, and one that is not given what it needs."""
    for name, other in (("one", "two"), ("two", "one")):
        step = f'[[steps]]\nid = "s"\nworkflow = "{other}"\n'
        (alone.home / f"{name}.toml").write_text(f'name = "{name}"\n{step}')
    assert alone.run("workflow", "validate", "one.toml").returncode == 0
    found = alone.run("workflow", "validate", "one.toml", "two.toml")
    assert found.returncode == 1
    assert "one.toml:4: steps.s.workflow: it never ends: one -> two -> one" in found.stdout
    assert "two.toml:4: steps.s.workflow: it never ends: two -> one -> two" in found.stdout


PYTHON = PROGRAM.replace("from actorium import", "from actorium import workflow,").replace(
    "app = App(",
    """
draft = workflow("built")
draft.output("n", draft.step("s", agent="work", inputs={"n": draft.input("n", int)}).data.n)
app = App(draft.build(), """,
)


def test_a_workflow_of_a_python_program_is_checked_drawn_and_run(alone: Terminal) -> None:
    """By its file; the App in it has its agents, where no worker is up."""
    (alone.home / "built.py").write_text(PYTHON)
    assert alone.run("workflow", "validate", "built.py").stdout == "built.py: built can work: 1 step\n"
    assert alone.run("workflow", "graph", "built.py:draft").stdout.startswith("built: 1 step")
    told = alone.json("workflow", "run", "built.py", "--input", "n=3")
    assert (told["status"], told["data"]) == ("success", {"n": 3})
    (alone.home / "wrong.py").write_text(PYTHON.replace('agent="work"', 'agent="wrk"'))
    found = alone.run("workflow", "validate", "wrong.py")
    assert found.returncode == 1
    assert found.stdout == "wrong.py:19: steps.s.agent: there is no agent 'wrk', did you mean 'work'?\n"


def test_a_python_program_that_makes_no_workflow_or_several_is_wrong_usage(alone: Terminal) -> None:
    """One line says what to do; one whose build fails is told with its lines."""
    assert "work.py makes no workflow" in one_line(alone.run("workflow", "graph", "work.py"))
    (alone.home / "two.py").write_text(
        "from actorium import workflow\n"
        'a, b = workflow("one"), workflow("two")\n'
        'a.step("s", agent="x")\n'
        'b.step("s", agent="x", spec="${steps.t.data}")\n'
    )
    several = alone.run("workflow", "graph", "two.py")
    assert several.returncode == 2
    assert "makes 2 workflows: name one of them, such as two.py:one" in several.stderr
    assert alone.run("workflow", "graph", "two.py:a").stdout.startswith("one: 1 step")
    assert "did you mean 'one'?" in alone.run("workflow", "graph", "two.py:onne").stderr
    assert "two.py:4: steps.s.spec" in alone.run("workflow", "validate", "two.py:b").stdout


def test_a_file_is_drawn_for_a_terminal_and_as_mermaid(alone: Terminal) -> None:
    """Without a server."""
    assert alone.run("workflow", "graph", "flow.toml").stdout.startswith("flow: 3 steps in 2 layers")
    assert alone.run("workflow", "graph", "flow.toml", "--mermaid").stdout.startswith("flowchart TD\n")
    assert set(alone.json("workflow", "graph", "flow.toml")) == {"name", "mermaid", "drawing"}


def test_a_deploy_is_held_against_the_agents_that_are_there(node: Terminal) -> None:
    """A wrong one is refused with all its problems; the same one again changes nothing."""
    refused = node.run("workflow", "deploy", "bad.toml")
    assert refused.returncode == 1
    assert "bad.toml:10: " in refused.stderr
    assert "bad.toml:22: " in refused.stderr
    first, second = (node.json("workflow", "deploy", "flow.toml") for _ in range(2))
    assert (first["definition"], second["changed"]) == (second["definition"], False)
    (told,) = node.json("workflow", "ls", "--deployed")
    assert (told["workflow"]["name"], told["definition"]) == ("flow", first["definition"])
    assert node.run("workflow", "graph", "flow").stdout.startswith("flow: 3 steps")
    assert node.run("workflow", "graph", "flw").returncode == 3


# --- runs -------------------------------------------------------------------------------------------------


def test_a_run_shows_what_happens_on_stderr_and_its_result_on_stdout(node: Terminal) -> None:
    """A line for what happens where there is no terminal; inputs are JSON where they can be."""
    done = node.run("workflow", "run", "flow.toml", "--input", "n=3", "--run-id", "first")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"end": END})
    said = done.stderr.splitlines()
    assert said[0] == "run flow/first"
    assert any("fans out  each: 2 items" in line for line in said)
    assert any("done      end in " in line for line in said)
    assert said[-1].startswith("✓ flow/first success · 3/3 steps · ")
    again = node.json("workflow", "run", "flow", "--input", "n=3", "--run-id", "first", "--wait")
    assert (again["run"], again["status"], again["data"]) == ("flow/first", "success", {"end": END})


def test_run_show_shows_a_run_of_a_workflow_as_workflow_show_does(node: Terminal) -> None:
    """Whoever looks for it among all runs finds its steps."""
    node.json("workflow", "run", "flow.toml", "--input", "n=3", "--run-id", "both")
    told = node.run("run", "show", "flow/both")
    assert (told.returncode, told.stdout) == (0, node.run("workflow", "show", "both").stdout)
    assert node.json("run", "show", "flow/both")["steps"][0]["id"] == "each"


def test_inputs_come_from_a_file_and_single_ones_win(node: Terminal) -> None:
    """As JSON, from a file or stdin; what does not fit is told before anything starts."""
    body = json.dumps({"n": 1, "text": "from stdin"})
    words = ["workflow", "run", "flow.toml", "--input-file", "-", "--input", "n=2", "--json"]
    told = json.loads(node.run(*words, body=body).stdout)
    assert told["data"]["end"] == {"all": ["a", "b"], "n": 2, "text": "from stdin"}
    refused = node.run("workflow", "run", "flow.toml", "--input", "n=two", "--input", "m=1")
    assert refused.returncode == 1
    assert "inputs.n: it must be integer" in refused.stderr
    assert "inputs.m: there is no such input" in refused.stderr
    assert node.run("workflow", "run", "flow.toml", "--input", "n").returncode == 2
    told = node.json("workflow", "run", "flow.toml", "--input", "n=2", "--input", "text=8001")
    assert told["data"]["end"]["text"] == "8001"


def test_a_run_that_waits_is_listed_shown_paused_and_goes_on_with_its_signal(node: Terminal) -> None:
    """Started and left alone; steered by the beginning of its id."""
    assert node.run(
        "workflow", "run", "flow.toml", "--input", "n=7", "--detach", "--run-id", "w1"
    ).stdout == ("flow/w1\n")
    assert node.json("workflow", "pause", "w1") == {"run": "flow/w1", "counts": True}
    told = node.json("workflow", "show", "w1")
    assert (told["stage"], told["steps"][1]["waits_for"]["signal"]) == ("paused", "go")
    lost = node.run("workflow", "signal", "w1", "og")
    assert (lost.returncode, "waits for a signal 'og', did you mean 'go'?" in lost.stderr) == (2, True)
    assert "flow/w1" in {run["run"] for run in node.json("workflow", "ls")}
    node.run("workflow", "resume", "flow/w1", "--by", "ann")
    waits = node.start("workflow", "run", "flow", "--input", "n=7", "--run-id", "w1", "--json")
    assert node.json("workflow", "signal", "w1", "go", '{"by": 1}')["counts"] is True
    assert waits.stdout is not None
    assert json.loads(waits.stdout.read())["status"] == "success"
    assert waits.wait(20) == 0
    shown = node.run("workflow", "show", "w1").stdout.splitlines()
    assert shown[0].startswith("✓ flow/w1 success · 3/3 steps")
    assert all("█" in line for line in shown[1:])
    late = node.run("workflow", "signal", "w1", "go")
    assert (late.returncode, late.stdout) == (1, "flow/w1 is over\n")


def test_a_timeout_and_ctrl_c_end_the_wait_and_not_the_run(node: Terminal) -> None:
    """Exit statuses 5 and 130; then it is cancelled, and had ended when that is tried again."""
    words = ["workflow", "run", "flow.toml", "--input", "n=8", "--run-id", "long"]
    assert node.json(*words, "--timeout", "0.3", status=5)["error"]["code"] == "deadline_exceeded"
    process = node.start(*words)
    assert process.stderr is not None
    assert process.stderr.readline() == "run flow/long\n"
    assert interrupt(process) == 130
    assert process.stderr.read().endswith("interrupted\n")
    assert node.json("workflow", "show", "long")["stage"] == "running"
    assert node.json("workflow", "cancel", "long", "--reason", "enough")["cancelled"] is True
    ended = {run["run"]: run["why"] for run in node.json("workflow", "ls", "--all") if run.get("why")}
    assert ended["flow/long"] == "cancelled"


def test_a_failed_run_is_exit_1_and_goes_on_from_a_step_of_the_mended_file(node: Terminal) -> None:
    """What was done stands; a step that it has not is wrong usage."""
    broken = FLOW.replace('"flow"', '"mended"').replace('id = "end"', 'id = "end"\naction = "fail"')
    (node.home / "mended.toml").write_text(broken)
    failed = node.json("workflow", "run", "mended.toml", "--input", "n=1", "--run-id", "m1", status=1)
    assert failed["status"] == "failure"
    (node.home / "mended.toml").write_text(FLOW.replace('"flow"', '"mended"'))
    node.json("workflow", "deploy", "mended.toml")
    assert node.run("workflow", "retry", "m1", "ende").returncode == 2
    again = node.json("workflow", "retry", "m1", "end", "--latest")
    assert (again["status"], again["data"]["end"]["n"]) == ("success", 1)
    assert "has no page 99" in node.run("workflow", "fork", again["run"], "--page", "99").stderr
    forked = node.json("workflow", "fork", again["run"], "--page", "1")
    assert forked["status"] == "success"
    assert len({failed["run"], again["run"], forked["run"]}) == 3


def test_a_run_id_that_is_taken_by_a_run_with_other_inputs_is_wrong_usage(node: Terminal) -> None:
    """Nothing is started; the same inputs, with defaults or without, are the same run."""
    words = ["workflow", "run", "flow.toml", "--run-id", "taken"]
    node.json(*words, "--input", "n=3")
    other = node.run(*words, "--input", "n=4")
    assert (other.returncode, other.stdout) == (2, "")
    assert "run flow/taken was started before with other inputs (n): choose another id" in other.stderr
    assert node.json(*words, "--input", "n=3", "--input", "text=none")["status"] == "success"


def test_a_live_run_goes_on_with_another_definition_that_what_it_did_fits(node: Terminal) -> None:
    """Moved while it waits; what would do a finished step otherwise is refused and says which."""
    moving = FLOW.replace('"flow"', '"moving"')
    (node.home / "moving.toml").write_text(moving)
    node.run("workflow", "run", "moving.toml", "--input", "n=7", "--detach", "--run-id", "moved")
    waits = node.start("workflow", "run", "moving", "--input", "n=7", "--run-id", "moved", "--json")
    while node.json("workflow", "show", "moved")["steps"][1]["stage"] != "listening":
        pass
    (node.home / "moving.toml").write_text(moving.replace('["a", "b"]', '["a"]'))
    refused = node.run("workflow", "migrate", "moved", "moving.toml")
    assert refused.returncode == 1
    assert "step each is done, and differs in for_each" in refused.stderr
    (node.home / "moving.toml").write_text(moving.replace("text", "more"))
    told = node.json("workflow", "migrate", "moved", "moving.toml")
    assert told["before"] != told["definition"]
    again = node.run("workflow", "migrate", "moved", "moving.toml")
    assert again.stdout == f"moving/moved goes on with {told['definition']}\n"
    assert "went on with it before" in again.stderr
    node.run("workflow", "signal", "moved", "go")
    assert waits.stdout is not None
    assert json.loads(waits.stdout.read())["data"]["end"] == {"all": ["a", "b"], "n": 7, "more": "none"}
    assert waits.wait(20) == 0
    late = node.run("workflow", "migrate", "moved", "moving")
    assert late.returncode == 1
    assert "it is over: fork it" in late.stderr


def test_a_run_and_a_workflow_that_are_not_there_are_exit_3(node: Terminal) -> None:
    """As everywhere; what is said leads to the runs of workflows."""
    told = node.run("workflow", "show", "gone/gone")
    assert (told.returncode, "actorium workflow ls --all" in told.stderr) == (3, True)
    told = node.run("workflow", "run", "flww", "--input", "n=1")
    assert (told.returncode, "there is no workflow 'flww'" in told.stderr) == (3, True)


def test_a_terminal_sees_a_tree(node: Terminal) -> None:
    """Drawn over itself on stderr; the last one stays."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "workflow", "run", "flow.toml", "--input", "n=3", "--run-id", "seen"],
        cwd=node.home,
        env=node.environment | {"COLUMNS": "80", "LINES": "30"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    told, _ = process.communicate(timeout=30)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:
        os.close(ours)
    last = drawn.decode().replace("\r", "").rpartition("\x1b[J")[2]
    assert last.splitlines()[0].startswith("✓ flow/seen success · 3/3 steps")
    assert last.splitlines()[1].startswith("├─ ✓ each  2/2 items")
    assert json.loads(told) == {"end": END}


def test_without_workers_a_program_is_named_or_started(alone: Terminal) -> None:
    """A run on workers of its own, which end with it; else one line says what to do."""
    assert "no worker is up" in one_line(alone.run("workflow", "run", "flow.toml", "--input", "n=3"))
    told = alone.json("workflow", "run", "flow.toml", "work.py", "--input", "n=3")
    assert (told["status"], told["data"]) == ("success", {"end": END})
    refused = alone.run("workflow", "run", "flow.toml", "work.py", "--input", "n=3", "--detach")
    assert refused.returncode == 2


def test_a_program_of_agents_and_workflow_files_runs_and_is_refused_with_their_lines(alone: Terminal) -> None:
    """`workflows` in TOML: `actorium dev` deploys them, or says what is wrong before anything starts."""
    (alone.home / "agents.toml").write_text(
        'workflows = ["flow.toml"]\n[[agent]]\nname = "work"\nkind = "work:Work"\n'
    )
    with alone.node("agents.toml"):
        assert [agent["name"] for agent in alone.json("agent", "ls")] == ["flow", "work"]
        assert alone.json("workflow", "run", "flow", "--input", "n=3")["data"] == {"end": END}
    (alone.home / "flow.toml").write_text(BAD)
    refused = alone.run("dev", "agents.toml")
    assert refused.returncode == 2
    assert "flow.toml:22: steps.end.inputs.all" in refused.stderr
