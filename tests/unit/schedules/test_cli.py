"""`actorium schedule`: the whole life of a schedule from the command line, against a real server."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from actorium import workflow
from actorium.actors.definition import Definition
from actorium.bus import subjects
from actorium.runtime.cli.commands import actorium, run
from actorium.runtime.cli.schedule import schedule
from actorium.runtime.client import Client
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.namespace import connect_bus, over, prepare
from actorium.runtime.workflow_parts import workflow_part
from servers import TestServer

Command = Callable[..., Any]


@pytest.fixture
def command(nats_server: TestServer, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `actorium schedule ... --json` where an agent and a workflow are defined; what it says."""
    actorium.add_command(schedule)
    settings = Settings(nats=NatsSettings(url=nats_server.url))

    async def begin() -> None:
        bus = await connect_bus(settings.nats, "test")
        await prepare(settings, bus)
        registry = over(bus, settings.partitions).registry
        await registry.define(Definition(name="writer", kind="app:Writer"))
        draft = workflow("flow")
        text = draft.input("text", str, default="")
        draft.step("s", agent="writer", inputs={"n": draft.input("n", int), "text": text})
        await registry.define(workflow_part(draft.build()))
        await bus.close()

    asyncio.run(begin())

    def command(*words: str, status: int = 0, text: bool = False) -> Any:
        capsys.readouterr()
        ended = run(["schedule", *words, "--nats", nats_server.url, *([] if text else ["--json"])])
        said = capsys.readouterr()
        assert ended == status, said
        return said.out if text else json.loads(said.out)

    return command


def test_a_schedule_lives_and_goes(command: Command, nats_server: TestServer) -> None:
    """Add, list, show, pause, resume, run now, remove; in JSON and for people."""
    made = command("add", "writer", "Mondays at 9 in Europe/Zurich", "Report", "--name", "weekly")
    assert made["when"] == {"type": "cron", "expression": "0 9 * * MON", "timezone": "Europe/Zurich"}
    assert made["what"] == {"type": "message", "task": {"spec": "Report"}}
    assert [each["name"] for each in command("ls")] == ["weekly"]
    assert "CET" in command("ls", text=True) or "CEST" in command("ls", text=True)
    told = command("show", "weekly")
    assert (told["state"], len(told["next_runs"])) == ("on", 5)
    assert told["next_run"] == told["next_runs"][0]
    assert command("pause", "weekly")["state"] == "paused"
    assert command("show", "weekly")["next_run"] is None
    assert command("resume", "weekly")["state"] == "on"
    given = command("run", "weekly")
    assert given["task_id"].startswith("weekly/by-hand-")
    assert asyncio.run(stored(nats_server.url)) == [b'{"spec":"Report"}']
    assert command("rm", "weekly") == {"name": "weekly", "removed": True}
    assert command("ls") == []


async def stored(url: str) -> list[bytes]:
    async with Client(url) as client:
        part = subjects.partition("default", "writer")
        subject = subjects.inbox(part, "default", "writer")
        past = await client.names.bus.history(subjects.INBOX, subject, after=0, limit=10)
        return [each.message.payload for each in past]


def test_tools_and_workflows_get_their_inputs(command: Command) -> None:
    """A tool with arguments, a workflow with inputs: JSON values, else text."""
    call = command("add", "writer", "in 3 days", "--tool", "email", "--input", "to=a@b.c", "--input", "n=3")
    assert call["what"] == {"type": "tool_call", "tool": "email", "arguments": {"to": "a@b.c", "n": 3}}
    assert call["name"].startswith("writer-")
    start = command(
        "add",
        "flow",
        "every hour",
        "--workflow",
        "flow",
        "--input",
        "n=1",
        "--input",
        "text=8001",
        "--misfire",
        "all",
        "--limit",
        "5",
        "--jitter",
        "60",
    )
    assert start["what"] == {"type": "workflow", "workflow": "flow", "inputs": {"n": 1, "text": "8001"}}
    assert (start["misfire"], start["limit"], start["jitter"]) == ("all", 5, 60.0)
    bounded = command("add", "writer", "hourly", "x", "--starts", "2030-01-01 09:00", "--tz", "Europe/Zurich")
    assert bounded["starts"] == bounded["next_run"] == "2030-01-01T08:00:00Z"


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("add", "writer", "whenever", "x"), 2, "understood are such as"),
        (("add", "writer", "every hour"), 2, "give one of TEXT"),
        (("add", "writer", "every hour", "x", "--tool", "y"), 2, "give one of TEXT"),
        (("add", "writer", "every hour", "x", "--input", "a=b"), 2, "--input belongs"),
        (("add", "writer", "every hour", "--tool", "x", "--input", "ab"), 2, "KEY=VALUE"),
        (("add", "writer", "daily at 9", "x", "--tz", "Europe/Zurrich"), 2, "did you mean"),
        (("add", "writer", "every hour", "x", "--name", "No"), 2, "schedule name"),
        (("add", "wirter", "every hour", "x"), 3, "did you mean 'writer'"),
        (("add", "writer", "0 0 30 2 *", "x"), 2, "bad day-of-month"),
        (("add", "writer", "hourly", "x", "--ends", "2020-01-01"), 2, "it would never fire"),
        (
            ("add", "writer", "hourly", "x", "--starts", "2031-01-01", "--ends", "2030-01-01"),
            2,
            "before it starts",
        ),
        (("add", "writer", "hourly", "--workflow", "writer"), 2, "agent writer is no workflow"),
        (("add", "flow", "hourly", "--tool", "x"), 2, "workflow flow has no tools"),
        (("add", "flow", "hourly", "--workflow", "flow"), 1, "inputs.n: it is missing"),
        (
            ("add", "flow", "hourly", "--workflow", "flow", "--input", "n=x"),
            1,
            "inputs.n: it must be integer",
        ),
        (("add", "flow", "hourly", "now"), 1, "the inputs of a workflow are a JSON object"),
        (("show", "nothing"), 3, "no schedule 'nothing'"),
        (("pause", "nothing"), 3, "no schedule 'nothing'"),
        (("rm", "nothing"), 3, "no schedule 'nothing'"),
    ],
)
def test_mistakes_are_told(command: Command, words: tuple[str, ...], status: int, why: str) -> None:
    """One line that says what to do, and the exit status for it."""
    assert why in command(*words, status=status)["error"]["message"]


def test_a_name_is_used_once(command: Command) -> None:
    """A second schedule of the same name is refused, and the first stays."""
    command("add", "writer", "every hour", "x", "--name", "one")
    assert "already" in command("add", "writer", "daily", "y", "--name", "one", status=1)["error"]["message"]
    assert command("show", "one")["when"]["seconds"] == 3600
