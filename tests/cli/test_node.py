"""dev and up: what they say, what they refuse, and how Ctrl-C ends them."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.terminal import Terminal, environment_of, interrupt
from servers import TestServer


@pytest.fixture
def home(tmp_path: Path, nats_binary: Path) -> Terminal:
    return Terminal(tmp_path / "home", **environment_of(nats_binary))


def started(process: "subprocess.Popen[str]") -> str:
    """What a node says until it is up."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line or line.startswith("{"):
            break
    return "".join(lines)


def test_dev_tells_how_to_reach_its_agents(home: Terminal) -> None:
    """Whoever starts dev sees the URL, the agents, their subjects, and commands that work as they stand."""
    process = home.start("dev", "app.py", "--workers", "1")
    told = started(process)
    assert "nats://127.0.0.1:" in told
    assert "agents.counter.inbox" in told
    (line,) = (line.strip() for line in told.splitlines() if " ask counter " in line)
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=home.home,
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert interrupt(process) == 0


def test_ctrl_c_lets_what_is_in_hand_end(home: Terminal) -> None:
    """A drain waits for the task that an agent is working on; its result is not lost."""
    process = home.start("dev", "app.py", "--workers", "1", "--json")
    started(process)
    tap = home.start("tap", "echo", "--count", "2")
    assert tap.stderr is not None
    tap.stderr.readline()  # it listens now
    waiting = home.start("task", "send", "echo", '{"action":"wait","spec":1}', "--wait", "--json")
    events, _ = tap.communicate(timeout=30)
    assert '"kind":"started"' in events
    assert interrupt(process) == 0
    result, _ = waiting.communicate(timeout=30)
    assert json.loads(result)["status"] == "success"


def test_a_toml_file_is_a_program(home: Terminal) -> None:
    """dev takes a TOML file, which also holds the settings; state outlives a restart."""
    (home.home / "agents.toml").write_text(
        '[actorium]\nworkers = 1\nnode = "small"\n\n[[agent]]\nname = "sum"\nkind = "app:Counter"\n'
    )
    process = home.start("dev", "agents.toml", "--json")
    told = json.loads(started(process))
    assert (told["node"], len(told["workers"]), told["agents"][0]["name"]) == ("small", 1, "sum")
    assert home.json("task", "send", "sum", '{"amount":3}', "--wait")["data"] == 3
    assert interrupt(process) == 0
    process = home.start("dev", "agents.toml", "--json")
    started(process)
    assert home.json("ask", "sum", '{"amount":4}')["data"] == 7
    assert interrupt(process) == 0


def test_up_joins_the_server_that_is_named(
    terminal: Terminal, nats_server_factory: Callable[..., TestServer]
) -> None:
    """up needs nothing but NATS_URL; SIGTERM drains it, and then nobody answers: exit 5."""
    url = nats_server_factory().url
    none = terminal.run("agent", "ls", "--nats", url)
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert "actorium up app.py" in none.stderr
    process = terminal.start("up", "app.py", "--workers", "1", "--json", NATS_URL=url)
    assert json.loads(started(process))["url"] == url
    assert terminal.json("ask", "echo", "hi", "--nats", url)["data"] == {"said": "hi"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    stopping = terminal.start("agent", "stop", "echo", "--nats", url, "--json")  # waits for its owner first
    words = ["ask", "echo", "hi", "--timeout", "0.3", "--nats", url]
    assert terminal.json(*words, status=5)["error"]["code"] == "no_owner"
    told, _ = stopping.communicate(timeout=30)
    assert json.loads(told)["status"] == "stopped"
    assert [a["name"] for a in terminal.json("agent", "ls", "--nats", url) if a["stopped"]] == ["echo"]
