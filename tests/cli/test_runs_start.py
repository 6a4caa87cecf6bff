"""What keeps thinking agents from working is said before anything of a program starts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.terminal import Terminal, environment_of, interrupt, one_line

PROGRAM = """
from actorium import Agent, App
from actorium.actors.models.scripted import say

def script(request):
    return say("hello")

app = App({agents})
"""


@pytest.fixture
def alone(tmp_path: Path, nats_binary: Path) -> Terminal:
    return Terminal(tmp_path / "home", **environment_of(nats_binary))


def written(terminal: Terminal, *agents: str) -> str:
    (terminal.home / "start.py").write_text(PROGRAM.format(agents=", ".join(agents)))
    return "start.py"


@pytest.mark.parametrize("command", [["dev"], ["run", "hello"], ["up", "--nats", "nats://127.0.0.1:1"]])
def test_a_missing_key_is_named_before_anything_starts(alone: Terminal, command: list[str]) -> None:
    """In one line, with the agent and the variable; no server is looked for."""
    app = written(alone, 'Agent("writer", model="openai:gpt-5.1"), Agent("critic", model="openai:gpt-5.1")')
    done = alone.run(*command, app, OPENAI_API_KEY="", ACTORIUM_NATS_SERVER="/nowhere")
    assert done.returncode == 1
    assert "agent writer, critic: openai:gpt-5.1 has no key: set OPENAI_API_KEY" in one_line(done)
    assert not (alone.home / "data").exists()


def test_a_script_says_it_in_a_line_too(alone: Terminal) -> None:
    """`app.run()` ends as the command does, without a traceback."""
    app = written(alone, 'Agent("writer", model="openai:gpt-5.1")')
    with (alone.home / app).open("a") as script:
        script.write("\napp.run()\n")
    done = subprocess.run(
        [sys.executable, app],
        cwd=alone.home,
        env=alone.environment | {"OPENAI_API_KEY": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert one_line(done).startswith("error: agent writer: openai:gpt-5.1 has no key: set OPENAI_API_KEY")


def test_a_limit_in_money_that_cannot_be_kept_is_refused(alone: Terminal) -> None:
    """No call of such an agent would ever be made."""
    model = 'Agent("writer", model="scripted:start:script", budget={"usd": 1.0})'
    done = alone.run("dev", written(alone, model))
    assert done.returncode == 1
    assert "agent writer: its limit of 1 usd cannot be kept: scripted:start:script: " in one_line(done)


def test_a_key_that_only_a_fallback_lacks_is_a_warning(alone: Terminal) -> None:
    """As is a server of one's own that does not run: the agents start all the same."""
    model = 'Agent("writer", model="scripted:start:script", fallback=["openai:gpt-5.1", "vllm:m"])'
    process = alone.start(
        "dev", written(alone, model), "--json", OPENAI_API_KEY="", VLLM_BASE_URL="http://127.0.0.1:1/v1"
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["agents"][0]["name"] == "writer"
    assert interrupt(process) == 0
    assert process.stderr is not None
    said = process.stderr.read()
    assert "openai:gpt-5.1 has no key: set OPENAI_API_KEY" in said
    assert "vllm:m: nothing answers at http://127.0.0.1:1/v1 (Connection refused)" in said


def test_an_agent_that_gives_tasks_to_nobody_is_refused_with_the_nearest_name(alone: Terminal) -> None:
    """On a server of the program's own nobody else could bring it."""
    agents = (
        'Agent("writer", model="scripted:start:script", delegates=["critik"])',
        ('Agent("critic", model="scripted:start:script")'),
    )
    done = alone.run("dev", written(alone, *agents))
    assert done.returncode == 1
    assert one_line(done) == (
        "error: agent writer: it gives tasks to 'critik', and there is no such agent, did you mean 'critic'?"
    )


def test_an_agent_that_another_program_brought_is_no_stranger(alone: Terminal) -> None:
    """It is known to the server, so the program starts, and without a word."""
    one = alone.start("dev", "app.py", "--workers", "1", "--json")
    assert one.stdout is not None
    assert one.stdout.readline()
    app = written(alone, 'Agent("writer", model="scripted:start:script", delegates=["counter"])')
    other = alone.start("dev", app, "--workers", "1", "--json", "--node", "other")
    assert other.stdout is not None
    assert other.stdout.readline()
    assert (interrupt(other), interrupt(one)) == (0, 0)
    assert other.stderr is not None
    assert "counter" not in other.stderr.read()


def test_on_a_nats_that_others_use_a_stranger_is_a_warning(alone: Terminal) -> None:
    """It may come with a program that starts later."""
    one = alone.start("dev", "app.py", "--workers", "1", "--json")
    assert one.stdout is not None
    url = json.loads(one.stdout.readline())["url"]
    app = written(alone, 'Agent("writer", model="scripted:start:script", delegates=["conter"])')
    other = alone.start("up", app, "--nats", url, "--workers", "1", "--json", "--node", "other")
    assert other.stdout is not None
    assert json.loads(other.stdout.readline())["agents"][0]["name"] == "writer"
    assert (interrupt(other), interrupt(one)) == (0, 0)
    assert other.stderr is not None
    assert "there is no such agent yet, did you mean 'counter'?" in other.stderr.read()
